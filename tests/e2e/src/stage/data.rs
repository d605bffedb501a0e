//! What lies in S3, and whether it is what PostgreSQL has: by the proof that datapipe brings along, by the tests' own
//! oracle, or event by event.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use datapipe_core::value::Modes;
use datapipe_postgres::{SourceSpec, TableRows};
use datapipe_reconcile::{Report, Scope, TupleRows, reconcile};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use tokio::time::sleep;

use super::{BUCKET, PATIENCE, Stage, names};
use crate::oracle::{Oracle, Verdict};
use crate::process::Worker;
use crate::servers::TABLES;
use crate::{clients, topic};

/// A table that nothing is wrong with.
pub struct Judged {
    /// The table.
    pub table: &'static str,
    /// What the oracle counted.
    pub verdict: Verdict,
    /// How many objects there are.
    pub objects: usize,
}

impl Stage {
    /// Waits until the objects hold what the tables hold, and proves it: nothing lost, doubled, differing or surplus.
    pub async fn prove(&self, tables: &[&str]) {
        self.prove_with(tables, false).await;
    }

    /// The same for tables whose rows were read again by a later snapshot.
    pub async fn prove_reread(&self, tables: &[&str]) {
        self.prove_with(tables, true).await;
    }

    async fn prove_with(&self, tables: &[&str], rereads: bool) {
        self.captured(tables, Duration::from_secs(60)).await;
        for table in tables {
            let begun = Instant::now();
            let report = loop {
                let report = self.compare(table, rereads).await;
                // What is merely under way arrives; what is doubled stays doubled.
                if report.proven() || begun.elapsed() > Duration::from_secs(30) || report.doubled.count > 0 {
                    break report;
                }
                sleep(Duration::from_millis(500)).await;
            };
            println!("{report}");
            assert!(report.proven(), "{report}");
        }
    }

    async fn compare(&self, table: &str, rereads: bool) -> Report {
        let (names, server) = (names(table), clients::postgres(&self.servers.stack).unwrap());
        let spec = SourceSpec::new(server, "public", table, &names.slot, &names.publication);
        let mut rows = TupleRows::new(TableRows::open(&spec).await.unwrap(), Modes::PLAN);
        let scope = Scope { rereads, ..rows.scope(&names.data_topic) };
        reconcile(&clients::store(&self.servers.stack, BUCKET), &mut rows, &scope).await.unwrap()
    }

    /// Waits until everything committed so far is in objects, and lets the oracle judge each table of
    /// [`crate::load`]. The objects must tile the topic and hold exactly its records.
    pub async fn judge(&self, worker: &Worker) -> Vec<Judged> {
        let end = self.end_of_log().await;
        let confirmed = self.servers.confirmed(&self.db, &end, PATIENCE).await;
        confirmed.unwrap_or_else(|error| panic!("{error}\n{}", worker.tail()));
        let store = clients::store(&self.servers.stack, BUCKET);
        let mut judged = Vec::new();
        for table in TABLES {
            let name = names(table).data_topic;
            let mut oracle = Oracle::new(&self.db).await.unwrap();
            let (mut faults, mut count) = (Vec::new(), 0);
            for records in topic::Topic::read(&self.servers, &name).await.unwrap() {
                let objects = topic::delivered(&store, table, &name, &records, PATIENCE).await;
                let objects = objects.unwrap_or_else(|error| panic!("{error}\n{}", worker.tail()));
                count += objects.len();
                let event = |line: &str| oracle.event(line).unwrap();
                faults.extend(topic::check(&store, &records, &objects, event).await.unwrap());
            }
            let verdict = oracle.judge(table).await.unwrap();
            println!("{table}: {verdict:?}, {count} objects");
            assert!(verdict.is_clean() && faults.is_empty(), "{table}: {verdict:?} {faults:?}\n{}", worker.tail());
            judged.push(Judged { table, verdict, objects: count });
        }
        judged
    }

    /// All events of a table in S3, in the order of the log (one partition).
    pub fn events(&self, table: &str) -> Vec<Value> {
        let mut files = Vec::new();
        walk(&self.servers.stack.s3().bucket_path(BUCKET).join(format!("table={table}")), &mut files);
        // The offset is the name's end, zero padded.
        files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        let mut events = Vec::new();
        for file in files {
            let mut text = String::new();
            MultiGzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
            events.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        events
    }

    /// Waits for `count` events of a table in S3.
    pub async fn arrived(&self, table: &str, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let events = self.events(table);
            if events.len() >= count || begun.elapsed() > Duration::from_secs(60) {
                assert_eq!(events.len(), count, "events of {table}: {:#?}", events.last());
                return events;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.to_string_lossy().ends_with(".jsonl.gz") {
            files.push(path);
        }
    }
}

/// `op:id` of each event, for short expectations; a delete's id is that of its old image.
pub fn short(events: &[Value]) -> Vec<String> {
    let one = |event: &Value| {
        let image = if event["after"].is_null() { &event["before"] } else { &event["after"] };
        format!("{}:{}", event["op"].as_str().unwrap(), image["id"])
    };
    events.iter().map(one).collect()
}
