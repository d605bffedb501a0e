//! The objects as another tool sees them: DuckDB reads the bucket's folders as hive partitions.

use std::process::Command;
use std::time::Duration;

use datapipe_e2e::clients;
use datapipe_e2e::load::{self, Load};
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{BUCKET, PATIENCE, PG18, Stage};
use serde_json::Value;

/// Per table: events, distinct rows, and how many of them lie in a folder of another time than their own, an hour's
/// turn aside (a folder is named by the time in Kafka of its first record).
const QUERY: &str = r#"
import duckdb, json, sys
found = duckdb.sql("""
    SELECT "table", count(*) AS events, count(DISTINCT coalesce(after.id, before.id)) AS keys,
           count(*) FILTER (abs(epoch(make_timestamp(year::BIGINT, month::BIGINT, day::BIGINT, hour::BIGINT, 0, 0))
                            - ts_ms / 1000) > 3700) AS misplaced,
           count(DISTINCT filename) AS objects
    FROM read_json(?, format = 'newline_delimited', hive_partitioning = true, filename = true)
    GROUP BY ALL""", params=[sys.argv[1]])
rows = {row[0]: dict(zip(found.columns[1:], row[1:])) for row in found.fetchall()}
print(json.dumps({"version": duckdb.__version__, "tables": rows}))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duckdb_reads_the_objects_as_hive_partitions() {
    let python = clients::python();
    let stage = Stage::for_load(PG18).await;
    load::fill(&stage.db, 1000).await.unwrap();
    let mut worker = stage.worker("worker", &[], &[]);
    worker.flows(PATIENCE).await.unwrap();
    let loads = Load::start(&stage.servers, 5, true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    load::copy(&stage.servers.connect().await.unwrap(), TABLES[0]).await.unwrap();
    loads.end().await.unwrap();
    let judged = stage.judge(&worker).await;

    let bucket = stage.servers.stack.s3().bucket_path(BUCKET);
    let objects = bucket.join("table=*/year=*/month=*/day=*/hour=*/*.jsonl.gz");
    let output = Command::new(python).arg("-c").arg(QUERY).arg(&objects).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("DuckDB {}", found["version"].as_str().unwrap());
    for one in judged {
        let read = &found["tables"][one.table];
        println!("{}: {read}", one.table);
        assert_eq!(read["events"], one.verdict.events, "{}", one.table);
        assert_eq!(read["objects"], one.objects, "{}", one.table);
        assert_eq!(read["misplaced"], 0, "{}", one.table);
        assert!(read["keys"].as_i64().unwrap() >= one.verdict.rows, "{}", one.table);
    }
    worker.stop().await.unwrap();
    stage.end().await;
}
