//! Memory does not grow with a transaction.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use datapipe_core::port::store::ObjectStore as _;
use datapipe_e2e::stage::{BUCKET, PG15, Stage, eventually, names};
use datapipe_e2e::{clients, topic};
use datapipe_kafka::{ReaderSettings, TopicReader};
use flate2::read::MultiGzDecoder;

/// Rows of the transaction that the others are measured by.
const SMALL: u32 = 100_000;
/// How much more memory a large transaction may take.
const RATIO_MAX: f64 = 1.2;
/// Rows of a second at least, however crowded the machine.
const PACE_MIN: u32 = 4000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_a_million_rows_takes_no_more_memory() {
    compare(1_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn a_transaction_of_five_million_rows_takes_no_more_memory() {
    compare(5_000_000).await;
}

async fn compare(large: u32) {
    let stage = Stage::new(PG15, "CREATE TABLE users (id bigint PRIMARY KEY)").await;
    let peaks = [peak(&stage, 0, SMALL).await, peak(&stage, SMALL, large).await];
    let [small_mib, large_mib] = peaks.map(mib);
    let ratio = large_mib / small_mib;
    println!(
        "peak memory of a worker: {small_mib:.1} MiB for {SMALL} rows in one transaction, {large_mib:.1} MiB for {large}: {ratio:.2} times"
    );
    every_row_once(&stage, SMALL + large).await;
    assert!(ratio <= RATIO_MAX, "{ratio:.2} times is more than {RATIO_MAX}");
    stage.end().await;
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Inserts `rows` rows above `from` in one transaction, lets a fresh worker take them to S3, and returns the most memory
/// that it took.
async fn peak(stage: &Stage, from: u32, rows: u32) -> u64 {
    let worker = stage.worker(&format!("worker-{rows}"), &["users"], &[]);
    stage.running(&["users"]).await;
    let limit = Duration::from_secs((30 + rows / PACE_MIN).into());
    let begun = Instant::now();
    stage.sql(&format!("INSERT INTO users SELECT n FROM generate_series({from} + 1, {}) AS n", from + rows)).await;
    let committed = Instant::now();
    stage.captured(&["users"], limit).await;
    let captured = committed.elapsed();
    eventually("all rows in objects", limit, async || {
        stage.metric("users", "datapipe_sink_rows_total").await.is_some_and(|written| written >= f64::from(rows))
    })
    .await;
    let delivered = committed.elapsed();
    let memory = datapipe_boot::memory::of(worker.pid()).unwrap();
    println!(
        "{rows} rows: inserted in {:.1} s, in Kafka {:.1} s later, in S3 {:.1} s later",
        (committed - begun).as_secs_f64(),
        captured.as_secs_f64(),
        delivered.as_secs_f64()
    );
    worker.stop().await.unwrap();
    memory.peak_bytes
}

/// Rows by their number from 1, each of which must be seen once.
struct Seen {
    of: &'static str,
    rows: Vec<bool>,
    doubled: u64,
    others: u64,
}

impl Seen {
    fn new(of: &'static str, rows: u32) -> Self {
        Self { of, rows: vec![false; usize::try_from(rows).unwrap()], doubled: 0, others: 0 }
    }

    /// Takes the number that follows `"id":`, behind `mark`.
    fn see(&mut self, text: &[u8], mark: &[u8]) {
        let at = text.windows(mark.len()).position(|part| part == mark).map(|at| at + mark.len());
        let digits = at.map(|at| text[at..].iter().take_while(|byte| byte.is_ascii_digit()));
        let number = digits.map(|digits| digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')));
        match number.and_then(|number| number.checked_sub(1)).and_then(|index| self.rows.get_mut(index)) {
            Some(seen) if *seen => self.doubled += 1,
            Some(seen) => *seen = true,
            None => self.others += 1,
        }
    }

    fn check(&self) {
        let (of, doubled, others) = (self.of, self.doubled, self.others);
        let lost = self.rows.iter().filter(|seen| !**seen).count();
        println!("{of}: {} rows, lost {lost}, doubled {doubled}, others {others}", self.rows.len());
        assert_eq!((lost, doubled, others), (0, 0, 0), "lost, doubled and other rows in {of}");
    }
}

async fn every_row_once(stage: &Stage, rows: u32) {
    let topic = names("users").data_topic;
    let kafka = clients::kafka(&stage.servers.stack).unwrap();
    let mut reader = TopicReader::new(&kafka, ReaderSettings::new(&topic, "datapipe-e2e")).unwrap();
    let mut seen = Seen::new("Kafka", rows);
    let start = topic::read(&mut reader, 0, |record| seen.see(record.key.unwrap(), b"{\"id\":")).await.unwrap();
    seen.check();

    let store = clients::store(&stage.servers.stack, BUCKET);
    let objects = topic::objects(&store, "users", &topic).await.unwrap();
    let (mut seen, mut next) = (Seen::new("S3", rows), start);
    for topic::Object { key, meta } in &objects {
        assert_eq!(meta.covers_from, next, "{key} goes on where the object before it ends");
        next = meta.next;
        let size = store.head(key).await.unwrap().unwrap().size;
        let content = store.read(key, 0, size).await.unwrap();
        for line in BufReader::new(MultiGzDecoder::new(content.as_ref())).split(b'\n') {
            seen.see(&line.unwrap(), b"\"after\":{\"id\":");
        }
    }
    println!("{} objects tile the topic from {start} to {next}", objects.len());
    seen.check();
}
