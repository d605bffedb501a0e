//! The ports: what the engine needs of the outside world. Adapters implement them; nothing here knows a vendor.
//!
//! Each trait's page is its contract: order, parallelism, duplicates, durability and shutdown. The contract suites
//! in `datapipe-testkit` run against the ports in memory and against the real ones: PostgreSQL, Kafka, two S3 servers.

pub mod clock;
pub mod connect;
mod error;
pub mod log;
pub mod rows;
pub mod signal;
pub mod source;
pub mod store;

pub use error::{ErrorKind, PortError};
