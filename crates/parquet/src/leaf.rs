//! Leaves: which Parquet type a schema without parts has, and its values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parquet::basic::{LogicalType, TimeUnit, Type as Physical};
use parquet::data_type::ByteArray;
use serde_json::Value;

use crate::connect::Schema;
use crate::shape::Unsupported;

/// The most digits of a decimal that readers have in common.
const DIGITS_MAX: i32 = 38;

/// What a leaf's JSON values become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Int64,
    Float,
    Double,
    Text,
    Bytes,
    /// With its digits.
    Decimal(i32),
}

/// One value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Float(f32),
    Double(f64),
    Bytes(ByteArray),
}

impl Kind {
    pub(crate) const fn physical(self) -> Physical {
        match self {
            Self::Bool => Physical::BOOLEAN,
            Self::Int32 => Physical::INT32,
            Self::Int64 => Physical::INT64,
            Self::Float => Physical::FLOAT,
            Self::Double => Physical::DOUBLE,
            Self::Text | Self::Bytes | Self::Decimal(_) => Physical::BYTE_ARRAY,
        }
    }

    /// A value; none if it is of another kind.
    pub(crate) fn cell(self, value: &Value) -> Option<Cell> {
        Some(match self {
            Self::Bool => Cell::Bool(value.as_bool()?),
            Self::Int32 => Cell::Int32(i32::try_from(value.as_i64()?).ok()?),
            Self::Int64 => Cell::Int64(value.as_i64()?),
            // The nearest number of single precision is the one that was written.
            #[allow(clippy::cast_possible_truncation)]
            Self::Float => Cell::Float(float(value)? as f32),
            Self::Double => Cell::Double(float(value)?),
            Self::Text => Cell::Bytes(value.as_str()?.as_bytes().to_vec().into()),
            Self::Bytes => Cell::Bytes(STANDARD.decode(value.as_str()?).ok()?.into()),
            Self::Decimal(digits) => {
                let bytes = STANDARD.decode(value.as_str()?).ok()?;
                if !fits(&bytes, digits) {
                    return None;
                }
                Cell::Bytes(bytes.into())
            }
        })
    }
}

/// JSON has no numbers for these three; Connect writes them as texts.
fn float(value: &Value) -> Option<f64> {
    match value.as_str() {
        None => value.as_f64(),
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}

/// Whether a number in two's complement, most significant byte first, has no more digits than these.
fn fits(bytes: &[u8], digits: i32) -> bool {
    let Some(first) = bytes.first() else { return false };
    let sign = if first & 0x80 == 0 { 0 } else { u8::MAX };
    let Some(start) = bytes.len().checked_sub(16) else { return within(bytes, sign, digits) };
    bytes[..start].iter().all(|byte| *byte == sign) && within(&bytes[start..], sign, digits)
}

fn within(bytes: &[u8], sign: u8, digits: i32) -> bool {
    let mut all = [sign; 16];
    all[16 - bytes.len()..].copy_from_slice(bytes);
    let number = i128::from_be_bytes(all);
    let digits = u32::try_from(digits).unwrap_or_default();
    (number < 0) == (sign != 0) && 10i128.checked_pow(digits).is_some_and(|limit| -limit < number && number < limit)
}

/// The kind and the logical type of a schema without parts.
pub(crate) fn of(schema: &Schema) -> Result<(Kind, Option<LogicalType>), Unsupported> {
    let name = schema.name.as_deref().unwrap_or_default();
    let time = |unit| Some(LogicalType::time(false, unit));
    let timestamp = |unit| Some(LogicalType::timestamp(false, unit));
    Ok(match (schema.kind.as_str(), name) {
        ("boolean", _) => (Kind::Bool, None),
        ("int8", _) => (Kind::Int32, Some(LogicalType::integer(8, true))),
        ("int16", _) => (Kind::Int32, Some(LogicalType::integer(16, true))),
        ("int32", "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date") => {
            (Kind::Int32, Some(LogicalType::Date))
        }
        ("int32", "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time") => {
            (Kind::Int32, time(TimeUnit::MILLIS))
        }
        ("int32", _) => (Kind::Int32, None),
        ("int64", "io.debezium.time.MicroTime") => (Kind::Int64, time(TimeUnit::MICROS)),
        ("int64", "io.debezium.time.NanoTime") => (Kind::Int64, time(TimeUnit::NANOS)),
        ("int64", "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp") => {
            (Kind::Int64, timestamp(TimeUnit::MILLIS))
        }
        ("int64", "io.debezium.time.MicroTimestamp") => (Kind::Int64, timestamp(TimeUnit::MICROS)),
        ("int64", "io.debezium.time.NanoTimestamp") => (Kind::Int64, timestamp(TimeUnit::NANOS)),
        ("int64", _) => (Kind::Int64, None),
        ("float" | "float32", _) => (Kind::Float, None),
        ("double" | "float64", _) => (Kind::Double, None),
        ("string", _) => (Kind::Text, Some(LogicalType::String)),
        ("bytes", "org.apache.kafka.connect.data.Decimal") => decimal(schema)?,
        ("bytes", _) => (Kind::Bytes, None),
        (kind, _) => return Err(Unsupported(format!("field {:?} is of type {kind}", schema.field))),
    })
}

/// A decimal without a precision, or with a greater one than readers have, is given the most digits: a value that has
/// more does not fit.
fn decimal(schema: &Schema) -> Result<(Kind, Option<LogicalType>), Unsupported> {
    let number = |key: &str| schema.parameters.get(key).and_then(|text| text.parse::<i32>().ok());
    let field = &schema.field;
    let scale = number("scale").filter(|scale| (0..=DIGITS_MAX).contains(scale));
    let scale = scale.ok_or_else(|| {
        Unsupported(format!("decimal {field:?} has no scale from 0 to {DIGITS_MAX}: use decimal.handling.mode=string"))
    })?;
    let digits = number("connect.decimal.precision").unwrap_or(DIGITS_MAX).clamp(scale.max(1), DIGITS_MAX);
    Ok((Kind::Decimal(digits), Some(LogicalType::decimal(scale, digits))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decimals_have_no_more_digits_than_their_type() {
        for (bytes, digits, fit) in [
            (&[0x63][..], 2, true),
            (&[0x64], 2, false),
            (&[0x9d], 2, true),
            (&[0x9c], 2, false),
            (&[], 2, false),
            (&[0xff; 20], 1, true),
            (&[0x00; 20], 1, true),
            (&[0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 38, false),
            (&[0x00, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 38, false),
        ] {
            assert_eq!(fits(bytes, digits), fit, "{bytes:?}");
        }
    }

    #[test]
    fn values_of_another_kind_do_not_fit() {
        for (kind, value) in [
            (Kind::Bool, json!(1)),
            (Kind::Int32, json!(1_u64 << 40)),
            (Kind::Int64, json!(1.5)),
            (Kind::Float, json!("x")),
            (Kind::Text, json!(1)),
            (Kind::Bytes, json!("?")),
        ] {
            assert_eq!(kind.cell(&value), None, "{kind:?} {value}");
        }
        assert_eq!(Kind::Float.cell(&json!(0.1)), Some(Cell::Float(0.1)));
        assert_eq!(Kind::Double.cell(&json!("-Infinity")), Some(Cell::Double(f64::NEG_INFINITY)));
    }
}
