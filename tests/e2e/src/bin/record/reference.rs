//! PostgreSQL, Kafka, and a real Kafka Connect worker with Debezium.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use datapipe_e2e::Result;
use datapipe_embedded::{Cache, ConnectOptions, ConnectWorker, Debezium, PostgresSource, Progress, Stack};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Serialize;
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
            // Transforms route records to topics that nobody has made.
            ("topic.creation.default.partitions", "1"),
            ("topic.creation.default.replication.factor", "1"),
            // So that the slot moves on to the end.
            ("heartbeat.interval.ms", "500"),
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

    /// Deletes a connector, its slot and its publication.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        let url = format!("{}/connectors/{name}", self.worker.url());
        self.http.delete(url).send().await?.error_for_status()?;
        let begun = Instant::now();
        let drop = format!("SELECT pg_drop_replication_slot('slot_{name}')");
        while let Err(error) = self.db.batch_execute(&drop).await {
            if begun.elapsed() > PATIENCE {
                return Err(error.into());
            }
            sleep(Duration::from_millis(100)).await;
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

    /// Where Kafka is.
    pub(crate) fn bootstrap(&self) -> String {
        self.stack.kafka().bootstrap()
    }

    /// Makes a topic of one partition.
    pub(crate) async fn topic(&self, name: &str) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create()?;
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        for made in admin.create_topics([&topic], &AdminOptions::new()).await? {
            made.map_err(|(name, error)| format!("topic {name}: {error}"))?;
        }
        Ok(())
    }

    /// Writes a record.
    pub(crate) async fn produce(&self, topic: &str, key: &str, value: &str) -> Result<()> {
        datapipe_e2e::topic::produce(&self.bootstrap(), topic, key, value).await
    }

    /// The records of all topics whose names begin with a prefix, in order by topic; each has one partition.
    pub(crate) fn records(&self, prefix: &str) -> Result<Vec<Kept>> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.stack.kafka().bootstrap())
            .set("group.id", "record")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()?;
        let metadata = consumer.fetch_metadata(None, PATIENCE)?;
        let topics = metadata.topics().iter().map(MetadataTopic::name).filter(|name| name.starts_with(prefix));
        let mut records = Vec::new();
        for topic in topics.collect::<BTreeSet<_>>() {
            let mut assignment = TopicPartitionList::new();
            assignment.add_partition_offset(topic, 0, Offset::Beginning)?;
            consumer.assign(&assignment)?;
            let begun = Instant::now();
            loop {
                match consumer.poll(Duration::from_millis(200)) {
                    Some(Ok(message)) => records.push(Kept::of(&message)?),
                    Some(Err(KafkaError::PartitionEOF(_))) => break,
                    Some(Err(error)) => return Err(error.into()),
                    None if begun.elapsed() < PATIENCE => {}
                    None => return Err(format!("topic {topic} was not read to its end").into()),
                }
            }
        }
        Ok(records)
    }
}

/// A record as it lies in the log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Kept {
    pub(crate) topic: String,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, Option<String>)>,
}

impl Kept {
    fn of(message: &BorrowedMessage<'_>) -> Result<Self> {
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec())).transpose();
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        let headers = headers.map(|header| Ok((header.key.to_owned(), text(header.value)?)));
        Ok(Self {
            topic: message.topic().to_owned(),
            key: text(message.key())?,
            value: text(message.payload())?,
            headers: headers.collect::<Result<_>>()?,
        })
    }
}
