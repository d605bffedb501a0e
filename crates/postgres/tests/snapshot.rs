//! Snapshots: exactly the rows before the boundary, in an order that is ours too, resumed where they stopped.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datapipe_core::Lsn;
use datapipe_core::change::{Action, Cell, Event, Relation, Tuple};
use datapipe_core::key::{compare, key_of};
use datapipe_core::port::ErrorKind;
use datapipe_core::port::source::{ChangeSource, KeyBound};
use datapipe_postgres::PgSource;
use support::{Server, drain_snapshot, show, transactions};

fn fields(tuple: &Tuple) -> (i64, i64) {
    let cells: Vec<i64> = tuple
        .cells()
        .map(|cell| match cell {
            Cell::Text(text) => std::str::from_utf8(text).unwrap().parse().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    (cells[0], cells[1])
}

/// Applies a change to what is known; each must follow from what was there.
fn apply(rows: &mut BTreeMap<i64, i64>, action: &Action) {
    match action {
        Action::Insert(new) => {
            let (id, version) = fields(new);
            assert_eq!(rows.insert(id, version), None, "row {id} came twice");
        }
        Action::Update { new, .. } => {
            let (id, version) = fields(new);
            assert_eq!(rows.insert(id, version), Some(version - 1), "an update of {id} was lost or doubled");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_and_stream_meet_without_gap_or_double() {
    let server = Server::start(&[]);
    let client = server.client().await;
    client
        .batch_execute(
            "CREATE TABLE items (id int PRIMARY KEY, v int); CREATE PUBLICATION pub_items FOR TABLE items; \
                        INSERT INTO items SELECT i, 0 FROM generate_series(1, 500) i",
        )
        .await
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..4 {
        let (client, stop) = (server.client().await, Arc::clone(&stop));
        writers.push(tokio::spawn(async move {
            let mut id = 1000 + writer * 1_000_000;
            while !stop.load(Ordering::Relaxed) {
                let (low, high) = (1 + writer * 100, 100 + writer * 100);
                let sql = format!(
                    "INSERT INTO items VALUES ({id}, 0), ({}, 0); UPDATE items SET v = v + 1 WHERE id BETWEEN {low} AND {high}",
                    id + 1
                );
                client.batch_execute(&sql).await.unwrap();
                id += 2;
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut source = PgSource::new(server.spec("items"));
    let point = source.create_slot().await.unwrap();
    let mut rows = BTreeMap::new();
    loop {
        let mut read = Vec::new();
        source.read_rows(None, &mut read).await.unwrap();
        if read.is_empty() {
            break;
        }
        for row in &read {
            let (id, version) = fields(row);
            assert_eq!(rows.insert(id, version), None);
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    client.batch_execute("INSERT INTO items VALUES (-1, 0)").await.unwrap();
    source.start(point).await.unwrap();
    let snapshot = rows.len();
    let mut streamed = 0;
    while !rows.contains_key(&-1) {
        let events = transactions(&mut source, 1, Duration::from_secs(20)).await;
        for event in &events {
            if let Event::Change(change) = event {
                streamed += 1;
                apply(&mut rows, &change.action);
            }
        }
    }
    assert!(snapshot > 500 && streamed > 100, "{snapshot} rows, {streamed} changes: the writers were idle");
    let table = client.query("SELECT id::bigint, v::bigint FROM items", &[]).await.unwrap();
    let table: BTreeMap<i64, i64> = table.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(rows == table);
}

/// Reads rows until the snapshot ends or `enough` are there.
async fn read(source: &mut PgSource, after: Option<&KeyBound>, enough: usize) -> (Arc<Relation>, Vec<Tuple>) {
    let mut rows = Vec::new();
    loop {
        let before = rows.len();
        let relation = source.read_rows(after, &mut rows).await.unwrap();
        if rows.len() == before || rows.len() >= enough {
            return (relation, rows);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_goes_on_above_the_last_key_whatever_the_keys_type() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let tables = [
        ("by_int", "k bigint", "(i * 7919) % 30011 - 15000"),
        ("by_text", "k text COLLATE \"en-x-icu\"", "chr(33 + i % 90) || chr(97 + i % 26) || repeat('é', i % 3) || i"),
        ("by_char", "k char(20)", "chr(9 + 91 * (i % 2)) || i"),
        ("by_uuid", "k uuid", "md5(i::text)::uuid"),
        ("by_two", "a bool, k varchar(40)", "i % 2 = 0, 'O''Neil\\' || i"),
        ("by_enum", "a mood, k int", "(ARRAY['sad', 'ok', 'Happy'])[1 + i % 3]::mood, i"),
        ("by_numeric", "k numeric", "i * 1.5"),
        ("by_inet", "k inet", "'10.0.0.0'::inet + i"),
        ("by_time", "k timestamptz", "'2026-01-01'::timestamptz + i * interval '1.5 s'"),
    ];
    client.batch_execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'Happy')").await.unwrap();
    for (table, columns, values) in tables {
        let names: Vec<&str> = columns.split(", ").map(|column| column.split(' ').next().unwrap()).collect();
        let sql = format!(
            "CREATE TABLE {table} (pad text, {columns}, PRIMARY KEY ({})); \
             INSERT INTO {table} SELECT repeat('x', 100), {values} FROM generate_series(1, 15000) i",
            names.join(", ")
        );
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let (mut first, mut second) = (PgSource::new(server.spec(table)), PgSource::new(server.spec(table)));
        first.open_snapshot().await.unwrap();
        let (relation, mut rows) = read(&mut first, None, 1).await;
        assert!(rows.len() < 15_000, "{table}: the first read took all");
        let bound = key_of(&relation, rows.last().unwrap());
        drop(first);
        second.open_snapshot().await.unwrap();
        rows.extend(read(&mut second, Some(&bound), usize::MAX).await.1);
        assert_eq!(rows.len(), 15_000, "{table}");
        for pair in rows.windows(2) {
            let order = compare(&relation, &key_of(&relation, &pair[0]), &key_of(&relation, &pair[1]));
            assert!(order.is_lt(), "{table}: {} before {}", show(&pair[0]), show(&pair[1]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_and_stream_have_the_same_text_of_every_type() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let columns = "id int PRIMARY KEY, f4 real, f8 double precision, n numeric, t text, b bytea, bo bool, \
                   ts timestamptz, d date, i interval, j jsonb, a text[], c char(4), money money, bits bit(3), xml xml";
    let mut source = server.streaming(&client, "types", columns).await;
    client
        .batch_execute("INSERT INTO types VALUES \
            (1, 0.1, 1e-300, 'NaN', E'a\\tb\\\\c\\nd\\re\\b\\f\\v', '\\x00ff', true, '2026-01-01 00:00:00.123456+02', \
             '0044-03-15 BC', '1 year -2 days 03:04:05.6', '{\"a\": [1, null]}', ARRAY['x', NULL, 'a\"b,c'], 'ab', \
             1234.5, '101', '<a/>'), \
            (2, 'infinity', '-infinity', 'Infinity', '', '', false, 'infinity', '12026-01-01', '-1 s', 'null', '{}', '', \
             -0.01, '000', '<b>x</b>')")
        .await
        .unwrap();
    let events = transactions(&mut source, 1, Duration::from_secs(10)).await;
    let streamed: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Change(change) => match &change.action {
                Action::Insert(new) => Some(show(new)),
                other => panic!("{other:?}"),
            },
            _ => None,
        })
        .collect();
    source.open_snapshot().await.unwrap();
    assert_eq!(drain_snapshot(&mut source).await, streamed);
    assert!(streamed[0].contains("2025-12-31 22:00:00.123456+00"), "{}", streamed[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_read_and_says_so() {
    let server = Server::start(&[]);
    let client = server.client().await;
    client.batch_execute("CREATE TABLE log (a int, b text); INSERT INTO log VALUES (1, 'x'), (1, 'x')").await.unwrap();
    let mut source = PgSource::new(server.spec("log"));
    assert_eq!(source.inspect().await.unwrap().relation.key, [] as [usize; 0]);
    assert!(source.open_snapshot().await.unwrap() > Lsn::ZERO);
    assert_eq!(drain_snapshot(&mut source).await, ["1,x", "1,x"]);
    let left = client.query("SELECT slot_name FROM pg_replication_slots", &[]).await.unwrap();
    assert!(left.is_empty(), "a temporary slot stayed behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_snapshot_fails_does_not_stay() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = PgSource::new(server.spec("nothing"));
    let error = source.create_slot().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(client.query("SELECT 1 FROM pg_replication_slots", &[]).await.unwrap().is_empty(), "{}", error.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_waits_for_a_long_transaction_gives_up_and_leaves_nothing() {
    let server = Server::start(&[]);
    let client = server.client().await;
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION pub_t FOR TABLE t").await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    let mut spec = server.spec("t");
    spec.snapshot_wait = Duration::from_millis(500);
    let mut source = PgSource::new(spec);
    let error = source.create_slot().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(error.report().contains("pg_stat_activity"), "{}", error.report());
    client.batch_execute("COMMIT").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(client.query("SELECT 1 FROM pg_replication_slots", &[]).await.unwrap().is_empty());
    source.create_slot().await.unwrap();
    assert_eq!(drain_snapshot(&mut source).await, ["1"]);
}
