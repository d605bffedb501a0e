//! A throw-away local stack for a first run and for tests: PostgreSQL, Apache Kafka and an S3 server.
//!
//! All of it listens on loopback only and keeps its data under one folder, which is thrown away at the end or kept.
//! PostgreSQL is an installed one or portable binaries; Kafka is the real broker on the Java that is installed; S3 is
//! served by this process. What is fetched comes by Maven coordinates, is checked against pinned SHA-256 digests and
//! cached, so that later starts need no network. Needed on the machine: Java 17 or later, and Maven for the first start.
//!
//! ```no_run
//! # async fn example() -> datapipe_embedded::Result<()> {
//! use datapipe_embedded::{PostgresSource, Progress, Stack};
//!
//! let stack = Stack::builder("/tmp/first-run")
//!     .postgres(PostgresSource::Auto)
//!     .progress(Progress::new(|line| eprintln!("{line}")))
//!     .start()
//!     .await?;
//! stack.s3().create_bucket("lake").await?;
//! eprintln!("{} {} {}", stack.postgres().url(), stack.kafka().bootstrap(), stack.s3().endpoint());
//! stack.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The servers can be used one by one too: [`Postgres::start`], [`Kafka::start`], [`S3Server::start`]. Beside them there is
//! the reference, a real Kafka Connect worker with Debezium: [`ConnectWorker::start`].
//!
//! Absent on purpose: TLS, more than one broker, versions of S3 objects, Windows.

mod artifacts;
mod blocking;
mod class_archive;
mod connect;
mod error;
mod kafka;
mod log;
mod port;
mod postgres;
mod process;
mod progress;
mod requirements;
mod s3;
mod secret;
mod stack;
mod state;
mod watchdog;

pub use artifacts::{Cache, JarFolders, jar_folders};
pub use connect::{CONNECT_VERSION, ConnectOptions, ConnectWorker, Debezium, Environment};
pub use error::{Error, MissingProgram, Result};
pub use kafka::{KAFKA_VERSION, Kafka, KafkaOptions};
pub use port::free as free_port;
pub use postgres::{Postgres, PostgresOptions, PostgresSource, Shutdown};
pub use process::ServerProcess;
pub use progress::Progress;
pub use s3::S3Server;
pub use stack::{Stack, StackBuilder};
