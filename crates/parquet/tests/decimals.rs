//! Numbers of a table with their digits: from the encoder, through the schema that it writes, into a column and back.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use datapipe_core::change::{Cell, Column, Relation, ReplicaIdentity, Tuple};
use datapipe_core::envelope::{Columns, Encoder, EnvelopeSettings, Nulls, SnapshotMarker};
use datapipe_core::lsn::Lsn;
use datapipe_core::output::{Field, Format, Output};
use datapipe_core::port::log::ReadHeaders;
use datapipe_core::table::Compression;
use datapipe_core::value::{ColumnType, Digits, Modes};
use datapipe_parquet::{Record, Row, Schemas, Shape, Writer, read};
use parquet::basic::LogicalType;
use parquet::file::reader::{FileReader, SerializedFileReader};

const NUMBERS: [(&str, Digits, &str, &str); 4] = [
    ("price", Digits { precision: 10, scale: 2 }, "12345678.90", "SZYC0g=="),
    ("whole", Digits { precision: 5, scale: 0 }, "-7", "+Q=="),
    ("long", Digits { precision: 38, scale: 20 }, "0.00000000000000000001", "AQ=="),
    // More digits than readers have.
    ("longer", Digits { precision: 40, scale: 20 }, "1.00000000000000000000", "BWvHXi1jEAAA"),
];

#[test]
fn numbers_have_the_digits_of_their_column() {
    let number = |(name, digits, ..): &(&str, Digits, &str, &str)| Column {
        default: Some("0".into()),
        ..Column::new(name, ColumnType::Numeric(Some(*digits)), true)
    };
    let relation = Arc::new(Relation {
        schema: "public".to_owned(),
        name: "t".to_owned(),
        columns: NUMBERS.iter().map(number).collect(),
        key: Vec::new(),
        identity: ReplicaIdentity::Default,
    });
    let mut encoder = Encoder::new(EnvelopeSettings {
        version: "3.7.0.Final".to_owned(),
        server_name: "cdc".to_owned(),
        database: "shop".to_owned(),
        data_topic: "cdc.public.t".to_owned(),
        tombstones_on_delete: true,
        key_schemas: false,
        schemas: true,
        schemas_for_defaults: false,
        formless_null: false,
        losses_too: false,
        nulls: Nulls::KEPT,
        modes: Modes::DEBEZIUM,
        columns: Columns::all(),
        transaction_topic: None,
    });
    let row = Tuple::from_cells(NUMBERS.iter().map(|(_, _, text, _)| Cell::Text(text.as_bytes())));
    let mut value = String::new();
    encoder
        .encode_snapshot_row(&relation, &row, SnapshotMarker::Last, Lsn(1), 0, &mut |record| {
            value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        })
        .unwrap();
    let (schema, payload) = value.strip_prefix("{\"schema\":").unwrap().split_once(",\"payload\":").unwrap();
    let lines = Output::lines(Compression::None);
    let output =
        Output { format: Format::Parquet, fields: vec![Field::Value], envelope: false, schemas: true, ..lines };
    let shape = Shape::new(Schemas { value: Some(schema), key: None }, &output).unwrap();
    let file = tempfile::tempfile().unwrap();
    let mut writer = Writer::new(file.try_clone().unwrap(), &shape, output.compression, 1).unwrap();
    let mut row = Row::default();
    let value = payload.strip_suffix('}').unwrap().as_bytes();
    let record = Record { value, key: b"", offset: 0, timestamp_ms: 0, headers: ReadHeaders::of(&[]) };
    row.take(&shape, record).unwrap();
    writer.add(&mut row).unwrap();
    writer.finish().unwrap();

    let reader = SerializedFileReader::new(file.try_clone().unwrap()).unwrap();
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let kind = |name: &str| {
        let path = format!("after.{name}");
        let column = columns.iter().find(|column| column.path().string() == path).unwrap();
        column.logical_type_ref().cloned()
    };
    for (name, digits, ..) in NUMBERS {
        let precision = i32::from(digits.precision).min(38);
        assert_eq!(kind(name), Some(LogicalType::decimal(i32::from(digits.scale), precision)), "{name}");
    }
    let mut rows = Vec::new();
    let mut take = |row: &[u8]| {
        rows.push(serde_json::from_slice::<serde_json::Value>(row).unwrap());
        Ok::<(), ()>(())
    };
    read(file, &mut take).unwrap();
    for (name, _, _, bytes) in NUMBERS {
        assert_eq!(rows[0]["after"][name], bytes, "{name}");
    }
}
