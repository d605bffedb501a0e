//! Records to columns and back, in several row groups.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::File;

use datapipe_core::output::{Encoding, Field, Format, Output};
use datapipe_core::port::log::ReadHeaders;
use datapipe_core::table::Compression;
use datapipe_parquet::{Record, Row, Schemas, Shape, Unfit, Writer, read};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use serde_json::{Value, json};

fn output(envelope: bool, fields: &[Field]) -> Output {
    let lines = Output::lines(Compression::Zstd);
    Output { format: Format::Parquet, fields: fields.to_vec(), envelope, schemas: true, ..lines }
}

/// Fields of every kind, each optional but the first.
fn schema() -> Value {
    let field = |name: &str, kind: &str, semantic: &str| {
        let mut field = json!({ "type": kind, "optional": true, "field": name });
        if !semantic.is_empty() {
            field["name"] = semantic.into();
        }
        field
    };
    let decimal = |scale: &str| json!({ "scale": scale, "connect.decimal.precision": "20" });
    let mut price = field("price", "bytes", "org.apache.kafka.connect.data.Decimal");
    price["parameters"] = decimal("2");
    let mut tags = field("tags", "array", "");
    tags["items"] = json!({ "type": "string", "optional": true });
    let mut pairs = field("pairs", "map", "");
    pairs["keys"] = json!({ "type": "string", "optional": false });
    pairs["values"] = json!({ "type": "string", "optional": true });
    let mut nested = field("nested", "struct", "io.debezium.data.VariableScaleDecimal");
    nested["fields"] = json!([
        { "type": "int32", "optional": false, "field": "scale" }, { "type": "bytes", "optional": false, "field": "value" },
    ]);
    let mut matrix = field("structs", "array", "");
    matrix["items"] = nested.clone();
    json!({ "type": "struct", "optional": false, "fields": [
        { "type": "int64", "optional": false, "field": "id" },
        field("flag", "boolean", ""), field("small", "int16", ""), field("count", "int32", ""),
        field("ratio", "float", ""), field("score", "double", ""), field("name", "string", ""), field("raw", "bytes", ""),
        field("day", "int32", "io.debezium.time.Date"), field("at", "int64", "io.debezium.time.MicroTimestamp"),
        field("at_ms", "int64", "io.debezium.time.Timestamp"), field("at_ns", "int64", "io.debezium.time.NanoTimestamp"),
        field("clock", "int64", "io.debezium.time.MicroTime"), field("clock_ms", "int32", "io.debezium.time.Time"),
        price, tags, pairs, nested, matrix,
    ] })
}

fn optional<S: Strategy<Value = Value>>(strategy: S) -> impl Strategy<Value = Value> {
    proptest::option::weighted(0.7, strategy).prop_map(Option::unwrap_or_default)
}

fn value() -> impl Strategy<Value = Value> {
    let bytes = || proptest::collection::vec(any::<u8>(), 1..9).prop_map(|bytes| base64(&bytes));
    let nested = move || (any::<i32>(), bytes()).prop_map(|(scale, value)| json!({ "scale": scale, "value": value }));
    let text = || "[a-zé\"\\\\]{0,8}".prop_map(Value::from);
    let numbers = (
        any::<i64>(),
        optional(any::<bool>().prop_map(Value::from)),
        optional(any::<i16>().prop_map(Value::from)),
        optional(any::<i32>().prop_map(Value::from)),
        optional(
            any::<f32>()
                .prop_map(|f| if f.is_nan() { "NaN".into() } else { f.to_string().parse::<f64>().unwrap().into() }),
        ),
        optional(any::<f64>().prop_map(|f| if f.is_nan() { "NaN".into() } else { f.into() })),
    );
    let others = (
        optional(text()),
        optional(bytes().prop_map(Value::from)),
        optional(any::<i32>().prop_map(Value::from)),
        optional(any::<i64>().prop_map(Value::from)),
        optional(bytes().prop_map(Value::from)),
        optional(proptest::collection::vec(optional(text()), 0..4).prop_map(Value::from)),
        optional(proptest::collection::btree_map("[a-z]{1,3}", optional(text()), 0..3).prop_map(|map| json!(map))),
        optional(nested()),
        optional(proptest::collection::vec(optional(nested()), 0..3).prop_map(Value::from)),
    );
    (numbers, others).prop_map(|((id, flag, small, count, ratio, score), (name, raw, day, at, price, tags, pairs, nested, structs))| {
        json!({
            "id": id, "flag": flag, "small": small, "count": count, "ratio": ratio, "score": score, "name": name,
            "raw": raw, "day": day, "at": at, "at_ms": at, "at_ns": at, "clock": at, "clock_ms": day, "price": price,
            "tags": tags, "pairs": pairs, "nested": nested, "structs": structs,
        })
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

const KEY_SCHEMA: &str =
    r#"{"type":"struct","fields":[{"type":"int64","field":"id"},{"type":"string","field":"shop"}]}"#;
const NONE: Record<'static> =
    Record { value: b"", key: b"", offset: 0, timestamp_ms: 0, headers: ReadHeaders::of(&[]) };

fn written(values: &[Value], output: &Output, record: Record<'_>) -> File {
    let schema = schema().to_string();
    let schemas = Schemas {
        value: output.fields.contains(&Field::Value).then_some(schema.as_str()),
        key: output.fields.contains(&Field::Key).then_some(KEY_SCHEMA),
    };
    let shape = Shape::new(schemas, output).unwrap();
    let file = tempfile::tempfile().unwrap();
    let mut writer = Writer::new(file.try_clone().unwrap(), &shape, output.compression, 1).unwrap();
    let mut row = Row::default();
    for value in values {
        row.take(&shape, Record { value: value.to_string().as_bytes(), ..record }).unwrap();
        writer.add(&mut row).unwrap();
    }
    writer.finish().unwrap();
    file
}

fn rows(file: File) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut take = |row: &[u8]| {
        rows.push(serde_json::from_slice(row).unwrap());
        Ok::<(), ()>(())
    };
    read(file, &mut take).unwrap();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_come_back(values in proptest::collection::vec(value(), 1..30)) {
        let unwrapped = output(false, &[Field::Value]);
        prop_assert_eq!(rows(written(&values, &unwrapped, NONE)), values.clone());
        let wrapped: Vec<_> = values.iter().map(|value| json!({ "value": value })).collect();
        prop_assert_eq!(rows(written(&values, &output(true, &[Field::Value]), NONE)), wrapped);
    }
}

#[test]
fn fields_stand_beside_the_value() {
    let mut headers = Vec::new();
    ReadHeaders::write("a", Some(b"1"), &mut headers);
    ReadHeaders::write("b", None, &mut headers);
    let extras = Record { offset: 7, timestamp_ms: 9, headers: ReadHeaders::of(&headers), ..NONE };
    let fields = [Field::Value, Field::Headers, Field::Offset, Field::Timestamp];
    let value = json!({ "id": 1 });
    let mut row = rows(written(&[value], &output(true, &fields), extras)).remove(0);
    assert_eq!(row["value"]["id"], 1);
    row.as_object_mut().unwrap().remove("value");
    assert_eq!(row, json!({ "headers": { "a": "1", "b": null }, "offset": 7, "timestamp": 9 }));
    let base64 = Output { header_encoding: Encoding::Base64, ..output(true, &fields) };
    assert_eq!(rows(written(&[json!({ "id": 1 })], &base64, extras))[0]["headers"]["a"], "MQ==");
}

#[test]
fn a_key_is_a_column_or_the_row() {
    let key = br#"{"id":-3,"shop":"a"}"#;
    let record = Record { key, ..NONE };
    let value = json!({ "id": 1 });
    let row = rows(written(std::slice::from_ref(&value), &output(true, &[Field::Value, Field::Key]), record)).remove(0);
    assert_eq!((&row["key"], &row["value"]["id"]), (&json!({ "id": -3, "shop": "a" }), &json!(1)));
    assert_eq!(rows(written(&[value], &output(false, &[Field::Key]), record)), [json!({ "id": -3, "shop": "a" })]);
}

#[test]
fn row_groups_are_bounded() {
    let value = json!({ "id": 1, "name": "x".repeat(100_000) });
    let values = vec![value; 400];
    let file = written(&values, &output(false, &[Field::Value]), NONE);
    let reader = SerializedFileReader::new(file.try_clone().unwrap()).unwrap();
    let groups = reader.metadata().row_groups();
    assert!(groups.len() >= 4, "{}", groups.len());
    // The last row of a group may reach over the bound.
    assert!(groups.iter().all(|group| group.num_rows() <= 85), "8 MiB of 100 kB rows");
    assert_eq!(rows(file), {
        let absent = |name: &str| (name.to_owned(), Value::Null);
        let mut full = values[0].as_object().unwrap().clone();
        let fields = schema()["fields"].as_array().unwrap().clone();
        full.extend(
            fields
                .iter()
                .filter_map(|field| field["field"].as_str())
                .filter(|name| !matches!(*name, "id" | "name"))
                .map(absent),
        );
        vec![Value::Object(full); 400]
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let of = |schema: &str| Shape::new(Schemas { value: Some(schema), key: None }, &output(false, &[Field::Value]));
    let shape = of(&schema().to_string()).unwrap();
    let mut row = Row::default();
    for payload in [
        "{}",
        r#"{"id":"1"}"#,
        r#"{"id":1,"tags":"x"}"#,
        r#"{"id":1,"price":"?"}"#,
        "[]",
        "x",
        r#"{"id":1,"nested":{}}"#,
    ] {
        assert_eq!(row.take(&shape, Record { value: payload.as_bytes(), ..NONE }), Err(Unfit), "{payload}");
    }
    for (schema, why) in [
        (r#"{"type":"struct","fields":[]}"#, "no fields"),
        (r#"{"type":"struct","fields":[{"type":"union","field":"a"}]}"#, "of type union"),
        (
            r#"{"type":"struct","fields":[{"type":"bytes","field":"a","name":"org.apache.kafka.connect.data.Decimal"}]}"#,
            "no scale",
        ),
        ("1", "cannot be read"),
    ] {
        let refused = of(schema).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}
