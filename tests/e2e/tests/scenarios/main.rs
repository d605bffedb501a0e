//! What a pipeline lives through, on real servers and through the real `datapipe-run start`: one module per theme.
//!
//! Tests run one at a time (`--test-threads=1`): they measure, and each starts PostgreSQL, Kafka and S3.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod faults;
mod forms;
mod modes;
mod rows;
mod schema;
mod signals;
mod slots;
mod snapshot;
mod types;
