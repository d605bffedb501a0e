//! What stands where a row image has no value.

use super::{BinaryMode, ColumnType, DecimalMode, HstoreMode, IntervalMode, Modes, TimeMode, UNAVAILABLE};

const UNAVAILABLE_BASE64: &[u8] = b"\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"";
/// The version 3 UUID of the placeholder's bytes.
const UNAVAILABLE_UUID: &[u8] = b"\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"";

/// Writes the placeholder of a TOASTed value that an update left alone, in the type's own form.
pub fn write_unchanged(kind: &ColumnType, modes: Modes, out: &mut Vec<u8>) {
    match kind {
        ColumnType::Bytea if modes.binary != BinaryMode::Bytes => push_placeholder(out),
        ColumnType::Bytea | ColumnType::Bits(_) => out.extend_from_slice(UNAVAILABLE_BASE64),
        ColumnType::Hstore if modes.hstore == HstoreMode::Map => {
            out.extend_from_slice(format!("{{\"{UNAVAILABLE}\":\"{UNAVAILABLE}\"}}").as_bytes());
        }
        ColumnType::Hstore => {
            let pair = format!("\"{{\\\"{UNAVAILABLE}\\\":\\\"{UNAVAILABLE}\\\"}}\"");
            out.extend_from_slice(pair.as_bytes());
        }
        ColumnType::Array(element) => {
            out.push(b'[');
            match **element {
                ColumnType::Int4 | ColumnType::Int8 => push_bytes(out),
                ColumnType::Date if modes.time != TimeMode::Isostring => push_bytes(out),
                ColumnType::Uuid => out.extend_from_slice(UNAVAILABLE_UUID),
                ColumnType::Bytea if modes.binary == BinaryMode::Bytes => out.extend_from_slice(UNAVAILABLE_BASE64),
                _ => push_placeholder(out),
            }
            out.push(b']');
        }
        _ => push_placeholder(out),
    }
}

fn push_placeholder(out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(UNAVAILABLE.as_bytes());
    out.push(b'"');
}

/// The placeholder's bytes as numbers.
fn push_bytes(out: &mut Vec<u8>) {
    for (index, byte) in UNAVAILABLE.bytes().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        super::json::write_number(i64::from(byte), out);
    }
}

/// Writes what Debezium puts in the place of a value that is not in the image although the column is NOT NULL and has no
/// default that is known: the type's zero.
pub fn write_fallback(kind: &ColumnType, modes: Modes, out: &mut Vec<u8>) {
    if let ColumnType::Geometric(shape) = kind {
        super::geometry::write_shape(*shape, shape.zero().as_bytes(), out).expect("a zero is in its type's form");
        return;
    }
    let text: &[u8] = match kind {
        ColumnType::Numeric(None) if modes.decimal == DecimalMode::Precise => b"{\"scale\":0,\"value\":\"AA==\"}",
        ColumnType::Numeric(_) | ColumnType::Money if modes.decimal == DecimalMode::Precise => b"\"AA==\"",
        ColumnType::Numeric(_) | ColumnType::Money if modes.decimal == DecimalMode::Double => b"0.0",
        ColumnType::Date | ColumnType::Time(_) | ColumnType::Timestamp(_) if modes.time != TimeMode::Isostring => b"0",
        ColumnType::Interval if modes.interval == IntervalMode::String => b"\"P0Y0M0DT0H0M0S\"",
        ColumnType::Hstore if modes.hstore == HstoreMode::Map => b"{}",
        ColumnType::Bool | ColumnType::Bit => b"false",
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 | ColumnType::Oid | ColumnType::Interval => b"0",
        ColumnType::Float4 | ColumnType::Float8 => b"0.0",
        ColumnType::Numeric(Some(digits)) if digits.scale > 0 => {
            out.extend_from_slice(b"\"0.");
            out.extend((0..digits.scale).map(|_| b'0'));
            b"\""
        }
        ColumnType::Numeric(_) => b"\"0\"",
        ColumnType::Money => b"\"0.00\"",
        ColumnType::Chars(_)
        | ColumnType::Enum(_)
        | ColumnType::Text
        | ColumnType::Xml
        | ColumnType::Tsvector
        | ColumnType::Ltree
        | ColumnType::Uuid
        | ColumnType::Json
        | ColumnType::Bytea
        | ColumnType::Bits(_) => b"\"\"",
        ColumnType::Date => b"\"1970-01-01Z\"",
        ColumnType::Time(_) | ColumnType::TimeTz => b"\"00:00:00Z\"",
        ColumnType::Timestamp(_) | ColumnType::TimestampTz(_) => b"\"1970-01-01T00:00:00Z\"",
        ColumnType::Hstore => b"\"{}\"",
        ColumnType::Array(_) => b"[]",
        ColumnType::Geometric(_) => b"null",
    };
    out.extend_from_slice(text);
}
