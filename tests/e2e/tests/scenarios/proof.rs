//! What lies in S3, and whether it is what PostgreSQL has.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datapipe_core::change::Tuple;
use datapipe_core::envelope::{Encoder, EnvelopeSettings};
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::secret::Secret;
use datapipe_postgres::{PgConfig, SourceSpec, TableRows};
use datapipe_reconcile::{Report, RowBatch, Rows, Scope, reconcile};
use datapipe_s3::{Credentials, S3Config, S3Store};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use tokio::time::sleep;

use crate::stage::{BUCKET, Stage, names};

struct AsJson {
    rows: TableRows,
    encoder: Encoder,
    tuples: Vec<Tuple>,
}

#[async_trait]
impl Rows for AsJson {
    async fn next(&mut self, batch: &mut RowBatch) -> Result<(), PortError> {
        self.tuples.clear();
        self.rows.read(&mut self.tuples).await?;
        let relation = self.rows.relation();
        for tuple in &self.tuples {
            let pushed = batch.push_with(|out| self.encoder.write_row(&relation, tuple, out));
            pushed.map_err(|error| PortError::new(ErrorKind::Refused, "writing a row").because(error))?;
        }
        Ok(())
    }
}

impl Stage {
    /// Waits until the objects hold what the tables hold, and proves it: nothing lost, doubled, differing or surplus.
    pub(crate) async fn prove(&self, tables: &[&str]) {
        self.captured(tables, Duration::from_secs(60)).await;
        for table in tables {
            let begun = Instant::now();
            let report = loop {
                let report = self.compare(table).await;
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

    async fn compare(&self, table: &str) -> Report {
        let (names, postgres, s3) = (names(table), self.stack.postgres(), self.stack.s3());
        let mut server = PgConfig::new(postgres.host(), postgres.user(), postgres.database());
        server.port = postgres.port();
        server.password = Some(Secret::new(postgres.password()));
        let spec = SourceSpec::new(server, "public", table, &names.slot, &names.publication);
        let rows = TableRows::open(&spec).await.unwrap();
        let relation = rows.relation();
        let key = relation.key.iter().map(|column| relation.columns[*column].name.clone()).collect();
        let encoder = Encoder::new(EnvelopeSettings {
            version: String::new(),
            server_name: String::new(),
            database: String::new(),
            data_topic: names.data_topic.clone(),
            tombstones_on_delete: false,
        });
        let credentials = Credentials::new(Secret::new(s3.access_key()), Secret::new(s3.secret_key()));
        let mut config = S3Config::new(s3.region(), BUCKET, credentials);
        config.endpoint = Some(s3.endpoint());
        config.path_style = true;
        let mut rows = AsJson { rows, encoder, tuples: Vec::new() };
        reconcile(&S3Store::new(config), &mut rows, &Scope::new(table, names.data_topic, key)).await.unwrap()
    }

    /// All events of a table in S3, in the order of the log (one partition).
    pub(crate) fn events(&self, table: &str) -> Vec<Value> {
        let mut files = Vec::new();
        walk(&self.stack.s3().bucket_path(BUCKET).join(format!("table={table}")), &mut files);
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
    pub(crate) async fn arrived(&self, table: &str, count: usize) -> Vec<Value> {
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
pub(crate) fn short(events: &[Value]) -> Vec<String> {
    let one = |event: &Value| {
        let image = if event["after"].is_null() { &event["before"] } else { &event["after"] };
        format!("{}:{}", event["op"].as_str().unwrap(), image["id"])
    };
    events.iter().map(one).collect()
}
