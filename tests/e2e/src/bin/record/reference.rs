//! PostgreSQL, Kafka, and a real Kafka Connect worker with Debezium.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use datapipe_core::port::log::{LogReader, RecordBatch};
use datapipe_e2e::{Result, clients};
use datapipe_embedded::{Cache, ConnectOptions, ConnectWorker, Debezium, PostgresSource, Progress, Stack};
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_kafka::{ReaderSettings, TopicReader};
use serde_json::Value;
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};

const PATIENCE: Duration = Duration::from_secs(120);

/// The servers, and a session.
pub(crate) struct Reference {
    stack: Stack,
    worker: ConnectWorker,
    http: reqwest::Client,
    pub(crate) debezium: Debezium,
    pub(crate) db: Client,
}

impl Reference {
    pub(crate) async fn start(folder: &Path, debezium: Debezium, progress: Progress) -> Result<Self> {
        let postgres = PostgresSource::Installed { major_min: 15 };
        let stack = Stack::builder(folder.join("stack")).postgres(postgres).progress(progress.clone()).start().await?;
        let mut options = ConnectOptions::new(stack.kafka().bootstrap(), "record");
        options.debezium = debezium;
        let worker = ConnectWorker::start(&folder.join("connect"), options, &Cache::of_user(), &progress).await?;
        let (db, connection) = tokio_postgres::connect(&stack.postgres().url(), NoTls).await?;
        tokio::spawn(connection);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { stack, worker, http, debezium, db })
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        self.worker.stop().await?;
        Ok(self.stack.stop().await?)
    }

    /// Creates a topic with one partition.
    pub(crate) async fn topic(&self, name: &str) -> Result<()> {
        let spec = TopicSpec { name: name.to_owned(), partitions: 1, replication: 1, configs: BTreeMap::new() };
        topics::ensure(&clients::kafka(&self.stack)?, &[spec]).await?;
        Ok(())
    }

    /// Creates a source connector on this database and waits until it streams from its slot.
    pub(crate) async fn connector(&self, name: &str, settings: &[(&str, &str)]) -> Result<()> {
        let postgres = self.stack.postgres();
        let (port, slot) = (postgres.port().to_string(), format!("slot_{name}"));
        let fixed = [
            ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
            ("database.hostname", postgres.host()),
            ("database.port", &port),
            ("database.user", postgres.user()),
            ("database.password", postgres.password()),
            ("database.dbname", postgres.database()),
            ("plugin.name", "pgoutput"),
            ("slot.name", &slot),
            ("topic.prefix", name),
            ("extended.headers.enabled", "false"),
            ("value.converter.replace.null.with.default", "false"),
        ];
        let config: BTreeMap<&str, &str> = fixed.iter().chain(settings).copied().collect();
        let url = format!("{}/connectors/{name}/config", self.worker.url());
        let answer = self.http.put(url).json(&config).send().await?;
        if !answer.status().is_success() {
            return Err(format!("connector {name}: {}", answer.text().await?).into());
        }
        let active = format!("SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name = '{slot}'");
        let begun = Instant::now();
        while self.db.query_one(&active, &[]).await?.get::<_, i64>(0) == 0 {
            if begun.elapsed() > PATIENCE {
                return Err(format!("connector {name} does not stream: {}", self.status(name).await?).into());
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn status(&self, name: &str) -> Result<Value> {
        let url = format!("{}/connectors/{name}/status", self.worker.url());
        Ok(self.http.get(url).send().await?.json().await?)
    }

    /// Waits until a slot has confirmed what is committed now, and what came before it is in the log.
    pub(crate) async fn settled(&self, name: &str) -> Result<()> {
        let lsn: String = self.db.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await?.get(0);
        // Only a change, or a heartbeat, moves a slot on.
        self.db.batch_execute("SELECT pg_logical_emit_message(true, 'record', '')").await?;
        let confirmed = format!(
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'slot_{name}' AND confirmed_flush_lsn >= '{lsn}'"
        );
        let begun = Instant::now();
        while self.db.query_one(&confirmed, &[]).await?.get::<_, i64>(0) == 0 {
            if begun.elapsed() > PATIENCE {
                return Err(format!("connector {name} does not confirm {lsn}: {}", self.status(name).await?).into());
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// The values of a topic's only partition, in order; tombstones are left out.
    pub(crate) async fn values(&self, topic: &str) -> Result<Vec<String>> {
        let mut reader = TopicReader::new(&clients::kafka(&self.stack)?, ReaderSettings::new(topic, "record"))?;
        let (start, end) = reader.bounds(0).await?;
        reader.seek(0, start).await?;
        let (mut values, mut batch) = (Vec::new(), RecordBatch::default());
        while start < end && reader.position(0).is_none_or(|position| position < end) {
            batch.clear();
            reader.poll(Duration::from_millis(200), &mut batch).await?;
            for value in batch.iter().filter_map(|record| record.value) {
                values.push(String::from_utf8(value.to_vec())?);
            }
        }
        Ok(values)
    }
}
