//! What proving a large table takes. Meant for a release build, of `datapipe-run` and `datapipe-verify` too.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use datapipe_e2e::process::program_named;
use datapipe_e2e::stage::{BUCKET, PG15, Stage, eventually};
use serde_json::Value;
use tokio::time::sleep;

const ROWS: u32 = 10_000_000;
/// Proven first; the others come by the stream.
const FEWER: u32 = 1_000_000;
/// The most memory, in MiB: 64 for rows, and what reading and splitting takes. The fewer rows do not use it up.
const PEAK_MAX_MIB: u64 = 160;
/// Updated after the snapshot, so that not every row is its first image.
const UPDATED: u32 = 1_000_000;
/// Rows per second that a capture and its delivery make at least, on a machine that is busy.
const PACE_MIN: u32 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn ten_million_rows_are_proven() {
    let stage =
        Stage::new(PG15, "CREATE TABLE users (id bigint PRIMARY KEY, name text, amount numeric(12,2), at timestamptz)")
            .await;
    let insert = async |from: u32, to: u32| {
        let rows = format!("SELECT n, md5(n::text), n * 0.01, now() FROM generate_series({from}, {to}) AS n");
        stage.sql(&format!("INSERT INTO users {rows}; ANALYZE users")).await;
    };
    insert(1, FEWER).await;
    let worker = stage.worker("worker", &["users"], &[("sink.age", "30s"), ("sink.rows", "200000")]);
    stage.running(&["users"]).await;
    prove(&stage, FEWER, &[]).await;
    let begun = Instant::now();
    insert(FEWER + 1, ROWS).await;
    stage.sql(&format!("UPDATE users SET amount = amount + 1 WHERE id <= {UPDATED}")).await;
    let limit = Duration::from_secs((ROWS / PACE_MIN).into());
    eventually("all rows in objects", limit, async || {
        let written = stage.metric("users", "datapipe_sink_rows_total").await;
        written.is_some_and(|written| written >= f64::from(ROWS + UPDATED))
    })
    .await;
    println!(
        "{FEWER} rows by snapshot, {} more and {UPDATED} updates by the stream in objects after {:.0} s",
        ROWS - FEWER,
        begun.elapsed().as_secs_f64()
    );

    prove(&stage, ROWS, &[]).await;
    prove(&stage, ROWS, &["--one-of", "100"]).await;
    worker.stop().await.unwrap();
    let objects = stage.servers.stack.s3().bucket_path(BUCKET);
    println!("objects: {} MiB", folder_bytes(&objects) >> 20);
    stage.end().await;
}

/// Runs `datapipe-verify`, and tells what it says, how long it took, and its most memory.
async fn prove(stage: &Stage, rows: u32, more: &[&str]) {
    let program = Command::new(program_named("datapipe-verify").unwrap());
    let mut command = stage.settings.given(program, &stage.servers, "verify");
    command.args(["--table", "users", "--only", "data", "--catch-up", "5m", "-o", "json"]).args(more);
    let begun = Instant::now();
    let mut verify = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while verify.try_wait().unwrap().is_none() {
        peak = datapipe_boot::memory::of(verify.id()).map_or(peak, |memory| memory.peak_bytes.max(peak));
        sleep(Duration::from_millis(50)).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let output = verify.wait_with_output().unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let proof = findings.iter().find(|finding| finding["code"] == "DP0601").unwrap();
    println!("{more:?}: {}", proof["seen"].as_str().unwrap());
    println!("{more:?}: {:.0} rows/s, peak memory {} MiB", f64::from(rows) / took, peak >> 20);
    assert_eq!((output.status.code(), proof["outcome"].as_str()), (Some(0), Some("ok")), "{findings:#?}");
    assert!(peak >> 20 <= PEAK_MAX_MIB, "{} MiB, at most {PEAK_MAX_MIB}", peak >> 20);
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            meta if meta.is_dir() => folder_bytes(&entry.path()),
            meta => meta.len(),
        })
        .sum()
}
