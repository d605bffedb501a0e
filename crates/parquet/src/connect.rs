//! Kafka Connect's schemas as its JSON converter writes them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A schema; of a struct's field also its name.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Schema {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) optional: bool,
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) fields: Vec<Schema>,
    #[serde(default)]
    pub(crate) field: String,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) keys: Option<Box<Schema>>,
    pub(crate) values: Option<Box<Schema>>,
}

/// A value with its schema.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Parts<'a> {
    /// The schema's text.
    #[serde(borrow)]
    pub schema: &'a RawValue,
    /// The value's text.
    #[serde(borrow)]
    pub payload: &'a RawValue,
}

/// Takes a value of a JSON converter with schemas apart; none if it is no such value.
pub fn split(value: &[u8]) -> Option<Parts<'_>> {
    serde_json::from_slice(value).ok()
}
