//! The adapter for Apache Kafka: the log between capture and delivery, and Kafka Connect's internal topics.
//!
//! It speaks to a broker of version 3 or 4 by librdkafka and implements the ports
//! [`TransactionalLog`](datapipe_core::port::log::TransactionalLog),
//! [`LogReader`](datapipe_core::port::log::LogReader),
//! [`ConnectStore`](datapipe_core::port::connect::ConnectStore) and
//! [`OffsetStore`](datapipe_core::port::connect::OffsetStore). It knows nothing of PostgreSQL, of objects, or of
//! what the records mean.
//!
//! Blocking calls of librdkafka run on tokio's blocking threads, clients are destroyed in the background, and every
//! queue is bounded in bytes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod client;
mod config;
mod connect_feed;
mod connect_records;
mod connect_store;
mod consumer;
mod dead_letters;
mod error;
pub mod groups;
pub mod hidden;
pub mod identity;
pub mod lag;
mod murmur2;
mod offset_store;
mod ownership;
mod producer;
mod signals;
mod tail;
pub mod topics;

pub use config::{ConfigError, KafkaConfig};
pub use connect_store::KafkaConnectStore;
pub use consumer::{ReaderSettings, TopicReader};
pub use dead_letters::DeadLetters;
pub use error::Cause;
pub use murmur2::{murmur2, partition_of};
pub use offset_store::KafkaOffsetStore;
pub use ownership::{Generation, Ownership, SESSION_TIMEOUT};
pub use producer::{ProducerSettings, TransactionalProducer};
pub use signals::{SignalTopic, send as send_signal};
