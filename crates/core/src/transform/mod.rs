//! Transforms of records on their way to the log: the ones of Kafka Connect and Debezium that a table's connector may name
//! in `transforms`, working on records as the JSON converter writes them: with a schema they change it too.
//!
//! Each is a pure function of one record, so a replay gives the same records again. `tests/transforms.json` holds what the
//! real ones made of the same changes.

mod fields;
mod json;
mod parse;
mod predicate;
mod route;
mod schema;
mod unwrap;

pub use parse::TransformProblem;

use crate::port::connect::ConfigMap;
use crate::port::log::{Header, Record};
use fields::{Mask, Replace};
use predicate::Condition;
use route::{LogicalRoute, Route};
use schema::{Seen, Text, joined};
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
    /// The key's schema.
    key_schema: Option<Text>,
    /// The value's.
    value_schema: Option<Text>,
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
    /// Whether keys and values carry their schemas when they are written.
    typed: [bool; 2],
    seen: Seen,
}

/// They are the same if they come from the same keys.
impl PartialEq for Transforms {
    fn eq(&self, other: &Self) -> bool {
        (&self.keys, self.typed) == (&other.keys, other.typed)
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
        let [(key_schema, key), (value_schema, value)] = [record.key, record.value].map(|part| {
            let (schema, payload) = part.map(|whole| self.seen.split(whole)).unzip();
            (schema.flatten(), payload)
        });
        let mut draft = Draft { key_schema, value_schema, ..Draft::of(Record { key, value, ..record }) };
        for step in &self.steps {
            if step.condition.as_ref().is_some_and(|condition| !condition.holds(&draft)) {
                continue;
            }
            let kept = step.kind.apply(&mut draft);
            if !kept.map_err(|why| TransformError { name: step.name.clone(), why })? {
                return Ok(None);
            }
        }
        let Draft { key, value, key_schema, value_schema, .. } = &mut draft;
        let [keys, values] = self.typed;
        for (part, schema, typed) in [(key, key_schema, keys), (value, value_schema, values)] {
            if let (Some(payload), Some(schema), true) = (&mut *part, schema.take(), typed) {
                *payload = joined(&schema, payload);
            }
        }
        Ok(Some(draft))
    }

    /// Whether a step puts the default of a value's field in the place of NULL. Then values must come with their schema even
    /// if they are written without it.
    pub fn replaces_nulls(&self) -> bool {
        self.steps.iter().any(|step| match &step.kind {
            Kind::Replace(Part::Value, replace) => replace.nulls,
            Kind::Mask(Part::Value, mask) => mask.nulls,
            Kind::Unwrap(unwrap) => unwrap.replaces_nulls(),
            _ => false,
        })
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
    fn of(self, draft: &mut Draft) -> (&mut Option<Vec<u8>>, &mut Option<Text>) {
        let Draft { key, value, key_schema, value_schema, .. } = draft;
        match self {
            Self::Key => (key, key_schema),
            Self::Value => (value, value_schema),
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
            key_schema: None,
            value_schema: None,
        }
    }
}
