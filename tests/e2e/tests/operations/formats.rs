//! Every form of objects, from one topic: each sink's objects are proven against PostgreSQL, and Parquet is read by
//! DuckDB and by Arrow's reader.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use datapipe_core::connector::{SinkConfig, SourceConfig};
use datapipe_core::port::connect::ConfigMap;
use datapipe_e2e::stage::{BUCKET, PATIENCE, PG15, Stage, eventually, names};
use datapipe_e2e::{clients, load};
use datapipe_postgres::{SourceSpec, TableRows};
use datapipe_reconcile::{Scope, TupleRows, reconcile};
use serde_json::Value;

const TABLE: &str = "users";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const ALL_FIELDS: (&str, &str) = ("format.output.fields", "key,value,offset,timestamp,headers");

/// Sinks: a name, and what differs from the planned one.
const SINKS: [(&str, &[(&str, &str)]); 5] = [
    (
        "jsonl",
        &[
            ("file.name.template", "jsonl/{{topic}}/{{partition}}-{{start_offset}}.jsonl"),
            ("file.compression.type", "none"),
            ("value.converter.schemas.enable", "true"),
        ],
    ),
    (
        "json",
        &[
            (
                "file.name.template",
                "json/{{timestamp:unit=yyyy}}-{{timestamp:unit=MM}}/{{topic}}-{{partition}}-{{start_offset}}.json.zst",
            ),
            ("file.compression.type", "zstd"),
            ("format.output.type", "json"),
            ("format.output.envelope", "true"),
            ALL_FIELDS,
            ("header.converter", STRING),
            ("key.converter.schemas.enable", "true"),
            ("value.converter.schemas.enable", "true"),
        ],
    ),
    (
        "csv",
        &[
            ("file.name.template", "csv/{{topic}}-{{partition:padding=true}}-{{start_offset}}.csv.snappy"),
            ("file.compression.type", "snappy"),
            ("format.output.type", "csv"),
            ("format.output.envelope", "true"),
            ALL_FIELDS,
            ("key.converter", BYTES),
            ("value.converter", BYTES),
            ("header.converter", BYTES),
        ],
    ),
    (
        "parquet",
        &[
            ("file.name.template", "parquet/{{topic}}-{{partition}}-{{start_offset}}.parquet"),
            ("file.compression.type", "zstd"),
            ("format.output.type", "parquet"),
            ("value.converter.schemas.enable", "true"),
        ],
    ),
    (
        "fields",
        &[
            ("file.name.template", "fields/{{topic}}-{{partition}}-{{start_offset}}.parquet"),
            ("file.compression.type", "snappy"),
            ("format.output.type", "parquet"),
            ("format.output.envelope", "true"),
            ("format.output.fields", "key,value,offset,timestamp"),
            ("key.converter.schemas.enable", "true"),
            ("value.converter.schemas.enable", "true"),
        ],
    ),
];

/// Both readers: events, rows that they hold, the sum of the amounts, and the types of the columns.
const QUERY: &str = r#"
import duckdb, glob, json, sys
import pyarrow.parquet
files = sys.argv[1]
found = duckdb.sql("""
    SELECT count(*), count(DISTINCT coalesce(after.id, before.id)), sum(after.amount)::VARCHAR,
           any_value(typeof(after.id)), any_value(typeof(after.amount)), any_value(typeof(after.flag)),
           count(*) FILTER (after.added IS NOT NULL),
           list_sort(list(DISTINCT typeof(after.day) || ' ' || typeof(after.moment) || ' ' || typeof(after.clock))),
           count(*) FILTER (after.day = DATE '2024-02-29' AND after.moment = TIMESTAMP '2024-02-29 12:34:56.789012'
                            AND after.clock = TIME '12:34:56.5')
    FROM read_parquet(?, union_by_name = true)""", params=[files]).fetchall()[0]
arrow, types, groups = 0, set(), 0
for name in glob.glob(files):
    file = pyarrow.parquet.ParquetFile(name)
    groups += file.num_row_groups
    arrow += file.read().num_rows
    after = file.schema_arrow.field("after").type
    types.add(", ".join(f"{field.name} {field.type}" for field in after))
print(json.dumps({"duckdb": found, "arrow": arrow, "objects": len(glob.glob(files)), "groups": groups, "types": sorted(types)}))
"#;

/// Events whose key is its row's, and the key's type.
const KEYS: &str = r#"
import duckdb, json, sys
found = duckdb.sql("""
    SELECT count(*) FILTER (key.id = coalesce(value.after.id, value.before.id)), any_value(typeof(key))
    FROM read_parquet(?, union_by_name = true)""", params=[sys.argv[1]]).fetchall()[0]
print(json.dumps(found))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_objects_is_proven() {
    let python = clients::python();
    let stage = Stage::for_load(PG15).await;
    let times = "ADD day date DEFAULT '2024-02-29', ADD moment timestamp DEFAULT '2024-02-29 12:34:56.789012', \
                 ADD clock time DEFAULT '12:34:56.5'";
    stage.sql(&format!("ALTER TABLE users {times}")).await;
    let worker = stage.worker("worker", &[TABLE], &[]);
    stage.running(&[TABLE]).await;
    let source = changed(
        &stage,
        &names(TABLE).source_connector,
        &[
            ("key.converter.schemas.enable", "true"),
            ("value.converter.schemas.enable", "true"),
            ("decimal.handling.mode", "precise"),
            ("time.precision.mode", "adaptive"),
        ],
    )
    .await;
    let source = SourceConfig::from_map(&source).unwrap();
    let mut sinks = Vec::new();
    for (name, differences) in SINKS {
        sinks.push((name, added(&stage, name, differences).await));
    }
    load::fill(&stage.db, 2000).await.unwrap();
    stage.sql("UPDATE users SET amount = amount + 1 WHERE id % 3 = 0; DELETE FROM users WHERE id % 7 = 0").await;
    // Another schema begins another object.
    stage
        .sql("ALTER TABLE users ADD added int; INSERT INTO users (name, added) VALUES ('later', 7), ('latest', 8)")
        .await;
    stage.captured(&[TABLE], PATIENCE).await;
    for (name, config) in &sinks {
        prove(&stage, name, config, &source).await;
    }
    let rows = stage.number("SELECT count(*) FROM users").await;
    let bucket = stage.servers.stack.s3().bucket_path(BUCKET);
    let read = readers(&python, QUERY, &bucket.join("parquet/*.parquet"));
    println!("{read}");
    let events = 2000 + stage_changes(2000) + 2;
    assert_eq!((&read["duckdb"][0], &read["arrow"]), (&events.into(), &events.into()));
    assert_eq!(read["duckdb"][1].as_i64().unwrap(), 2002);
    assert!(rows < 2002);
    assert_eq!(read["duckdb"][6], 2, "only rows after the change of the schema have the new column");
    let types = [&read["duckdb"][3], &read["duckdb"][4], &read["duckdb"][5]];
    assert_eq!(types, ["BIGINT", "DECIMAL(12,2)", "BOOLEAN"]);
    assert_eq!(read["duckdb"][7], serde_json::json!(["DATE TIMESTAMP TIME"]));
    assert_eq!(read["duckdb"][8], 2000 + 2000 / 3 + 2, "all images but those of deletes");
    assert_eq!(read["types"].as_array().unwrap().len(), 2, "one type per schema");
    let keys = readers(&python, KEYS, &bucket.join("fields/*.parquet"));
    println!("{keys}");
    assert_eq!(keys, serde_json::json!([events, "STRUCT(id BIGINT)"]));
    worker.stop().await.unwrap();
    stage.end().await;
}

/// Updates and deletes of ids from 1 to `rows`, as the test makes them.
fn stage_changes(rows: i64) -> i64 {
    rows / 3 + rows / 7
}

async fn config(stage: &Stage, connector: &str) -> ConfigMap {
    let (status, body) = stage.get(TABLE, &format!("/connectors/{connector}/config")).await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

async fn put(stage: &Stage, connector: &str, config: &ConfigMap) {
    let url = format!("http://127.0.0.1:{}/connectors/{connector}/config", stage.settings.ports[0]);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let answer = http.put(url).json(config).send().await.unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{connector}: {}", answer.text().await.unwrap());
    eventually(&format!("{connector} to run"), PATIENCE, async || {
        let Some((_, body)) = stage.get(TABLE, &format!("/connectors/{connector}/status")).await else { return false };
        let body: Value = serde_json::from_str(&body).unwrap();
        body["tasks"][0]["state"] == "RUNNING"
    })
    .await;
}

async fn changed(stage: &Stage, connector: &str, differences: &[(&str, &str)]) -> ConfigMap {
    let mut map = config(stage, connector).await;
    map.extend(differences.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    put(stage, connector, &map).await;
    map
}

async fn added(stage: &Stage, name: &str, differences: &[(&str, &str)]) -> SinkConfig {
    let mut map = config(stage, &names(TABLE).sink_connector).await;
    let connector = format!("s3-sink-users-{name}");
    map.insert("name".to_owned(), connector.clone());
    map.insert("file.max.records".to_owned(), "700".to_owned());
    map.insert("datapipe.object.max.age.ms".to_owned(), "2000".to_owned());
    map.extend(differences.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    put(stage, &connector, &map).await;
    SinkConfig::from_map(&map).unwrap()
}

/// Waits until a sink's objects hold what the table holds.
async fn prove(stage: &Stage, name: &str, sink: &SinkConfig, source: &SourceConfig) {
    let (names, begun) = (names(TABLE), Instant::now());
    let report = loop {
        let server = clients::postgres(&stage.servers.stack).unwrap();
        let spec = SourceSpec::new(server, "public", TABLE, &names.slot, &names.publication);
        let mut rows = TupleRows::new(TableRows::open(&spec).await.unwrap(), source.modes);
        let scope = Scope { layout: sink.layout.clone(), output: sink.output.clone(), ..rows.scope(&names.data_topic) };
        let report = reconcile(&clients::store(&stage.servers.stack, BUCKET), &mut rows, &scope).await.unwrap();
        if report.proven() || begun.elapsed() > Duration::from_secs(20) {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    println!("{name}: {report}");
    assert!(report.proven() && report.objects >= 4, "{name}: {report}");
}

fn readers(python: &Path, query: &str, files: &Path) -> Value {
    let output = Command::new(python).arg("-c").arg(query).arg(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
