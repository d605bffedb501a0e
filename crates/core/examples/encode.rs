//! How many rows of eight columns one core encodes per second: `cargo run --release -p datapipe-core --example encode`.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::sync::Arc;
use std::time::Instant;

use datapipe_core::change::{Action, Cell, Change, Column, Relation, ReplicaIdentity, Tuple};
use datapipe_core::envelope::{Columns, Encoder, EnvelopeSettings, Nulls, TransactionInfo};
use datapipe_core::lsn::Lsn;
use datapipe_core::value::{ColumnType, Digits, Modes};

const ROWS: u64 = 2_000_000;
const SAMPLES: usize = 3;

fn main() {
    let column = |name: &str, kind| Column::new(name, kind, true);
    let relation = Arc::new(Relation {
        schema: "public".to_owned(),
        name: "users".to_owned(),
        columns: vec![
            column("id", ColumnType::Int8),
            column("email", ColumnType::Text),
            column("name", ColumnType::Text),
            column("balance", ColumnType::Numeric(Some(Digits { precision: 10, scale: 2 }))),
            column("active", ColumnType::Bool),
            column("created_at", ColumnType::TimestampTz(6)),
            column("profile", ColumnType::Json),
            column("note", ColumnType::Text),
        ],
        key: vec![0],
        identity: ReplicaIdentity::Default,
    });
    let row = Tuple::from_cells([
        Cell::Text(b"1234567"),
        Cell::Text(b"ada.lovelace@example.org"),
        Cell::Text(b"Ada Lovelace"),
        Cell::Text(b"1024.50"),
        Cell::Text(b"t"),
        Cell::Text(b"2024-02-29 12:34:56.789012+00"),
        Cell::Text(br#"{"plan": "pro", "seats": 12}"#),
        Cell::Null,
    ]);
    let change = Change { lsn: Lsn(59_355_904), relation, action: Action::Insert(row) };
    let commit_time_us = 1_795_425_151_229_754;
    let transaction =
        TransactionInfo { xid: 4347, commit: Lsn(59_356_168), commit_time_us, last_commit: Lsn(59_355_000) };
    let mut encoder = Encoder::new(EnvelopeSettings {
        version: "3.7.0.Final".to_owned(),
        server_name: "cdc".to_owned(),
        database: "shop".to_owned(),
        data_topic: "cdc.public.users".to_owned(),
        tombstones_on_delete: true,
        key_schemas: false,
        schemas: false,
        schemas_for_defaults: false,
        formless_null: false,
        losses_too: false,
        nulls: Nulls::KEPT,
        modes: Modes::PLAN,
        columns: Columns::default(),
        transaction_topic: None,
    });
    for _ in 0..SAMPLES {
        let mut bytes = 0;
        let start = Instant::now();
        for _ in 0..ROWS {
            let mut count = |record: datapipe_core::port::log::Record<'_>| bytes += record.value.map_or(0, <[u8]>::len);
            encoder.encode(&change, &transaction, commit_time_us, &mut count).expect("the row is valid");
        }
        let seconds = start.elapsed().as_secs_f64();
        let (rows, bytes) = (ROWS as f64, bytes as f64);
        println!("{:.2} M rows/s, {:.0} MB/s, {:.0} B each", rows / seconds / 1e6, bytes / seconds / 1e6, bytes / rows);
    }
}
