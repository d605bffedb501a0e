//! Whether pipelines are healthy, looked at from outside.
//!
//! [`look`](look::look) asks a table's worker, PostgreSQL, Kafka and the store, side by side and each within a limit of time,
//! and writes down what they said: [`Seen`]. [`judge`](judge::judge) makes [`Finding`]s of it and asks nobody, so that it is
//! tested with what was seen once. Every check has a code that stays: [`CHECKS`]. Nothing is written anywhere, but for
//! a [canary](look::Canary) and a [repair](look::How::repair) that are asked for by name.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod clean;
mod edges;
mod finding;
mod heap;
pub mod judge;
pub mod look;
mod register;
mod seen;

pub use edges::{EdgeSeen, EdgeTo, EdgesSeen, SeenInside, Way};
pub use finding::{Finding, Outcome, worst};
pub use heap::{CollectionSeen, collections};
pub use register::{CHECKS, Category, Check, index, page};
pub use seen::{
    CanarySeen, DeployedSeen, DriftSeen, GroupSeen, HeapSeen, HiddenSeen, Hop, KafkaSeen, Lag, LetterSeen, Looked,
    MetricsSeen, ObjectSeen, PodSeen, PostgresSeen, PublicationSeen, RelationSeen, Seen, SlotSeen, StoreSeen, StoredOf,
    TopicSeen, UsageSeen, WorkerSeen,
};
