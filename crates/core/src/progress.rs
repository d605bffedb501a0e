//! How far a capture has come: the one step of the rows' river that looks back.
//!
//! The rule: progress is written in the same log transaction as the rows it speaks of; a position is confirmed to
//! PostgreSQL only if a committed progress record holds it; and a slot that is ahead of the stored progress means
//! rows that nobody will ever see, which is refused.

use serde::{Deserialize, Serialize};

use crate::lsn::{Lsn, Position};
use crate::port::source::{Fingerprint, KeyBound};
use crate::signal::Signals;

/// What the log durably holds of a table, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What the positions belong to.
    pub fingerprint: Fingerprint,
    /// The timeline that the positions were read on.
    pub timeline: u32,
    /// The first change that is not in the log yet. Every change before it is, once.
    pub position: Position,
    /// What PostgreSQL may forget: everything that ends here is in the log, and no transaction is half done before.
    pub confirmable: Lsn,
    /// A snapshot that is not finished; none once it is.
    pub snapshot: Option<SnapshotProgress>,
    /// The last change, for readers of Debezium's fields.
    pub last: LastChange,
    /// What another kind of worker had sent of the transaction at [`Progress::position`]; none once it is passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// What signals have asked for and is not done yet.
    #[serde(default, skip_serializing_if = "Signals::is_empty")]
    pub signals: Signals,
}

/// Where another kind of worker stopped. It numbers changes by LSN alone, and the rows of one COPY share an LSN: so how
/// many of them were sent is counted in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The transaction that it was in, or had just ended.
    pub xid: u32,
    /// The last change that it sent.
    pub lsn: Lsn,
    /// How many changes at this LSN are in the log.
    pub changes: u64,
    /// Of the last of them only a delete is: all of it, or the first half of a changed key.
    pub deleted: bool,
}

/// An unfinished snapshot: the rows up to `upper` are in the log as of [`Progress::position`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotProgress {
    /// The key of the last row delivered; none before the first.
    pub upper: Option<KeyBound>,
    /// Rows delivered so far.
    pub rows: u64,
    /// Rows were in the log before this snapshot: until it is done, no change may be left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// What Debezium keeps of the last change it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChange {
    /// Its own LSN.
    pub lsn: Lsn,
    /// The end of the last complete transaction.
    pub lsn_commit: Lsn,
    /// Its transaction.
    pub xid: u32,
    /// Its commit time in microseconds since 1970-01-01 UTC.
    pub time_us: i64,
}

/// An offset value that cannot be used as progress.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// The value is no JSON object of the expected form.
    #[error("the stored offset is malformed")]
    Malformed(#[source] serde_json::Error),
    /// The value lacks our own field: another kind of worker wrote it.
    #[error("the stored offset was written by another kind of worker: it has no field `datapipe`")]
    Foreign(ForeignOffset),
}

/// An offset that Debezium's PostgreSQL connector wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignOffset {
    /// `lsn`: the last change sent, or the point of the snapshot.
    pub lsn: Lsn,
    /// `lsn_commit`: where the last transaction ended that was sent completely.
    pub lsn_commit: Option<Lsn>,
    /// `txId`: the transaction of the last change.
    pub xid: Option<u32>,
    /// `ts_usec`: the time of the last change, in microseconds since 1970-01-01 UTC.
    pub time_us: i64,
    /// A snapshot was begun and not finished.
    pub in_snapshot: bool,
}

/// The value of an offset record: Debezium's flat fields, and our whole progress as one JSON text, because Kafka
/// Connect takes nothing but primitives here.
#[derive(Serialize, Deserialize)]
struct OffsetValue {
    lsn: u64,
    #[serde(default)]
    lsn_proc: Option<u64>,
    #[serde(default)]
    lsn_commit: Option<u64>,
    #[serde(default, rename = "txId")]
    tx_id: Option<u32>,
    #[serde(default)]
    ts_usec: i64,
    /// The kind of snapshot as a text, or true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot_completed: Option<bool>,
    /// What `snapshot_completed` was called before Debezium 3.
    #[serde(default, skip_serializing)]
    last_snapshot_record: Option<bool>,
    #[serde(default)]
    datapipe: Option<String>,
}

impl OffsetValue {
    fn foreign(&self) -> ForeignOffset {
        let begun = self.snapshot.as_ref().is_some_and(|kind| *kind != serde_json::Value::Bool(false));
        let done = self.snapshot_completed.or(self.last_snapshot_record) == Some(true);
        ForeignOffset {
            lsn: Lsn(self.lsn),
            lsn_commit: self.lsn_commit.filter(|lsn| *lsn > 0).map(Lsn),
            xid: self.tx_id,
            time_us: self.ts_usec,
            in_snapshot: begun && !done,
        }
    }
}

/// The key of a source connector's offset record, as Kafka Connect's JSON converter without schemas writes it.
pub fn offset_key(connector: &str, topic_prefix: &str) -> Vec<u8> {
    serde_json::json!([connector, { "server": topic_prefix }]).to_string().into_bytes()
}

impl Progress {
    /// The value of the offset record.
    pub fn to_offset_value(&self) -> Vec<u8> {
        let state = serde_json::to_string(self).expect("plain fields serialise");
        let (lsn_proc, lsn_commit) = self.processed();
        let value = OffsetValue {
            lsn: self.last.lsn.0,
            lsn_proc: Some(lsn_proc.0),
            lsn_commit: Some(lsn_commit.0),
            tx_id: Some(self.last.xid),
            ts_usec: self.last.time_us,
            snapshot: self.snapshot.as_ref().map(|_| "INITIAL".into()),
            snapshot_completed: self.snapshot.as_ref().map(|_| false),
            last_snapshot_record: None,
            datapipe: Some(state),
        };
        serde_json::to_vec(&value).expect("plain fields serialise")
    }

    /// How far Debezium would say that it has come: it refuses to start if its slot needs less of the log than
    /// `lsn_proc` (its `PostgresConnection.validateLogPosition`), and a quiet table's slot moves beyond the last change. Between
    /// transactions both fields are therefore the confirmed end. `lsn_proc` is one more: no record begins at an odd
    /// position, and Debezium takes a first record at exactly `lsn_proc` for one that it has sent.
    fn processed(&self) -> (Lsn, Lsn) {
        let is_between = self.position.index == 0 && self.snapshot.is_none() && self.handover.is_none();
        if is_between && self.confirmable >= self.last.lsn {
            (Lsn(self.confirmable.0 + 1), self.last.lsn_commit.max(self.confirmable))
        } else {
            (self.last.lsn, self.last.lsn_commit)
        }
    }

    /// Reads an offset record's value.
    pub fn from_offset_value(value: &[u8]) -> Result<Self, ProgressError> {
        let value: OffsetValue = serde_json::from_slice(value).map_err(ProgressError::Malformed)?;
        let state = value.datapipe.as_ref().ok_or_else(|| ProgressError::Foreign(value.foreign()))?;
        serde_json::from_str(state).map_err(ProgressError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Incremental;

    fn progress() -> Progress {
        Progress {
            fingerprint: Fingerprint {
                system_id: "7391".to_owned(),
                database: "shop".to_owned(),
                slot: "debezium_slot_users".to_owned(),
                publication: "dbz_publication_users".to_owned(),
            },
            timeline: 1,
            position: Position { commit: Lsn(1000), index: 3 },
            confirmable: Lsn(900),
            snapshot: None,
            last: LastChange { lsn: Lsn(990), lsn_commit: Lsn(900), xid: 7, time_us: 5 },
            handover: None,
            signals: Signals::default(),
        }
    }

    #[test]
    fn values_are_flat_and_round_trip() {
        let unfinished =
            SnapshotProgress { upper: Some(KeyBound(vec!["17".to_owned(), "a\"b".to_owned()])), rows: 9, again: true };
        let handover = Some(Handover { xid: 7, lsn: Lsn(990), changes: 2, deleted: false });
        let incremental = Incremental { id: "a".to_owned(), rows: 3, ..Incremental::default() };
        let signals = Signals { next_record: Some(4), snapshots: vec![incremental], paused: true };
        for progress in [progress(), Progress { snapshot: Some(unfinished), handover, signals, ..progress() }] {
            let bytes = progress.to_offset_value();
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert!(json.as_object().unwrap().values().all(|value| !value.is_object() && !value.is_array()));
            assert_eq!(Progress::from_offset_value(&bytes).unwrap(), progress);
        }
    }

    #[test]
    fn another_worker_finds_a_position_that_a_quiet_tables_slot_has_not_passed() {
        let fields = |progress: &Progress| {
            let json: serde_json::Value = serde_json::from_slice(&progress.to_offset_value()).unwrap();
            ["lsn", "lsn_proc", "lsn_commit"].map(|field| json[field].as_u64().unwrap())
        };
        // In the middle of a transaction it is the last change.
        assert_eq!(fields(&progress()), [990, 990, 900]);
        let between =
            Progress { position: Position { commit: Lsn(1000), index: 0 }, confirmable: Lsn(1000), ..progress() };
        assert_eq!(fields(&between), [990, 1001, 1000]);
        let quiet = Progress { confirmable: Lsn(5000), ..between.clone() };
        assert_eq!(fields(&quiet), [990, 5001, 5000]);
        let unfinished = Progress { snapshot: Some(SnapshotProgress::default()), ..between };
        assert_eq!(fields(&unfinished), [990, 990, 900]);
    }

    #[test]
    fn a_value_of_another_worker_is_told_from_a_broken_one() {
        let read = |text: &str| Progress::from_offset_value(text.as_bytes());
        let foreign = |text: &str| match read(text) {
            Err(ProgressError::Foreign(offset)) => offset,
            other => panic!("{other:?}"),
        };
        let streaming = r#"{"lsn":50735096,"lsn_proc":50735096,"lsn_commit":50734840,"txId":1308,"ts_usec":1,"messageType":"INSERT"}"#;
        let expected = ForeignOffset {
            lsn: Lsn(50_735_096),
            lsn_commit: Some(Lsn(50_734_840)),
            xid: Some(1308),
            time_us: 1,
            in_snapshot: false,
        };
        assert_eq!(foreign(streaming), expected);
        for (text, in_snapshot) in [
            (r#"{"lsn":7,"ts_usec":1,"snapshot":"INITIAL","snapshot_completed":false}"#, true),
            (r#"{"lsn":7,"ts_usec":1,"snapshot":"INITIAL","snapshot_completed":true}"#, false),
            (r#"{"lsn":7,"ts_usec":1,"snapshot":true,"last_snapshot_record":false}"#, true),
            (r#"{"lsn":7,"ts_usec":1,"snapshot":true,"last_snapshot_record":true}"#, false),
            (r#"{"lsn":7,"lsn_commit":null,"txId":null}"#, false),
        ] {
            assert_eq!(foreign(text).in_snapshot, in_snapshot, "{text}");
        }
        assert!(matches!(read("{"), Err(ProgressError::Malformed(_))));
        assert!(matches!(read(r#"{"ts_usec":1}"#), Err(ProgressError::Malformed(_))));
    }

    #[test]
    fn the_key_is_debeziums() {
        let key = offset_key("postgres-cdc-users-connector", "cdc");
        assert_eq!(key, br#"["postgres-cdc-users-connector",{"server":"cdc"}]"#);
    }
}
