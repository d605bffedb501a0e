//! The native worker: what runs one table's connectors, and answers for them as a Kafka Connect worker would.
//!
//! A worker knows connector configurations, not the plan they came from. It joins its group, reads the configurations
//! from the internal topic, runs the engine's capture and delivery, each restarted by itself with a back-off, and
//! shows their state by REST and in the status topic. What it needs of the outside world comes through
//! [`adapters::Adapters`], so it knows no vendor either.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod adapters;
mod backoff;
mod connectors;
pub mod health;
mod metrics;
mod rest;
mod settings;
mod tasks;
mod worker;

pub use backoff::Backoff;
pub use connectors::refusal;
pub use settings::WorkerSettings;
pub use worker::Worker;
