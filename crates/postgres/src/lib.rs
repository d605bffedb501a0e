//! PostgreSQL as a change source: logical replication by `pgoutput`, consistent snapshots, slots, publications, and
//! what must be true of a server before a table can be captured. PostgreSQL 14 to 18.
//!
//! [`PgSource`] implements [`datapipe_core::port::source::ChangeSource`] for one table behind its own slot and
//! publication. The rooms: `wire` (our own replication transport), [`pgoutput`] and [`copy`] (pure decoding), `decoder`
//! (messages to events), `relation` and `types` (the catalog), `snapshot`, `slot`, [`publication`], [`preflight`],
//! [`wal`] (figures for metrics).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod advice;
mod beat;
mod chunk;
mod config;
pub mod copy;
mod decoder;
mod error;
pub mod pgoutput;
pub mod preflight;
pub mod publication;
mod relation;
mod session;
mod slot;
mod snapshot;
mod source;
mod sql;
mod system;
mod table_rows;
mod types;
pub mod wal;
mod wire;

pub use config::{PgConfig, SourceSpec};
pub use error::{Error, ServerError};
pub use session::Session;
pub use slot::{ObservedSlot, drop_unused as drop_slot, uses as slot_uses};
pub use source::PgSource;
pub use table_rows::TableRows;
