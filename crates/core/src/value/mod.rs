//! Column types, and each one's form in a record: PostgreSQL's text form in, JSON out.
//!
//! The text forms are those of a session pinned to `TimeZone=UTC`, `DateStyle=ISO`, `IntervalStyle=postgres`,
//! `extra_float_digits=3` (or 1, the same since PostgreSQL 12) and `bytea_output=hex`; pgoutput, COPY and array
//! elements all use them. The JSON is what Debezium's PostgreSQL connector and Kafka Connect's `JsonConverter` without schemas write
//! under `decimal.handling.mode=string` and `time.precision.mode=isostring`, every other mode at its default.

mod kind;

pub use kind::{ColumnType, PgType, UnsupportedType, resolve};
