//! The ways of the network that a worker needs, as they were tried.

use datapipe_core::plan::Problem;
use serde::{Deserialize, Serialize};

use crate::look::Proof;
use crate::seen::Seen;

/// The ways from one place to a table's servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgesSeen {
    /// Whether that was a pod with the worker's labels; otherwise it was whoever looked.
    pub inside: bool,
    /// Each way that the table needs.
    pub edges: Vec<EdgeSeen>,
}

/// One way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSeen {
    /// Where it leads.
    pub to: EdgeTo,
    /// The host, as the settings or a broker name it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How it is.
    pub way: Way,
}

/// Where a way leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeTo {
    /// The database.
    Postgres,
    /// A broker.
    Kafka,
    /// The store.
    S3,
    /// The worker's REST port.
    Worker,
}

/// How a way is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A connection came about.
    Open,
    /// DNS answers that there is no such name.
    NoName(String),
    /// DNS does not answer.
    NoDns(String),
    /// The connection was refused.
    Refused,
    /// Nothing came back, for so many milliseconds.
    TimedOut(u64),
    /// There is no way at all, in the words of the system.
    Unreachable(String),
}

/// What was seen of a table's servers from where its worker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenInside {
    /// What was seen; the worker was not asked.
    pub seen: Seen,
    /// What the worker's own test before a start has found.
    pub problems: Vec<Problem>,
    /// What comparing the rows came to, if that was asked for.
    #[serde(default)]
    pub proof: Option<Proof>,
}
