//! Parquet: records that carry Kafka Connect's schema as typed columns, and back.
//!
//! [`Shape`] is what a schema becomes: a tree of Parquet's types with one column per leaf. [`Row`] is one record taken
//! apart into the columns' values and levels; taking apart comes first, so that a record that does not fit its schema
//! never touches a file. [`Writer`] gathers rows up to a bound in bytes and writes them as a row group, column by column.
//! [`read`] gives each row back as the JSON that it was made of.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod connect;
mod leaf;
mod read;
mod row;
mod shape;
mod write;

pub use connect::{Parts, split};
pub use read::{ReadError, read};
pub use row::{Record, Row, Unfit};
pub use shape::{Schemas, Shape, Unsupported};
pub use write::Writer;
