//! The REST interface of a worker whose outside world is memory: answers, refusals, and what is written into Kafka
//! Connect's topics for them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bench;
mod connectors;
#[path = "../../src/fixtures.rs"]
mod fixtures;
mod offsets;
mod refusals;
mod rest;
