//! The ports in memory: what lies behind them, and the adapters.

pub(crate) mod kafka;
pub(crate) mod objects;
pub(crate) mod postgres;

mod connect;
mod log;
mod reader;
mod signals;
mod source;
mod staging;
mod store;

pub use connect::MemoryConnectStore;
pub use kafka::{Kafka, KafkaSettings, LogEntry};
pub use log::{MemoryDeadLetters, MemoryLog};
pub use objects::{Objects, StoredObject};
pub use postgres::{Key, Logged, Postgres, PostgresSettings, Row, RowChange, Transaction};
pub use reader::MemoryReader;
pub use signals::MemorySignals;
pub use source::{MemorySource, SimClock};
pub use store::MemoryStore;
