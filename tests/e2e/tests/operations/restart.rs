//! SIGTERM, and the next start.

use std::time::{Duration, Instant};

use datapipe_e2e::load::{self, Load};
use datapipe_e2e::process::Worker;
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{PATIENCE, PG15, Stage};
use tokio::time::sleep;

/// `run.drain_timeout`'s default.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Stopped in the snapshot, under load, in a COPY of 40,000 rows, and at rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_worker_drains_and_the_next_one_goes_on() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 20_000).await.unwrap();
    let loads = Load::start(&stage.servers, 11, true).await.unwrap();
    for moment in ["in the snapshot", "under load", "in a COPY", "in another COPY"] {
        let begun = Instant::now();
        let mut worker = stage.worker("worker", &[], &[]);
        worker.until("datapipe_worker_owner", 1.0, PATIENCE).await.unwrap();
        let owned = begun.elapsed();
        let copying = async {
            if moment.ends_with("COPY") {
                worker.flows(PATIENCE).await.unwrap();
                load::copy(&stage.servers.connect().await.unwrap(), TABLES[1]).await.unwrap();
            } else if moment == "under load" {
                worker.flows(PATIENCE).await.unwrap();
                sleep(Duration::from_secs(2)).await;
            } else {
                sleep(Duration::from_millis(300)).await;
            }
        };
        copying.await;
        stop(&stage, worker, moment, owned).await;
    }
    let transactions = loads.end().await.unwrap();

    let worker = stage.worker("worker", &[], &[]);
    let judged = stage.judge(&worker).await;
    stop(&stage, worker, "at rest", Duration::ZERO).await;
    let events: i64 = judged.iter().map(|table| table.verdict.events).sum();
    println!("{transactions} transactions, {events} events, stopped 5 times: lost 0, doubled 0");
    // One table may be truncated before its rows are read.
    assert!(events > 3 * 20_000 + 80_000, "{events} events are too few");
    stage.end().await;
}

/// SIGTERM: exit code 0, in time, and nothing is held any more.
async fn stop(stage: &Stage, worker: Worker, moment: &str, owned: Duration) {
    let begun = Instant::now();
    worker.stop().await.unwrap_or_else(|error| panic!("stopped {moment}: {error}"));
    let took = begun.elapsed();
    println!("stopped {moment}: {:.2} s; it owned its tables after {:.2} s", took.as_secs_f64(), owned.as_secs_f64());
    assert!(took < DRAIN_MAX, "stopped {moment}: {took:?}");
    // A walsender ends when it sees its client gone, which is at once; it is asked a few times all the same.
    let held = "SELECT count(*) FROM pg_replication_slots WHERE active";
    let begun = Instant::now();
    while stage.db.query_one(held, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "stopped {moment}: slots are still held after 5 s");
        sleep(Duration::from_millis(20)).await;
    }
}
