//! What an object holds of each record, and in which form.

use crate::table::Compression;

/// The form of an object's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON value per line.
    Jsonl,
    /// One JSON array.
    Json,
    /// Lines of fields with commas between them, nothing quoted: bytes are base64, or stand as they are.
    Csv,
    /// Apache Parquet: a column per leaf of the value's schema.
    Parquet,
}

/// A part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The key.
    Key,
    /// The value.
    Value,
    /// The offset in its partition.
    Offset,
    /// The log's timestamp of it.
    Timestamp,
    /// The headers.
    Headers,
}

/// How bytes are written where the format has no form of its own for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    None,
    /// As base64.
    Base64,
}

/// The form of a sink's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `format.output.type`
    pub format: Format,
    /// `format.output.fields`: in this order, at least one, each once.
    pub fields: Vec<Field>,
    /// `format.output.envelope`: JSON values hold the fields by name. Without it the only field is the value itself.
    pub envelope: bool,
    /// `format.output.fields.value.encoding`: of values in CSV.
    pub value_encoding: Encoding,
    /// How headers' values are written in JSON, from `header.converter`: as texts, or as base64.
    pub header_encoding: Encoding,
    /// `file.compression.type`; of Parquet that of its pages.
    pub compression: Compression,
    /// `value.converter.schemas.enable`: values come with their schema, which only Parquet uses.
    pub schemas: bool,
    /// `key.converter.schemas.enable`: the same of keys.
    pub key_schemas: bool,
}

impl Format {
    /// Its name in `format.output.type`, which is its ending too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

impl Field {
    /// All fields, in the order of a JSON object's members. It is the one of the reference, which keeps them in a hash
    /// map.
    pub const ALL: [Self; 5] = [Self::Headers, Self::Offset, Self::Value, Self::Key, Self::Timestamp];

    /// Its name in `format.output.fields`, and in a JSON object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
            Self::Offset => "offset",
            Self::Timestamp => "timestamp",
            Self::Headers => "headers",
        }
    }
}

impl Output {
    /// The contract's: values as lines of JSON.
    pub fn lines(compression: Compression) -> Self {
        Self {
            format: Format::Jsonl,
            fields: vec![Field::Value],
            envelope: false,
            value_encoding: Encoding::Base64,
            header_encoding: Encoding::None,
            compression,
            schemas: false,
            key_schemas: false,
        }
    }

    /// The ending of object names: `.jsonl.gz`.
    pub fn ending(&self) -> String {
        let outside = if self.format == Format::Parquet { "" } else { self.compression.ending() };
        format!(".{}{outside}", self.format.name())
    }

    /// Whether a record is its value and nothing else.
    pub fn only_value(&self) -> bool {
        !self.envelope && self.fields == [Field::Value] && matches!(self.format, Format::Jsonl | Format::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_of_a_java_hash_map() {
        let bucket = |field: Field| {
            let hash = field.name().bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
            (hash ^ (hash >> 16)) & 15
        };
        assert!(Field::ALL.is_sorted_by_key(|field| bucket(*field)), "{:?}", Field::ALL.map(bucket));
    }
}
