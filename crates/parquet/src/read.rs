//! A file's rows as the JSON that they were made of.

use std::fs::File;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

/// Why a file could not be read to its end.
#[derive(Debug)]
pub enum ReadError<E> {
    /// It is no such file, or a damaged one.
    Content(String),
    /// Whoever takes the rows failed.
    Taker(E),
}

/// Hands each row on as a JSON object of its columns.
pub fn read<E>(file: File, take: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), ReadError<E>> {
    let content = |error: ParquetError| ReadError::Content(error.to_string());
    let reader = SerializedFileReader::new(file).map_err(content)?;
    let mut text = Vec::new();
    for row in reader.get_row_iter(None).map_err(content)? {
        text.clear();
        let row = object(&row.map_err(content)?).map_err(ReadError::Content)?;
        serde_json::to_writer(&mut text, &row).map_err(|error| ReadError::Content(error.to_string()))?;
        take(&text).map_err(ReadError::Taker)?;
    }
    Ok(())
}

fn object(row: &Row) -> Result<Value, String> {
    let members = row.get_column_iter().map(|(name, field)| Ok((name.clone(), value(field)?)));
    Ok(Value::Object(members.collect::<Result<Map<_, _>, String>>()?))
}

fn value(field: &Field) -> Result<Value, String> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => (*value).into(),
        Field::Long(value)
        | Field::TimeMicros(value)
        | Field::TimestampMillis(value)
        | Field::TimestampMicros(value) => (*value).into(),
        // The shortest digits that mean this number in single precision.
        Field::Float(value) => match value.to_string().parse() {
            Ok(number) if value.is_finite() => float(number),
            _ => float(f64::from(*value)),
        },
        Field::Double(value) => float(*value),
        Field::Str(value) => value.as_str().into(),
        Field::Bytes(value) => STANDARD.encode(value.data()).into(),
        Field::Decimal(value) => STANDARD.encode(value.data()).into(),
        Field::Group(row) => object(row)?,
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect::<Result<_, _>>()?),
        Field::MapInternal(map) => {
            let pair = |(name, field): &(Field, Field)| match name {
                Field::Str(name) => Ok((name.clone(), value(field)?)),
                other => Err(format!("a map's key is {other}")),
            };
            Value::Object(map.entries().iter().map(pair).collect::<Result<_, String>>()?)
        }
        other => return Err(format!("a value is of a kind that the sink does not write: {other}")),
    })
}

fn float(number: f64) -> Value {
    let special = if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    Number::from_f64(number).map_or_else(|| special.into(), Value::Number)
}
