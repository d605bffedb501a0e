//! What to say and advise when something that the stream needs is not there.

use crate::config::SourceSpec;
use crate::error::Error;
use crate::publication::create_statement;
use crate::sql::literal;

/// SQLSTATE `undefined_object`: no such slot, no such publication.
pub(crate) const UNDEFINED_OBJECT: &str = "42704";

pub(crate) fn slot_missing(spec: &SourceSpec) -> Error {
    Error::Refused {
        why: format!("slot {} does not exist", spec.slot),
        hint: format!(
            "what changed since it was dropped cannot be streamed any more: remove the stored offset and start anew with \
             a snapshot, which creates the slot; by hand: SELECT pg_create_logical_replication_slot({}, 'pgoutput')",
            literal(&spec.slot)
        ),
    }
}

pub(crate) fn publication_missing(spec: &SourceSpec) -> Error {
    Error::Refused {
        why: format!("publication {} does not exist at the place where the slot stands", spec.publication),
        hint: format!(
            "a publication is seen from its own place in the log on only, so it must be older than the slot and than \
             every transaction that the slot has yet to decode: {} if it is missing, then drop the slot and the stored \
             offset and start anew with a snapshot",
            create_statement(spec)
        ),
    }
}

/// Puts the server's word on a missing publication into ours; other errors stay.
pub(crate) fn explain(spec: &SourceSpec, error: Error) -> Error {
    match &error {
        Error::Server(server) if server.code == UNDEFINED_OBJECT && server.message.contains(&spec.publication) => {
            publication_missing(spec)
        }
        _ => error,
    }
}
