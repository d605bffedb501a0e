//! What a sink writes and how it names it, as its configuration says.
#![allow(clippy::unwrap_used, clippy::panic)]

use datapipe_core::connector::SinkConfig;
use datapipe_core::output::{Encoding, Field, Format};
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::table::Compression;

const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// A sink of the fewest keys, with others.
fn read(others: &[(&str, &str)]) -> Result<SinkConfig, Vec<String>> {
    let keys = [
        ("name", "s3-sink-users-connector"),
        ("connector.class", "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector"),
        ("topics", "cdc.public.users"),
        ("aws.access.key.id", "id"),
        ("aws.secret.access.key", "${env:SECRET}"),
        ("aws.s3.bucket.name", "cdc"),
        ("aws.s3.region", "us-east-1"),
        ("file.name.timestamp.source", "EVENT"),
        ("format.output.type", "jsonl"),
        ("transforms", "drop"),
        ("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter"),
        ("transforms.drop.predicate", "tomb"),
        ("predicates", "tomb"),
        ("predicates.tomb.type", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
    ];
    let map: ConfigMap =
        keys.iter().chain(others).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let config =
        SinkConfig::from_map(&map).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let again = SinkConfig::from_map(&config.to_map()).unwrap();
    assert_eq!(SinkConfig { ignored: Vec::new(), ..again }, SinkConfig { ignored: Vec::new(), ..config.clone() });
    Ok(config)
}

#[track_caller]
fn refused(others: &[(&str, &str)], key: &str, why: &str) {
    let problems = read(others).unwrap_err();
    assert!(problems.iter().any(|one| one.starts_with(&format!("{key}: ")) && one.contains(why)), "{problems:?}");
}

#[test]
fn defaults_are_those_of_the_reference() {
    let config = read(&[]).unwrap();
    assert_eq!(config.layout.to_string(), "{{topic}}-{{partition}}-{{start_offset}}.gz");
    assert_eq!((config.output.format, config.output.compression), (Format::Jsonl, Compression::Gzip));
    assert_eq!((config.output.fields.as_slice(), config.output.envelope), (&[Field::Value][..], true));
    assert_eq!((config.rows_max, config.dead_letter_context), (u64::MAX, false));
    let csv = read(&[("format.output.type", ""), ("value.converter", BYTES)]).unwrap();
    assert_eq!((csv.output.format, csv.output.value_encoding), (Format::Csv, Encoding::Base64));
}

#[test]
fn every_form_is_read_and_written() {
    let fields = ("format.output.fields", "key, value,offset,timestamp,headers");
    for compression in Compression::ALL {
        let compressed = ("file.compression.type", compression.name());
        for format in [Format::Jsonl, Format::Json] {
            let config =
                read(&[("format.output.type", format.name()), compressed, fields, ("header.converter", STRING)]);
            let output = config.unwrap().output;
            assert_eq!((output.format, output.compression, output.fields.len()), (format, compression, 5));
            assert_eq!(output.header_encoding, Encoding::None);
        }
        let csv = [("format.output.type", "csv"), compressed, fields, ("header.converter", BYTES)];
        let csv: Vec<_> = csv.into_iter().chain([("key.converter", BYTES), ("value.converter", BYTES)]).collect();
        let plain: Vec<_> = csv.iter().copied().chain([("format.output.fields.value.encoding", "none")]).collect();
        assert_eq!(read(&csv).unwrap().output.value_encoding, Encoding::Base64);
        assert_eq!(read(&plain).unwrap().output.value_encoding, Encoding::None);
    }
    let prefixed =
        read(&[("aws.s3.prefix", "lake/"), ("file.name.template", "{{topic}}/{{partition}}/{{start_offset}}")]);
    assert_eq!(prefixed.unwrap().layout.to_string(), "lake/{{topic}}/{{partition}}/{{start_offset}}");
}

#[test]
fn what_the_reference_would_fail_at_is_refused() {
    refused(&[("format.output.type", "avro")], "format.output.type", "not served");
    refused(&[("format.output.fields", "value,row")], "format.output.fields", "\"row\" is no field");
    refused(&[("format.output.fields", "value,value")], "format.output.fields", "twice");
    let both = [("format.output.fields", "key,value"), ("format.output.envelope", "false")];
    refused(&both, "format.output.envelope", "more than one field");
    refused(&[("format.output.type", "csv")], "value.converter", "csv is not made of its values");
    refused(&[("value.converter", BYTES)], "value.converter", "jsonl is not made of its values");
    let csv_key = [("format.output.type", "csv"), ("value.converter", BYTES), ("format.output.fields", "key")];
    refused(&csv_key, "key.converter", "csv is not made");
    refused(&[("format.output.fields", "headers")], "header.converter", "guesses types");
    refused(&[("file.compression.type", "lzo")], "file.compression.type", "not served");
    let ending =
        [("file.name.template", "{{topic}}-{{partition}}-{{start_offset}}.gz"), ("file.compression.type", "zstd")];
    refused(&ending, "file.name.template", "ends like gzip");
    refused(&[("file.name.template", "{{key}}")], "file.name.template", "each key its own object");
    refused(&[("aws.s3.prefix", "{{utc_date}}/")], "aws.s3.prefix", "has a variable");
}

#[test]
fn parquet_needs_a_schema() {
    let parquet = ("format.output.type", "parquet");
    refused(&[parquet], "value.converter.schemas.enable", "no schema");
    let schemas = ("value.converter.schemas.enable", "true");
    let output = read(&[parquet, schemas, ("file.compression.type", "zstd")]).unwrap();
    assert_eq!(output.layout.to_string(), "{{topic}}-{{partition}}-{{start_offset}}");
    assert_eq!((output.output.format, output.output.schemas), (Format::Parquet, true));
    let fields = ("format.output.fields", "key,value");
    refused(&[parquet, schemas, fields], "key.converter.schemas.enable", "a key has no schema");
    let output = read(&[parquet, schemas, fields, ("key.converter.schemas.enable", "true")]).unwrap();
    assert!(output.output.key_schemas);
    let ending = ("file.name.template", "{{topic}}-{{partition}}-{{start_offset}}.gz");
    refused(&[parquet, schemas, ending], "file.name.template", "ends like gzip");
}
