//! Column types, and each one's form in a record: PostgreSQL's text form in, JSON out.
//!
//! The text forms are those of a session pinned to `TimeZone=UTC`, `DateStyle=ISO`, `IntervalStyle=postgres`,
//! `extra_float_digits=3` (or 1, the same since PostgreSQL 12), `bytea_output=hex` and `lc_monetary=C`; pgoutput, COPY
//! and array elements all use them. The JSON is what Debezium's PostgreSQL connector and Kafka Connect's
//! `JsonConverter` without schemas write under the same [`Modes`]. `tests/values.json` holds pairs recorded from the
//! real one under [`Modes::PLAN`], `tests/modes.json` under every other mode; every difference stands in the snapshot of
//! `tests/modes.rs`.
//!
//! Where the real one loses a value, this does not:
//!
//! | type | there | here |
//! |---|---|---|
//! | `name` (streamed), enum and `bit` arrays, `numeric[]` with NaN or infinity | null | the value |
//! | `name[]`, `xml[]`, `money[]`, `interval[]`, `varbit[]`, arrays of domains | the column is left out | the value |
//! | unchanged TOASTed arrays of most types, `varbit` | null | the placeholder |
//! | `date` in a snapshot: BC, infinities | the era is lost | as streamed |
//! | arrays of `date`, `timestamp`, `timestamptz` before 1582-10-15 or infinite | shifted by the Julian calendar, or the era is lost | as outside of arrays |
//! | `numeric` with a negative scale | about 2,000 zeros are appended | PostgreSQL's text |
//! | `timetz` with seconds in its offset | the connector stops | the value |
//! | arrays of two dimensions or more | nulls or object identities | refused, with words |
//!
//! These are the forms of version 3.7. In 3.6 infinite dates and timestamps and 24:00:00 in `timetz` were others, and the
//! elements of `timetz[]` were cut to seconds. Floating point numbers have the digits that JDK 19 and later give them.

mod array;
mod binary;
mod decimal;
mod default;
mod epoch;
mod fallback;
mod float;
mod geometry;
mod hstore;
mod interval;
pub(crate) mod json;
mod kind;
mod modes;
mod number;
mod time;

pub(crate) use epoch::Unit;
pub use fallback::{write_fallback, write_unchanged};
pub use modes::{BinaryMode, DecimalMode, HstoreMode, IntervalMode, Modes, TimeMode};

pub use default::{constant_default, write_default};
pub use geometry::Shape;
pub use kind::{ColumnType, Digits, Loss, PgType, UnsupportedType, resolve};

/// What stands for a TOASTed value that an update left alone.
pub const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// A text that is no value of its column's type, or one that JSON cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text is not in the form that PostgreSQL writes this type in.
    #[error("the text is not in PostgreSQL's form: expected {0}")]
    Form(&'static str),
    /// The text is not UTF-8.
    #[error("the text is not UTF-8: the session's client_encoding must be UTF8")]
    Encoding,
    /// The row image has more or fewer cells than the relation has columns.
    #[error("the row image and the relation differ in their number of columns")]
    Width,
    /// A value that the connector's mode has no form for.
    #[error("{0}: another mode of the connector has a form for it")]
    Mode(&'static str),
    /// An array of two or more dimensions.
    #[error("the array has more than one dimension")]
    Dimensions,
}

/// Writes a value as JSON. On an error `out` may hold a part of it.
#[inline]
pub fn write_value(kind: &ColumnType, modes: Modes, text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match kind {
        ColumnType::Chars(_)
        | ColumnType::Enum(_)
        | ColumnType::Text
        | ColumnType::Xml
        | ColumnType::Tsvector
        | ColumnType::Ltree
        | ColumnType::Uuid
        | ColumnType::Json => json::write_string(text, out),
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 | ColumnType::Oid => number::write_integer(text, out),
        ColumnType::Bool => number::write_bool(text, out),
        ColumnType::Float4 => float::write_float4(text, out),
        ColumnType::Float8 => float::write_float8(text, out),
        ColumnType::Numeric(digits) => match (modes.decimal, digits) {
            (DecimalMode::String, _) => number::write_numeric(text, out),
            (DecimalMode::Double, _) => float::write_double(text, out),
            (DecimalMode::Precise, Some(digits)) => decimal::write_scaled(text, usize::from(digits.scale), out),
            (DecimalMode::Precise, None) => decimal::write_variable(text, out),
        },
        ColumnType::Money => match modes.decimal {
            DecimalMode::String => number::write_money(text, out),
            DecimalMode::Double => float::write_double(&number::amount(text)?, out),
            DecimalMode::Precise => decimal::write_money(text, out),
        },
        ColumnType::Bytea => binary::write_bytea(text, modes.binary, out),
        ColumnType::Date if modes.time == TimeMode::Isostring => time::write_date(text, out),
        ColumnType::Date => epoch::write_date(text, out),
        ColumnType::Time(digits) => match Unit::of(modes.time, *digits, true) {
            Some(unit) => epoch::write_time(text, unit, out),
            None => time::write_time(text, out),
        },
        ColumnType::TimeTz => time::write_timetz(text, out),
        ColumnType::Timestamp(digits) => match Unit::of(modes.time, *digits, false) {
            Some(unit) => epoch::write_timestamp(text, unit, out),
            None => time::write_timestamp(text, out),
        },
        ColumnType::TimestampTz(digits) => time::write_timestamptz(text, *digits, out),
        ColumnType::Interval => match modes.interval {
            IntervalMode::Numeric => interval::write_interval(text, out),
            IntervalMode::String => interval::write_interval_parts(text, out),
        },
        ColumnType::Bit => binary::write_bit(text, out),
        ColumnType::Bits(_) => binary::write_bits(text, out),
        ColumnType::Geometric(shape) => geometry::write_shape(*shape, text, out),
        ColumnType::Hstore => hstore::write_hstore(text, modes.hstore, out),
        ColumnType::Array(element) => array::write_array(element, modes, text, out),
    }
}
