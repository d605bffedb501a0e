//! The pure middle of datapipe: what a table's pipeline is, how it is named, what a row change looks like on its
//! way from PostgreSQL to an object, and the ports that the adapters implement.
//!
//! Nothing here does IO, reads a clock, an environment variable or a file, or needs a runtime. Two rivers run
//! through this crate, each stage a type of its own:
//!
//! * configuration: [`settings::Settings`] (what a person typed) -> [`plan::Plan`] (complete, validated, printable)
//!   -> [`connector`] configurations;
//! * rows: [`change::Event`] -> [`envelope`] -> [`port::log::Record`] -> [`object`] -> confirmation by
//!   [`progress::Progress`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod allow_list;
pub mod assignment;
pub mod catalog;
pub mod change;
pub mod connector;
pub mod convention;
pub mod envelope;
pub mod key;
pub mod layout;
pub mod lsn;
pub mod object;
pub mod output;
pub mod plan;
pub mod port;
pub mod progress;
pub mod secret;
pub mod settings;
pub mod signal;
pub mod table;
pub mod transform;
pub mod value;

pub use lsn::{Lsn, Position};
pub use secret::{Secret, SecretRef};

/// Not part of the public interface: what [`register!`] expands to needs it.
#[doc(hidden)]
pub mod private {
    pub use inventory;
}
