//! Transforms of records on their way to the log: the ones of Kafka Connect and Debezium that a table's connector may name
//! in `transforms`, working on records as the JSON converter without schemas writes them.
//!
//! Each is a pure function of one record, so a replay gives the same records again. `tests/transforms.json` holds what the
//! real ones made of the same changes.

mod fields;
mod json;
mod parse;
mod predicate;
mod route;
mod unwrap;

pub use parse::TransformProblem;

use crate::port::connect::ConfigMap;
use crate::port::log::{Header, Record};
use fields::{Mask, Replace};
use predicate::Condition;
use route::{LogicalRoute, Route};
use unwrap::Unwrap;

/// A record that may be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The topic.
    pub topic: String,
    /// The key, if there is one.
    pub key: Option<Vec<u8>>,
    /// The value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Why a record cannot be transformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transform {name}: {why}")]
pub struct TransformError {
    /// The transform's name in the connector's configuration.
    pub name: String,
    /// What is wrong with the record.
    pub why: &'static str,
}

/// A connector's transforms, in order.
#[derive(Clone, Debug, Default)]
pub struct Transforms {
    steps: Vec<Step>,
    keys: ConfigMap,
}

/// They are the same if they come from the same keys.
impl PartialEq for Transforms {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

impl Eq for Transforms {}

#[derive(Clone, Debug)]
struct Step {
    name: String,
    condition: Option<Condition>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// `org.apache.kafka.connect.transforms.Filter`
    Filter,
    /// `org.apache.kafka.connect.transforms.RegexRouter`
    Route(Route),
    /// `io.debezium.transforms.ByLogicalTableRouter`
    LogicalRoute(LogicalRoute),
    /// `org.apache.kafka.connect.transforms.ReplaceField$Key` and `$Value`
    Replace(Part, Replace),
    /// `org.apache.kafka.connect.transforms.MaskField$Key` and `$Value`
    Mask(Part, Mask),
    /// `io.debezium.transforms.ExtractNewRecordState`
    Unwrap(Box<Unwrap>),
}

/// The part of a record that a transform works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

impl Transforms {
    /// The keys that they were read from.
    pub fn keys(&self) -> &ConfigMap {
        &self.keys
    }

    /// True if records stay as they are.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The record as it goes into the log; none if it is dropped.
    pub fn apply(&self, record: Record<'_>) -> Result<Option<Draft>, TransformError> {
        let mut draft = Draft::of(record);
        for step in &self.steps {
            if step.condition.as_ref().is_some_and(|condition| !condition.holds(&draft)) {
                continue;
            }
            let kept = step.kind.apply(&mut draft);
            if !kept.map_err(|why| TransformError { name: step.name.clone(), why })? {
                return Ok(None);
            }
        }
        Ok(Some(draft))
    }
}

impl Kind {
    /// Changes the record; false if it is dropped.
    fn apply(&self, draft: &mut Draft) -> Result<bool, &'static str> {
        match self {
            Self::Filter => return Ok(false),
            Self::Route(route) => route.apply(&mut draft.topic),
            Self::LogicalRoute(route) => route.apply(draft)?,
            Self::Replace(part, replace) => replace.apply(part.of(draft))?,
            Self::Mask(part, mask) => mask.apply(part.of(draft))?,
            Self::Unwrap(unwrap) => return unwrap.apply(draft),
        }
        Ok(true)
    }
}

impl Part {
    fn of(self, draft: &mut Draft) -> &mut Option<Vec<u8>> {
        match self {
            Self::Key => &mut draft.key,
            Self::Value => &mut draft.value,
        }
    }
}

impl Draft {
    /// Hands the record on.
    pub fn lend<R>(&self, take: impl FnOnce(Record<'_>) -> R) -> R {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| Header { name, value }).collect();
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        take(Record { topic: &self.topic, key, value, headers: &headers })
    }

    /// A copy of a record.
    pub fn of(record: Record<'_>) -> Self {
        let Record { topic, key, value, headers } = record;
        let headers = headers.iter().map(|Header { name, value }| ((*name).to_owned(), value.to_vec()));
        Self {
            topic: topic.to_owned(),
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }
}
