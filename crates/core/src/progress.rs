//! How far a capture has come: the one step of the rows' river that looks back.
//!
//! The rule: progress is written in the same log transaction as the rows it speaks of; a position is confirmed to
//! PostgreSQL only if a committed progress record holds it; and a slot that is ahead of the stored progress means
//! rows that nobody will ever see, which is refused.

use serde::{Deserialize, Serialize};

use crate::lsn::{Lsn, Position};
use crate::port::source::{Fingerprint, KeyBound};

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
    Foreign,
}

/// The value of an offset record: Debezium's flat fields, and our whole progress as one JSON text, because Kafka
/// Connect takes nothing but primitives here.
#[derive(Serialize, Deserialize)]
struct OffsetValue {
    lsn: u64,
    lsn_proc: u64,
    lsn_commit: u64,
    #[serde(rename = "txId")]
    tx_id: u32,
    ts_usec: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot_completed: Option<bool>,
    #[serde(default)]
    datapipe: Option<String>,
}

/// The key of a source connector's offset record, as Kafka Connect's JSON converter without schemas writes it.
pub fn offset_key(connector: &str, topic_prefix: &str) -> Vec<u8> {
    serde_json::json!([connector, { "server": topic_prefix }]).to_string().into_bytes()
}

impl Progress {
    /// The value of the offset record.
    pub fn to_offset_value(&self) -> Vec<u8> {
        let state = serde_json::to_string(self).expect("plain fields serialise");
        let value = OffsetValue {
            lsn: self.last.lsn.0,
            lsn_proc: self.last.lsn.0,
            lsn_commit: self.last.lsn_commit.0,
            tx_id: self.last.xid,
            ts_usec: self.last.time_us,
            snapshot: self.snapshot.as_ref().map(|_| "INITIAL".to_owned()),
            snapshot_completed: self.snapshot.as_ref().map(|_| false),
            datapipe: Some(state),
        };
        serde_json::to_vec(&value).expect("plain fields serialise")
    }

    /// Reads an offset record's value.
    pub fn from_offset_value(value: &[u8]) -> Result<Self, ProgressError> {
        let value: OffsetValue = serde_json::from_slice(value).map_err(ProgressError::Malformed)?;
        let state = value.datapipe.ok_or(ProgressError::Foreign)?;
        serde_json::from_str(&state).map_err(ProgressError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
    }

    #[test]
    fn values_are_flat_and_round_trip() {
        let unfinished =
            SnapshotProgress { upper: Some(KeyBound(vec!["17".to_owned(), "a\"b".to_owned()])), rows: 9, again: true };
        for progress in [progress(), Progress { snapshot: Some(unfinished), ..progress() }] {
            let bytes = progress.to_offset_value();
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert!(json.as_object().unwrap().values().all(|value| !value.is_object() && !value.is_array()));
            assert_eq!(Progress::from_offset_value(&bytes).unwrap(), progress);
        }
    }

    #[test]
    fn a_value_of_another_worker_is_told_from_a_broken_one() {
        let foreign = br#"{"lsn":50735096,"lsn_proc":50735096,"lsn_commit":50734840,"txId":1308,"ts_usec":1,"messageType":"INSERT"}"#;
        assert!(matches!(Progress::from_offset_value(foreign), Err(ProgressError::Foreign)));
        assert!(matches!(Progress::from_offset_value(b"{"), Err(ProgressError::Malformed(_))));
    }

    #[test]
    fn the_key_is_debeziums() {
        let key = offset_key("postgres-cdc-users-connector", "cdc");
        assert_eq!(key, br#"["postgres-cdc-users-connector",{"server":"cdc"}]"#);
    }
}
