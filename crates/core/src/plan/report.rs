use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Problem;

/// What was seen or made of the servers of a plan, from where it was run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerReport {
    /// What keeps the pipelines from running.
    pub problems: Vec<Problem>,
    /// What a person should know, and what keeps nothing from running.
    pub notes: Vec<String>,
    /// Topics that are not there.
    pub topics_missing: Vec<String>,
    /// Topics and publications that were made.
    pub made: Vec<String>,
    /// The slots of the tables.
    pub slots: BTreeMap<String, SlotUse>,
}

/// Who reads a replication slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotUse {
    /// A stream.
    Active,
    /// Nobody at the moment.
    Idle,
    /// There is no such slot.
    Missing,
}
