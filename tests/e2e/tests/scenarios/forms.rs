//! Modes, transforms and transaction metadata through the whole pipeline, with a kill in its middle: each event once, in
//! its form, in its topic and in S3.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use datapipe_core::connector::SourceConfig;
use datapipe_core::port::log::ReadRecord;
use datapipe_e2e::stage::{BUCKET, PATIENCE, PG15, Stage, eventually, names};
use datapipe_e2e::{clients, topic};
use datapipe_kafka::{ReaderSettings, TopicReader};
use datapipe_postgres::{SourceSpec, TableRows};
use datapipe_reconcile::{TupleRows, reconcile};
use serde_json::Value;
use tokio::time::sleep;

const COLUMNS: &str = "(id bigint PRIMARY KEY, name text, amount numeric(12,3), at timestamp, lasted interval, raw bytea, \
                       secret text)";
const TABLES: [&str; 4] = ["users", "products", "orders", "order_items"];

const SETTINGS: [(&str, &str); 22] = [
    ("users", "provide.transaction.metadata=true"),
    ("users", "decimal.handling.mode=precise"),
    ("users", "time.precision.mode=connect"),
    ("users", "interval.handling.mode=string"),
    ("users", "binary.handling.mode=hex"),
    ("products", "transforms=unwrap"),
    ("products", "transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState"),
    ("products", "transforms.unwrap.delete.tombstone.handling.mode=rewrite"),
    ("products", "transforms.unwrap.add.fields=op,lsn"),
    ("orders", "transforms=route"),
    ("orders", "transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter"),
    ("orders", "transforms.route.regex=cdc\\.public\\.(.*)"),
    ("orders", "transforms.route.replacement=cdc.all.$1"),
    ("order_items", "column.mask.with.3.chars=public.order_items.secret"),
    ("order_items", "column.exclude.list=public.order_items.raw"),
    ("order_items", "transforms=less,live"),
    ("order_items", "transforms.less.type=org.apache.kafka.connect.transforms.ReplaceField$Value"),
    ("order_items", "transforms.less.exclude=ts_us,ts_ns"),
    ("order_items", "transforms.live.type=org.apache.kafka.connect.transforms.Filter"),
    ("order_items", "transforms.live.predicate=tombstone"),
    ("order_items", "predicates=tombstone"),
    ("order_items", "predicates.tombstone.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
];

/// Rows that each round inserts in one transaction, and events that the whole round makes: as many inserts, 10 updates,
/// 4 deletes, and 3 changed keys, which are two events each.
const ROWS: i64 = 40;
const EVENTS: i64 = ROWS + 10 + 4 + 2 * 3;
const ROUNDS: i64 = 120;

async fn round(stage: &Stage, number: i64) {
    let first = number * 1000;
    for table in TABLES {
        stage
            .sql(&format!(
                "INSERT INTO {table} SELECT {first} + n, 'row ' || n, n / 8.0, '2024-02-29 12:34:56.789', \
                 make_interval(months => n, secs => n / 4.0), decode(lpad(to_hex(n), 4, '0'), 'hex'), 'hidden ' || n \
                 FROM generate_series(1, {ROWS}) n; \
                 UPDATE {table} SET amount = amount + 1 WHERE id BETWEEN {first} + 1 AND {first} + 10; \
                 DELETE FROM {table} WHERE id BETWEEN {first} + 11 AND {first} + 14; \
                 UPDATE {table} SET id = id + 500 WHERE id BETWEEN {first} + 21 AND {first} + 23"
            ))
            .await;
    }
}

async fn rounds(stage: &Stage, numbers: Range<i64>) {
    for number in numbers {
        round(stage, number).await;
        sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_hold_through_a_kill() {
    let schema = TABLES.map(|table| format!("CREATE TABLE {table} {COLUMNS};")).concat();
    let stage = Stage::new(PG15, &schema).await;
    let mut settings: Vec<(String, &str)> = SETTINGS
        .iter()
        .map(|(table, pair)| {
            let (key, value) = pair.split_once('=').unwrap();
            (format!("tables.{table}.source.config.{key}"), value)
        })
        .collect();
    settings.push(("tables.orders.sink.config.topics".to_owned(), "cdc.all.orders"));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let worker = stage.worker("first", &TABLES, &settings);
    stage.running(&TABLES).await;
    rounds(&stage, 0..ROUNDS / 2).await;
    worker.kill().unwrap();
    round(&stage, ROUNDS / 2).await;
    let worker = stage.worker("second", &TABLES, &settings);
    rounds(&stage, ROUNDS / 2 + 1..ROUNDS).await;
    stage.captured(&TABLES, PATIENCE).await;
    let expected = ROUNDS * EVENTS;

    metadata(&stage, expected).await;
    prove(&stage, "users", "cdc.public.users").await;
    prove(&stage, "orders", "cdc.all.orders").await;
    assert_eq!(values(&stage, "cdc.public.orders").await.len(), 0, "all of it is routed");

    let user = values(&stage, "cdc.public.users").await.remove(1);
    let image = &user["after"];
    assert_eq!(image["amount"], "APo=", "2 / 8 at three digits is 250, 0x00FA: {image}");
    let forms = (&image["at"], &image["lasted"], &image["raw"]);
    assert_eq!(forms, (&1_709_210_096_789_i64.into(), &"P0Y2M0DT0H0M0.5S".into(), &"0002".into()));

    let rows = arrived(&stage, "products", expected).await;
    let deleted = rows.iter().filter(|row| row["__deleted"] == "true").count();
    assert_eq!(i64::try_from(deleted).unwrap(), ROUNDS * (4 + 3));
    let mut folded = BTreeMap::new();
    for row in &rows {
        folded.insert(row["id"].as_i64().unwrap(), row);
    }
    folded.retain(|_, row| row["__deleted"] == "false");
    let sum: f64 = folded.values().map(|row| row["amount"].as_str().unwrap().parse::<f64>().unwrap()).sum();
    assert_eq!(i64::try_from(folded.len()).unwrap(), stage.number("SELECT count(*) FROM products").await);
    let held = stage.ask("SELECT sum(amount) FROM products").await.unwrap();
    assert!((sum - held.parse::<f64>().unwrap()).abs() < 0.001, "{sum} {held}");
    assert!(rows.iter().all(|row| row["__op"].is_string() && row["__lsn"].is_number() && row["before"].is_null()));

    for item in arrived(&stage, "order_items", expected).await {
        let image = if item["after"].is_null() { &item["before"] } else { &item["after"] };
        assert!(item.get("ts_us").is_none() && item.get("ts_ms").is_some() && image.get("raw").is_none(), "{item}");
        assert!(item["op"] == "d" || image["secret"] == "***", "{item}");
    }
    worker.stop().await.unwrap();
    stage.end().await;
}

/// Every value of a topic.
async fn values(stage: &Stage, name: &str) -> Vec<Value> {
    let config = clients::kafka(&stage.servers.stack).unwrap();
    let mut reader = TopicReader::new(&config, ReaderSettings::new(name, "datapipe-e2e")).unwrap();
    let mut values = Vec::new();
    let see = |record: ReadRecord<'_>| values.extend(record.value.map(|value| serde_json::from_slice(value).unwrap()));
    topic::read(&mut reader, 0, see).await.unwrap();
    values
}

/// Each transaction begins and ends once, and numbers its events from 1 to the sum that its end tells.
async fn metadata(stage: &Stage, expected: i64) {
    let mut orders: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in values(stage, "cdc.public.users").await {
        let block = &event["transaction"];
        let xid = block["id"].as_str().unwrap().split_once(':').unwrap().0.to_owned();
        orders.entry(xid).or_default().push(block["total_order"].as_i64().unwrap());
    }
    let mut told: BTreeMap<String, (Vec<String>, i64)> = BTreeMap::new();
    for note in values(stage, "cdc.transaction").await {
        let xid = note["id"].as_str().unwrap().split_once(':').unwrap().0.to_owned();
        let (statuses, events) = told.entry(xid).or_default();
        statuses.push(note["status"].as_str().unwrap().to_owned());
        *events += note["event_count"].as_i64().unwrap_or(0);
    }
    let sum: usize = orders.values().map(Vec::len).sum();
    println!("{} transactions with {sum} events, {} told of", orders.len(), told.len());
    let sum = i64::try_from(sum).unwrap();
    assert_eq!((sum, orders.len(), told.len()), (expected, told.len(), usize::try_from(ROUNDS).unwrap()));
    for (xid, (statuses, events)) in told {
        assert_eq!(statuses, ["BEGIN", "END"], "transaction {xid}");
        assert_eq!(orders[&xid], (1..=events).collect::<Vec<_>>(), "transaction {xid}");
    }
}

/// Waits until a table's objects hold what the table holds.
async fn prove(stage: &Stage, table: &str, topic: &str) {
    let source = stage.get(table, &format!("/connectors/{}/config", names(table).source_connector)).await.unwrap().1;
    let source = SourceConfig::from_map(&serde_json::from_str(&source).unwrap()).unwrap();
    let compare = async || {
        let server = clients::postgres(&stage.servers.stack).unwrap();
        let spec = SourceSpec::new(server, "public", table, &names(table).slot, &names(table).publication);
        let mut rows = TupleRows::new(TableRows::open(&spec).await.unwrap(), source.modes);
        let scope = rows.scope(topic);
        reconcile(&clients::store(&stage.servers.stack, BUCKET), &mut rows, &scope).await.unwrap()
    };
    eventually(&format!("the objects of {table}"), Duration::from_secs(30), async || compare().await.proven()).await;
    println!("{}", compare().await);
}

async fn arrived(stage: &Stage, table: &str, expected: i64) -> Vec<Value> {
    stage.arrived(table, usize::try_from(expected).unwrap()).await
}
