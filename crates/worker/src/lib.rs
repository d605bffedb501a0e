//! The native worker: what runs one table's connectors, and answers for them as a Kafka Connect worker would.
//!
//! A worker knows connector configurations, not the plan they came from. It follows the internal topics, and while it
//! owns its group it runs the engine's capture and delivery as the configurations topic wants it, each restarted by
//! itself with a back-off. REST shows what the topics and the runs say, and changes connectors by writing the topics. What it needs of the outside world comes through
//! [`adapters::Adapters`], so it knows no vendor either.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod adapters;
mod backoff;
mod connectors;
#[cfg(test)]
mod fixtures;
mod fleet;
mod follow;
pub mod health;
mod lifecycle;
mod metrics;
mod rest;
mod settings;
mod status;
mod tasks;
mod topics;
mod view;
mod worker;

pub use backoff::Backoff;
pub use connectors::refusal;
pub use settings::WorkerSettings;
pub use tasks::capture_settings;
pub use worker::Worker;
