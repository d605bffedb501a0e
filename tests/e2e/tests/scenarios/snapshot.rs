//! A snapshot that is killed in its middle, again and again, while others write.

use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_e2e::load::{self, Load};
use datapipe_e2e::process::Worker;
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{PATIENCE, PG18, Stage, eventually, names};
use datapipe_e2e::topic;

/// Rows of each table before the first start: some seven log transactions.
const ROWS: u64 = 80_000;
/// Rows that a worker has read of some table when it is killed: after two or three log transactions; while the rows that
/// are in Kafka are brought up to the new boundary, or soon after; and late once more.
const KILLED_AT: [u32; 3] = [25_000, 0, 25_000];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_killed_in_its_middle_goes_on_under_concurrent_writes() {
    let stage = Stage::for_load(PG18).await;
    load::fill(&stage.db, ROWS).await.unwrap();
    let loads = Load::start(&stage.servers, 23, false).await.unwrap();
    let mut stored = BTreeMap::new();
    for rows in KILLED_AT {
        let worker = stage.worker("worker", &[], &[]);
        let middle = async || is_in_the_middle(&worker, rows.into()).await;
        eventually("a snapshot to be in its middle", PATIENCE, middle).await;
        worker.kill().unwrap();
        let before = std::mem::replace(&mut stored, unfinished(&stage).await);
        println!("killed after {rows} rows or more: unfinished snapshots, and their rows in Kafka: {stored:?}");
        assert!(!stored.is_empty(), "no moment of interest: the snapshots had ended, or stored nothing");
        assert!(rows == 0 || stored != before, "the snapshots did not get any further");
    }
    let mut worker = stage.worker("last", &[], &[]);
    worker.flows(PATIENCE).await.unwrap();
    for table in TABLES {
        let ended = async || stage.metric(table, "datapipe_source_snapshot").await == Some(0.0);
        eventually("the snapshot to end", PATIENCE, ended).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let transactions = loads.end().await.unwrap();

    let judged = stage.judge(&worker).await;
    println!("{transactions} transactions beside the snapshots");
    let log = worker.words();
    for one in judged {
        let Some(before) = stored.get(one.table) else { continue };
        let read = stage.metric(one.table, "datapipe_source_snapshot_rows_total").await.unwrap();
        println!("{}: {before} rows before the last kill, {read} after it", one.table);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (before_last, all) = (*before as f64, one.verdict.snapshot as f64);
        assert!((before_last + read - all).abs() < 0.5, "{} rows of {} were in the snapshot", all, one.table);
        let line = format!("the snapshot goes on above the rows that are in the log table={} rows={before}", one.table);
        assert!(log.contains(&line), "{line}:\n{log}");
    }
    stage.prove(&TABLES).await;
    worker.stop().await.unwrap();
    stage.end().await;
}

/// Whether a worker has committed something of a table to Kafka, has read so many rows of its snapshot, and has more to
/// read.
async fn is_in_the_middle(worker: &Worker, least: f64) -> bool {
    let metric = async |name: &str| worker.metric(&format!("datapipe_source_{name}")).await;
    let Some(reading) = metric("snapshot").await else { return false };
    let Some(committed) = metric("rows_total").await else { return false };
    let Some(read) = metric("snapshot_rows_total").await else { return false };
    let tables = reading.iter().zip(committed.iter().zip(&read));
    let mut middles = tables.map(|(reading, (committed, read))| *reading > 0.0 && *committed > 0.0 && *read >= least);
    middles.any(|is_middle| is_middle)
}

/// Rows that are in Kafka, by table whose snapshot is to be gone on with.
async fn unfinished(stage: &Stage) -> BTreeMap<&'static str, u64> {
    let mut stored = BTreeMap::new();
    for table in TABLES {
        let progress = topic::progress(&stage.servers, &names(table)).await.unwrap();
        if let Some(snapshot) = progress.and_then(|progress| progress.snapshot)
            && snapshot.upper.is_some()
        {
            stored.insert(table, snapshot.rows);
        }
    }
    stored
}
