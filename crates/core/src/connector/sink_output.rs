//! The keys of a sink that say how objects are named and what they hold.

use super::reader::Reader;
use crate::layout::Layout;
use crate::output::{Encoding, Field, Format, Output};
use crate::port::connect::ConfigMap;
use crate::table::Compression;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const FIELDS: &str = "format.output.fields";
const SCHEMAS: &str = "value.converter.schemas.enable";
const KEY_SCHEMAS: &str = "key.converter.schemas.enable";

/// What objects hold.
pub(super) fn output(reader: &mut Reader<'_>) -> Output {
    let format = match reader.choice("format.output.type") {
        "jsonl" => Format::Jsonl,
        "json" => Format::Json,
        "parquet" => Format::Parquet,
        _ => Format::Csv,
    };
    let fields = fields(reader);
    let compression = reader.choice("file.compression.type");
    let compression = Compression::ALL.into_iter().find(|known| known.name() == compression);
    let envelope = reader.boolean("format.output.envelope", true);
    if !envelope && fields.len() != 1 {
        let why = "is false, and format.output.fields names more than one field";
        reader.problem("format.output.envelope", why, "set true, or name one field");
    }
    let value_encoding = match reader.choice("format.output.fields.value.encoding") {
        "none" => Encoding::None,
        _ => Encoding::Base64,
    };
    converters(reader, format, &fields);
    let header_encoding = headers(reader, format, &fields);
    let compression = compression.unwrap_or(Compression::Gzip);
    let schemas = reader.boolean(SCHEMAS, false);
    let key_schemas = reader.boolean(KEY_SCHEMAS, false);
    for (key, field, given) in [(SCHEMAS, Field::Value, schemas), (KEY_SCHEMAS, Field::Key, key_schemas)] {
        if format == Format::Parquet && fields.contains(&field) && !given {
            let why =
                format!("is false, so a {} has no schema, and the columns of Parquet are made of one", field.name());
            reader.problem(key, why, "set true here and for the source");
        }
    }
    Output { format, fields, envelope, value_encoding, header_encoding, compression, schemas, key_schemas }
}

fn fields(reader: &mut Reader<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    for name in reader.optional(FIELDS).unwrap_or("value").split(',').map(str::trim) {
        match Field::ALL.into_iter().find(|field| field.name() == name) {
            Some(field) if !fields.contains(&field) => fields.push(field),
            Some(_) => reader.problem(FIELDS, format!("names {name} twice"), "name each field once"),
            None => {
                let fix = "name some of key, value, offset, timestamp and headers, separated by commas";
                reader.problem(FIELDS, format!("{name:?} is no field"), fix);
            }
        }
    }
    fields
}

/// JSON is made of what the JSON converter reads, CSV of bytes: the reference fails at any other pair.
fn converters(reader: &mut Reader<'_>, format: Format, fields: &[Field]) {
    for (key, asked) in [("key.converter", fields.contains(&Field::Key)), ("value.converter", true)] {
        let given = reader.optional(key).unwrap_or(JSON);
        let (serves, instead) = match format {
            Format::Csv if asked => (given == BYTES, BYTES),
            Format::Csv => (matches!(given, JSON | BYTES), BYTES),
            Format::Jsonl | Format::Json | Format::Parquet => (given == JSON, JSON),
        };
        if !serves {
            let why = format!("is {given}, and format.output.type={} is not made of its values", format.name());
            reader.problem(key, why, format!("set {instead}"));
        }
    }
}

/// The default converter guesses a type from each header's text, so one header could change its type from record to
/// record.
fn headers(reader: &mut Reader<'_>, format: Format, fields: &[Field]) -> Encoding {
    const KEY: &str = "header.converter";
    let given = reader.optional(KEY);
    if !fields.contains(&Field::Headers) {
        return Encoding::None;
    }
    match (given, format) {
        (Some(BYTES), _) => return Encoding::Base64,
        (Some(STRING), Format::Jsonl | Format::Json | Format::Parquet) => return Encoding::None,
        _ => {}
    }
    let fix = match format {
        Format::Csv => format!("set {BYTES}"),
        Format::Jsonl | Format::Json | Format::Parquet => format!("set {STRING} for texts or {BYTES} for base64"),
    };
    let why = match given {
        None => "is missing, which means a converter that guesses types from texts".to_owned(),
        Some(given) => format!("is {given}, which is not served where headers are written"),
    };
    reader.problem(KEY, why, fix);
    Encoding::None
}

/// How objects are named. Without a template it is the reference's default.
pub(super) fn layout(reader: &mut Reader<'_>, output: &Output) -> Layout {
    const KEY: &str = "file.name.template";
    const PREFIX: &str = "aws.s3.prefix";
    let folder = reader.optional(PREFIX).unwrap_or_default();
    if folder.contains("{{") {
        let fix = "put the variables into file.name.template";
        reader.problem(PREFIX, "has a variable, and names are made of file.name.template alone", fix);
    }
    let ending = if output.format == Format::Parquet { "" } else { output.compression.ending() };
    let default = format!("{{{{topic}}}}-{{{{partition}}}}-{{{{start_offset}}}}{ending}");
    let template = reader.optional(KEY).unwrap_or(&default);
    let example = format!("set it as in \"{}\"", Layout::contract("users", &output.ending()));
    // Parquet is compressed inside.
    let outside = if output.format == Format::Parquet { Compression::None } else { output.compression };
    if let Some(other) = misleading(template, outside) {
        let why = format!("{template:?} ends like {other}, and the object's compression is {}", outside.name());
        reader.problem(KEY, why, format!("end it with {:?}", output.ending()));
    }
    format!("{folder}{template}").parse().unwrap_or_else(|why| {
        reader.problem(KEY, format!("{template:?} is not served: {why}"), example);
        Layout::contract("", "")
    })
}

/// A compression that a name claims and its content would not have.
fn misleading(template: &str, compression: Compression) -> Option<&'static str> {
    let claims = |other: &Compression| !other.ending().is_empty() && template.ends_with(other.ending());
    Compression::ALL.into_iter().find(claims).filter(|other| *other != compression).map(Compression::name)
}

/// The keys that [`output`] reads.
pub(super) fn write_output(output: &Output, map: &mut ConfigMap) {
    let mut put = |key: &str, value: &str| map.insert(key.to_owned(), value.to_owned());
    put("format.output.type", output.format.name());
    put(FIELDS, &output.fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(","));
    put("format.output.envelope", if output.envelope { "true" } else { "false" });
    put("file.compression.type", output.compression.name());
    let converter = if output.format == Format::Csv { BYTES } else { JSON };
    put("key.converter", converter);
    put("value.converter", converter);
    put(SCHEMAS, if output.schemas { "true" } else { "false" });
    put(KEY_SCHEMAS, if output.key_schemas { "true" } else { "false" });
    if output.value_encoding == Encoding::None {
        put("format.output.fields.value.encoding", "none");
    }
    if output.fields.contains(&Field::Headers) {
        put("header.converter", if output.header_encoding == Encoding::Base64 { BYTES } else { STRING });
    }
}
