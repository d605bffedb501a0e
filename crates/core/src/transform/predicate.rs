//! Whether a transform concerns a record.

use regex_lite::Regex;

use super::Draft;

#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) predicate: Predicate,
    pub(super) negate: bool,
}

/// Kafka Connect's predicates.
#[derive(Clone, Debug)]
pub(super) enum Predicate {
    /// `RecordIsTombstone`
    Tombstone,
    /// `TopicNameMatches`
    Topic(Regex),
    /// `HasHeaderKey`
    Header(String),
}

impl Condition {
    pub(super) fn holds(&self, draft: &Draft) -> bool {
        let holds = match &self.predicate {
            Predicate::Tombstone => draft.value.is_none(),
            Predicate::Topic(regex) => regex.is_match(&draft.topic),
            Predicate::Header(name) => draft.headers.iter().any(|(found, _)| found == name),
        };
        holds != self.negate
    }
}
