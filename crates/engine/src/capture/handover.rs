//! Going on where Debezium stopped.
//!
//! Its offset names a change by its LSN and its transaction. The rows of one COPY share an LSN, so how many of them were
//! sent is counted in the topic, which nobody else writes to by now: the log is claimed.

use bytes::Bytes;
use datapipe_core::lsn::{Lsn, Position};
use datapipe_core::port::log::{RecordBatch, TransactionalLog};
use datapipe_core::port::source::SourceState;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::progress::{ForeignOffset, Handover, LastChange, Progress, ProgressError, SnapshotProgress};
use datapipe_core::signal::Signals;
use serde::Deserialize;

use super::CaptureSettings;

/// Changes that share an LSN are rows of one page, at most 291 (`MaxHeapTuplesPerPage` at 8 KiB); markers of transactions
/// take offsets too.
const OFFSETS: u32 = 1000;

/// Reads what the log holds of the progress; none if there is nothing to go on from.
pub(super) async fn progress_of(
    value: Option<Bytes>,
    state: &SourceState,
    log: &mut dyn TransactionalLog,
    settings: &CaptureSettings,
) -> Result<Option<Progress>, PortError> {
    match value.map(|value| Progress::from_offset_value(&value)).transpose() {
        Ok(progress) => Ok(progress),
        Err(ProgressError::Foreign(offset)) => take_over(offset, state, log, settings).await,
        Err(error @ ProgressError::Malformed(_)) => {
            let attempt = format!("reading progress from topic {}", settings.offsets_topic);
            let hint = "delete the connector's offsets to start anew with a snapshot";
            Err(PortError::new(ErrorKind::Refused, attempt).because(error).hint(hint))
        }
    }
}

async fn take_over(
    offset: ForeignOffset,
    state: &SourceState,
    log: &mut dyn TransactionalLog,
    settings: &CaptureSettings,
) -> Result<Option<Progress>, PortError> {
    let slot = state.slot.as_ref().map(|slot| slot.confirmed);
    let reached = offset.lsn.max(offset.lsn_commit.unwrap_or(Lsn::ZERO));
    let commit = offset.lsn_commit.unwrap_or(offset.lsn);
    let mut progress = Progress {
        fingerprint: state.fingerprint.clone(),
        timeline: state.timeline,
        position: Position::at(commit),
        // What the slot has confirmed is forgotten already. Ahead of all that was sent it is a gap, to be refused.
        confirmable: slot.filter(|slot| *slot <= reached).map_or(commit, |slot| slot.max(commit)),
        snapshot: None,
        last: LastChange {
            lsn: offset.lsn,
            lsn_commit: offset.lsn_commit.unwrap_or(Lsn::ZERO),
            xid: offset.xid.unwrap_or(0),
            time_us: offset.time_us,
        },
        handover: None,
        signals: Signals::default(),
    };
    if offset.in_snapshot {
        // Debezium would begin it anew as well. Everything since the slot's beginning is sent first, so that what was
        // read and deleted since is not left behind.
        tracing::warn!(slot = %state.fingerprint.slot, "another kind of worker left its snapshot unfinished: it is begun anew");
        let Some(slot) = slot else { return Ok(None) };
        progress.position = Position::at(slot);
        progress.confirmable = slot;
        progress.snapshot = Some(SnapshotProgress { again: true, ..SnapshotProgress::default() });
        return Ok(Some(progress));
    }
    // Whether its transaction had ended is not to be seen: of two that overlap, the later one's changes may lie before
    // the earlier one's end.
    if let Some(xid) = offset.xid {
        let mut batch = RecordBatch::default();
        log.tail(&settings.envelope.data_topic, OFFSETS, &mut batch).await?;
        let (changes, deleted) = count(&batch, offset.lsn);
        progress.handover = Some(Handover { xid, lsn: offset.lsn, changes, deleted });
    }
    tracing::info!(
        slot = %state.fingerprint.slot, lsn = %offset.lsn, handover = ?progress.handover,
        "going on where another kind of worker stopped"
    );
    Ok(Some(progress))
}

/// What is needed of an envelope, with the schema around it or without.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    op: Option<String>,
    #[serde(default)]
    source: Option<Source>,
    #[serde(default)]
    payload: Option<Box<Envelope>>,
}

#[derive(Deserialize)]
struct Source {
    lsn: Option<u64>,
}

/// How many changes of an LSN are in the log, and whether only a delete is. A changed key is a delete and a create.
fn count(batch: &RecordBatch, lsn: Lsn) -> (u64, bool) {
    let (mut deletes, mut others, mut readable) = (0, 0, false);
    for value in batch.iter().filter_map(|record| record.value) {
        let Ok(mut envelope) = serde_json::from_slice::<Envelope>(value) else { continue };
        if let Some(inner) = envelope.payload.take() {
            envelope = *inner;
        }
        let Some(source) = envelope.source else { continue };
        readable = true;
        if source.lsn != Some(lsn.0) {
            continue;
        }
        match envelope.op.as_deref() {
            Some("d") => deletes += 1,
            // The snapshot's point may be where the first change after it begins.
            Some("r") => {}
            _ => others += 1,
        }
    }
    if !readable {
        // Records that were unwrapped say no LSN: all changes of it are taken as sent, which only rows of one COPY
        // that was broken off between them would contradict.
        return (u64::MAX, false);
    }
    (others.max(deletes), deletes > 0 && others == 0)
}

#[cfg(test)]
mod tests {
    use datapipe_core::port::log::{ReadHeaders, ReadRecord};

    use super::*;

    fn log(values: &[Option<String>]) -> RecordBatch {
        let mut batch = RecordBatch::default();
        for (offset, value) in (0..).zip(values) {
            let value = value.as_ref().map(String::as_bytes);
            batch.push(ReadRecord {
                partition: 0,
                offset,
                timestamp_ms: 0,
                key: None,
                value,
                headers: ReadHeaders::default(),
            });
        }
        batch
    }

    fn change(op: &str, lsn: u64) -> String {
        format!(r#"{{"before":null,"after":{{"op":"x"}},"source":{{"lsn":{lsn}}},"op":"{op}"}}"#)
    }

    #[test]
    fn changes_of_an_lsn_are_counted() {
        let change = |op, lsn| Some(change(op, lsn));
        let wrapped = change("c", 9).map(|value| format!(r#"{{"schema":{{}},"payload":{value}}}"#));
        for (values, expected) in [
            (vec![change("c", 8), change("c", 9), change("c", 9), wrapped], (3, false)),
            (vec![change("d", 9), None, change("c", 9)], (1, false)),
            (vec![change("u", 8), change("d", 9), None], (1, true)),
            (vec![change("r", 9), change("c", 9)], (1, false)),
            (vec![change("u", 8)], (0, false)),
            (vec![Some(r#"{"id":1}"#.to_owned())], (u64::MAX, false)),
            (vec![], (u64::MAX, false)),
        ] {
            assert_eq!(count(&log(&values), Lsn(9)), expected, "{values:?}");
        }
    }
}
