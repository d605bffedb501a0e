//! Table-isolated change data capture, PostgreSQL -> Kafka -> S3, as a library.
//!
//! This crate holds no logic: it gathers the rooms of the workspace under one name. Without features there are tables,
//! settings and plans; each feature opens a room.
//!
//! From settings to a plan without any global state:
//!
//! ```
//! use std::sync::Arc;
//!
//! use datapipe::catalog::Catalog;
//! use datapipe::plan::{Plan, Problems};
//! use datapipe::settings::Settings;
//! use datapipe::table::{Table, TablePipeline};
//!
//! struct Payments;
//! impl TablePipeline for Payments {
//!     fn table(&self) -> Table {
//!         Table::new("payments", 8087)
//!     }
//! }
//!
//! let mut settings = Settings::default();
//! settings.postgres.url = Some("postgres://cdc@localhost:5432/shop".to_owned());
//! settings.kafka.bootstrap = Some("localhost:9092".to_owned());
//! settings.s3.bucket = Some("cdc".to_owned());
//!
//! let catalog = Catalog::of([Arc::new(Payments) as Arc<dyn TablePipeline>]).map_err(Problems::from)?;
//! let plan = Plan::new(&catalog, &settings)?;
//! assert_eq!(plan.tables[0].names.slot, "debezium_slot_payments");
//! # Ok::<(), Problems>(())
//! ```
//!
//! | feature | room |
//! |---|---|
//! | `tables` (default) | `tables`: the tables of this workspace |
//! | `engine` | capture and delivery over the ports |
//! | `worker` | the native worker |
//! | `postgres`, `kafka`, `s3` | the adapters |
//! | `connect` | Kafka Connect's REST types and client |
//! | `k8s` | the deployment on Kubernetes |
//! | `reconcile` | the proof of data |

pub use datapipe_core::{
    Lsn, Position, Secret, SecretRef, catalog, change, connector, convention, envelope, key, object, plan, port,
    progress, register, settings, table, value,
};

#[cfg(feature = "tables")]
pub use datapipe_catalog as tables;
#[cfg(feature = "connect")]
pub use datapipe_connect as connect;
#[cfg(feature = "engine")]
pub use datapipe_engine as engine;
#[cfg(feature = "k8s")]
pub use datapipe_k8s as k8s;
#[cfg(feature = "kafka")]
pub use datapipe_kafka as kafka;
#[cfg(feature = "postgres")]
pub use datapipe_postgres as postgres;
#[cfg(feature = "reconcile")]
pub use datapipe_reconcile as reconcile;
#[cfg(feature = "s3")]
pub use datapipe_s3 as s3;
#[cfg(feature = "worker")]
pub use datapipe_worker as worker;

/// The README's Rust blocks are compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
