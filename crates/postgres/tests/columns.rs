//! What the catalog says of columns: defaults, labels, and types that are of no interest.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_core::change::{Column, Event};
use datapipe_core::envelope::Columns;
use datapipe_core::port::source::ChangeSource;
use datapipe_core::value::ColumnType;
use datapipe_postgres::{PgSource, SourceSpec};
use support::{Server, changes, drain_snapshot, transactions};

const LIMIT: Duration = Duration::from_secs(10);

fn shown(columns: &[Column]) -> Vec<String> {
    let line = |column: &Column| format!("{} {:?} {:?}", column.name, column.kind, column.default.as_deref());
    columns.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_and_labels_come_from_the_catalog() {
    let server = Server::start(&[]);
    let client = server.client().await;
    client.batch_execute("CREATE TYPE mood AS ENUM ('sad', 'it''s'); CREATE DOMAIN d AS int").await.unwrap();
    let columns =
        "id bigserial PRIMARY KEY, price numeric(10,2) DEFAULT 1.5, at timestamptz DEFAULT '2024-02-29 12:00+02',
        m mood DEFAULT 'sad', moods mood[], d d DEFAULT 7";
    let mut source = server.streaming(&client, "t", columns).await;
    let expected = [
        "id Int8 Some(\"0\")",
        "price Numeric(Some(Digits { precision: 10, scale: 2 })) Some(\"1.5\")",
        "at TimestampTz(6) Some(\"2024-02-29 10:00:00+00\")",
        "m Enum(\"sad,it's\") Some(\"sad\")",
        "moods Array(Enum(\"sad,it's\")) None",
        "d Int4 None",
    ];
    assert_eq!(shown(&source.inspect().await.unwrap().relation.columns), expected);
    client.batch_execute("INSERT INTO t DEFAULT VALUES").await.unwrap();
    // A label alone is not announced; with the next change of the table it is there.
    client
        .batch_execute("ALTER TYPE mood ADD VALUE 'glad'; ALTER TABLE t ALTER price SET DEFAULT 2, DROP d")
        .await
        .unwrap();
    client.batch_execute("INSERT INTO t DEFAULT VALUES").await.unwrap();
    let events = transactions(&mut source, 2, LIMIT).await;
    let relations: Vec<_> = events
        .iter()
        .filter_map(
            |event| if let Event::Change(change) = event { Some(shown(&change.relation.columns)) } else { None },
        )
        .collect();
    assert_eq!(relations[0].len(), 6, "{relations:?}");
    let price = "price Numeric(Some(Digits { precision: 10, scale: 2 })) Some(\"2\")";
    assert_eq!(relations[1][1], price);
    assert_eq!(relations[1][3], "m Enum(\"sad,it's,glad\") Some(\"sad\")");
}

/// A spec whose records hold no column that the key names.
fn spec(server: &Server, key: &str, value: &str) -> SourceSpec {
    let config = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    SourceSpec { columns: Columns::from_config(&config).unwrap(), ..server.spec("t") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_no_record_holds_may_be_of_any_type() {
    let server = Server::start(&[]);
    let client = server.client().await;
    client.batch_execute("CREATE TYPE pair AS (a int, b text)").await.unwrap();
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, p pair, v text)").await.unwrap();
    client
        .batch_execute("CREATE PUBLICATION pub_t FOR TABLE t; INSERT INTO t VALUES (1, (1, 'x'), 'v')")
        .await
        .unwrap();
    let refused = format!("{:?}", PgSource::new(server.spec("t")).create_slot().await.unwrap_err());
    assert!(refused.contains("column p: type public.pair is not supported"), "{refused}");
    for (key, value) in
        [("column.exclude.list", r"public\.t\.p"), ("column.include.list", r"public\.t\.id,public\.t\.v")]
    {
        let mut source = PgSource::new(spec(&server, key, value));
        let state = source.inspect().await.unwrap();
        assert_eq!(state.relation.columns[1], Column::new("p", ColumnType::Chars(None), true));
        let point = source.create_slot().await.unwrap();
        assert_eq!(drain_snapshot(&mut source).await, ["1,(1,x),v"]);
        source.start(point).await.unwrap();
        client.batch_execute("UPDATE t SET v = 'w'").await.unwrap();
        assert_eq!(changes(&mut source, 1).await, ["U 1,(1,x),w", "--"]);
        source.stop().await.unwrap();
        client.batch_execute("SELECT pg_drop_replication_slot('slot_t'); UPDATE t SET v = 'v'").await.unwrap();
    }
    // A record's key holds it: it is still written.
    client
        .batch_execute("CREATE TABLE k (id pair PRIMARY KEY, v text); CREATE PUBLICATION pub_k FOR TABLE k")
        .await
        .unwrap();
    let config = BTreeMap::from([("column.exclude.list".to_owned(), r"public\.k\.id".to_owned())]);
    let keyed = SourceSpec { columns: Columns::from_config(&config).unwrap(), ..server.spec("k") };
    let refused = format!("{:?}", PgSource::new(keyed).inspect().await.unwrap_err());
    assert!(refused.contains("column id: type public.pair"), "{refused}");
}
