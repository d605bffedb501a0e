//! Where to start, from what the log holds and what the server says. Pure.

use datapipe_core::lsn::{Lsn, Position};
use datapipe_core::port::source::{Fingerprint, SlotState, SourceState};
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::progress::Progress;
use datapipe_core::table::SnapshotMode;

use super::{CaptureSettings, Carried};

/// How a run starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// Nothing is stored: begin with a snapshot, or without one. The slot is created unless it is there.
    Fresh {
        /// What the slot has confirmed, if it is there.
        slot: Option<Lsn>,
        /// Rows of an earlier life are in the log.
        again: bool,
    },
    /// A snapshot was interrupted.
    ResumeSnapshot(Progress),
    /// Read all rows again, and go on streaming.
    Again(Progress),
    /// Go on streaming.
    Stream(Progress),
    /// All that was asked for is in the log.
    Rest(Progress),
}

/// Compares what is stored with what the server has; everything that would lose rows is refused.
pub fn decide(
    stored: Option<Progress>,
    state: &SourceState,
    settings: &CaptureSettings,
    carried: &Carried,
) -> Result<Start, PortError> {
    let mode = settings.snapshot;
    if mode != SnapshotMode::InitialOnly {
        slot_is_whole(state, settings)?;
    }
    let Some(progress) = stored else {
        let unordered = state.relation.key.is_empty() && mode.reads_rows();
        if unordered && !settings.keyless_snapshot {
            return Err(no_key(state));
        }
        return Ok(Start::Fresh { slot: state.slot.as_ref().map(|slot| slot.confirmed), again: false });
    };
    same_fingerprint(&progress.fingerprint, &state.fingerprint, settings)?;
    if mode == SnapshotMode::InitialOnly {
        return Ok(if progress.snapshot.is_some() { Start::ResumeSnapshot(progress) } else { Start::Rest(progress) });
    }
    can_go_on(&progress, state, settings)?;
    if progress.snapshot.is_some() {
        return Ok(Start::ResumeSnapshot(progress));
    }
    let again = mode == SnapshotMode::Always && !carried.snapshot_begun;
    Ok(if again { Start::Again(progress) } else { Start::Stream(progress) })
}

/// What is left to do when what is stored cannot be gone on from: with [`SnapshotMode::WhenNeeded`] the rows are read
/// again, otherwise a person must decide.
pub(super) fn instead(error: PortError, state: &SourceState, settings: &CaptureSettings) -> Result<Start, PortError> {
    let unordered = state.relation.key.is_empty() && !settings.keyless_snapshot;
    if settings.snapshot != SnapshotMode::WhenNeeded || unordered || slot_is_whole(state, settings).is_err() {
        return Err(error);
    }
    tracing::warn!(
        "the stored position is of no use, so all rows are read again; rows deleted meanwhile stay where the log is \
         read: {}",
        error.report()
    );
    Ok(Start::Fresh { slot: state.slot.as_ref().map(|slot| slot.confirmed), again: true })
}

fn slot_is_whole(state: &SourceState, settings: &CaptureSettings) -> Result<(), PortError> {
    if let Some(SlotState { lost: true, .. }) = state.slot {
        let slot_name = &state.fingerprint.slot;
        return Err(refuse(slot_name, "the server has removed log that the slot still needed (wal_status is lost)")
            .hint(anew(slot_name, settings)));
    }
    Ok(())
}

/// Whether the slot still gives everything from the stored position on.
fn can_go_on(progress: &Progress, state: &SourceState, settings: &CaptureSettings) -> Result<(), PortError> {
    let slot_name = &state.fingerprint.slot;
    let Some(slot) = &state.slot else {
        return Err(refuse(slot_name, "the slot is gone, and changes since the stored position with it")
            .hint(anew(slot_name, settings)));
    };
    if slot.confirmed > progress.confirmable {
        let why = format!(
            "the slot is at {}, ahead of the stored position {}: it was advanced or created anew, and the changes in \
             between will never be sent",
            slot.confirmed, progress.confirmable
        );
        return Err(refuse(slot_name, &why).hint(anew(slot_name, settings)));
    }
    same_history(progress, state, settings)
}

fn same_fingerprint(stored: &Fingerprint, now: &Fingerprint, settings: &CaptureSettings) -> Result<(), PortError> {
    let pairs = [
        ("system identifier", &stored.system_id, &now.system_id),
        ("database", &stored.database, &now.database),
        ("slot", &stored.slot, &now.slot),
        ("publication", &stored.publication, &now.publication),
    ];
    let changed: Vec<String> = pairs
        .iter()
        .filter(|(_, stored, now)| stored != now)
        .map(|(what, stored, now)| format!("{what} was {stored} and is {now}"))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let why = format!("the stored position belongs to another source: {}", changed.join(", "));
    Err(refuse(&now.slot, &why).hint(anew(&now.slot, settings)))
}

/// A promotion starts a new timeline. The stored position holds there only if it lies before the fork.
fn same_history(progress: &Progress, state: &SourceState, settings: &CaptureSettings) -> Result<(), PortError> {
    if progress.timeline == state.timeline {
        return Ok(());
    }
    let next = progress.timeline.checked_add(1) == Some(state.timeline);
    let stands = next && state.forked_at.is_some_and(|fork| progress.position <= Position::at(fork));
    if stands {
        return Ok(());
    }
    let fork = state.forked_at.map_or_else(|| "an unknown position".to_owned(), |fork| fork.to_string());
    let why = format!(
        "the server is on timeline {}, forked at {fork}; the stored position {} of timeline {} is not part of it",
        state.timeline, progress.position, progress.timeline
    );
    let slot = &state.fingerprint.slot;
    Err(refuse(slot, &why).hint(anew(slot, settings)))
}

fn refuse(slot: &str, why: &str) -> PortError {
    PortError::new(ErrorKind::Refused, format!("resuming from slot {slot}")).because(why.to_owned())
}

fn no_key(state: &SourceState) -> PortError {
    let table = format!("{}.{}", state.relation.schema, state.relation.name);
    PortError::new(ErrorKind::Refused, format!("starting the snapshot of {table}"))
        .because("the table has no primary key, so an interrupted snapshot could not go on where it was".to_owned())
        .hint("add a primary key, or set datapipe.snapshot.without.key=true: the snapshot then starts anew when it is interrupted, \
               and rows come twice")
}

/// The way out when the past is gone: only a new snapshot makes the copy whole again.
fn anew(slot: &str, settings: &CaptureSettings) -> String {
    format!(
        "rows may be missing downstream; to start anew with a snapshot: stop the worker, run SELECT \
         pg_drop_replication_slot('{slot}') if the slot exists, write a tombstone for key {} to topic {}, and start again",
        String::from_utf8_lossy(&settings.offsets_key),
        settings.offsets_topic
    )
}
