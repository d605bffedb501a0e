//! What is there beside the worker: the shop's database, the clients that look, and the worker's configuration.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datapipe_core::convention::Names;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::secret::Secret;
use datapipe_core::table::WorkerKind;
use datapipe_embedded::Stack;
use datapipe_kafka::{KafkaConfig, ReaderSettings, TopicReader};
use datapipe_postgres::{PgConfig, Session};
use datapipe_s3::{Credentials, S3Config, S3Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::traffic::TABLES;
use super::watch::{self, Arrived};

pub(super) const BUCKET: &str = "datapipe-demo";
pub(super) const TOPIC_PREFIX: &str = "cdc";

/// The servers, seen by clients of the demo's own.
pub(super) struct Scene {
    pub(super) server: PgConfig,
    pub(super) session: Session,
    pub(super) names: Vec<Names>,
    pub(super) store: Arc<S3Store>,
    pub(super) arrived: Vec<Arc<Arrived>>,
    pub(super) bucket_path: PathBuf,
    pub(super) kafka: KafkaConfig,
}

impl Scene {
    pub(super) async fn new(stack: &Stack) -> Result<Self, PortError> {
        let server = PgConfig::from_url(&Secret::new(stack.postgres().url()))
            .map_err(|error| PortError::new(ErrorKind::Refused, "configuring the PostgreSQL clients").because(error))?;
        let session = Session::connect(&server).await?;
        let kafka = KafkaConfig::plaintext(stack.kafka().bootstrap())
            .map_err(|error| PortError::new(ErrorKind::Refused, "configuring the Kafka clients").because(error))?;
        let s3 = stack.s3();
        let credentials = Credentials::new(Secret::new(s3.access_key()), Secret::new(s3.secret_key()));
        let store = Arc::new(S3Store::new(S3Config::at(s3.endpoint(), s3.region(), BUCKET, credentials)));
        store.create_bucket().await?;
        let names = TABLES.iter().filter_map(|table| Names::derive(TOPIC_PREFIX, "public", table).ok());
        let names: Vec<Names> = names.collect();
        let arrived = names.iter().map(|_| Arrived::new()).collect();
        Ok(Self { server, session, names, store, arrived, bucket_path: s3.bucket_path(BUCKET), kafka })
    }

    /// Starts looking at what arrives.
    pub(super) fn watch(&self, watchers: &mut JoinSet<Result<(), PortError>>, stop: &CancellationToken) {
        for (names, arrived) in self.names.iter().zip(&self.arrived) {
            let (topic, prefix) = (names.data_topic.clone(), names.object_prefix.clone());
            watchers.spawn(watch::log(self.kafka.clone(), topic, Arc::clone(arrived), stop.clone()));
            watchers.spawn(watch::objects(Arc::clone(&self.store), prefix, Arc::clone(arrived), stop.clone()));
        }
    }

    /// A reader of a topic's committed records.
    pub(super) fn reader(&self, topic: &str) -> Result<TopicReader, PortError> {
        TopicReader::new(&self.kafka, ReaderSettings::new(topic, "datapipe-demo-proof"))
    }

    /// Every slot has been told that everything up to `lsn` is in the log.
    pub(super) async fn confirmed_to(&self, lsn: &str) -> Result<bool, PortError> {
        let slots: Vec<String> = self.names.iter().map(|names| format!("'{}'", names.slot)).collect();
        let sql = format!(
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name IN ({}) AND confirmed_flush_lsn >= '{lsn}'",
            slots.join(", ")
        );
        let rows = self.session.rows(&sql).await?;
        let count = rows.first().and_then(|row| row.first().cloned().flatten());
        Ok(count.is_some_and(|count| count == self.names.len().to_string()))
    }

    /// The end of the server's log.
    pub(super) async fn end_of_log(&self) -> Result<String, PortError> {
        let rows = self.session.rows("SELECT pg_current_wal_insert_lsn()").await?;
        let lsn = rows.into_iter().flatten().flatten().next();
        lsn.ok_or_else(|| PortError::new(ErrorKind::Retry, "asking PostgreSQL for the end of its log"))
    }
}

/// The worker's configuration, and the secrets that it refers to.
pub(super) fn write_config(stack: &Stack, root: &Path, port: u16, kind: WorkerKind) -> Result<PathBuf, DemoError> {
    let postgres = stack.postgres();
    let mut text = String::from("# Written by the demo; passwords come from the environment.\n");
    let lines = [
        format!(
            "[postgres]\nhost = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = \"{}\"\npassword = \"${{env:PGPASSWORD}}\"\n",
            postgres.host(),
            postgres.port(),
            postgres.database(),
            postgres.user()
        ),
        format!("[kafka]\nbootstrap = \"{}\"\nreplication_factor = 1\n", stack.kafka().bootstrap()),
        format!(
            "[s3]\nendpoint = \"{}\"\nregion = \"{}\"\nbucket = \"{BUCKET}\"\n",
            stack.s3().endpoint(),
            stack.s3().region()
        ),
        format!(
            "[source]\nheartbeat = \"2s\"\n\n[sink]\nage = \"5s\"\n\n[worker]\nkind = \"{}\"\n\n[run]\ndata_dir = \"{}\"\n",
            kind.name(),
            root.join("spool").display()
        ),
    ];
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    for (port, table) in (port..).zip(TABLES) {
        let _ = writeln!(text, "[tables.{table}]\nport = {port}");
    }
    let path = root.join("datapipe.toml");
    std::fs::write(&path, text).map_err(|source| DemoError::File { path: path.clone(), source })?;
    Ok(path)
}

/// The environment of the worker process.
pub(super) fn secrets(stack: &Stack) -> Vec<(&'static str, String)> {
    vec![
        ("PGPASSWORD", stack.postgres().password().to_owned()),
        ("AWS_ACCESS_KEY_ID", stack.s3().access_key().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", stack.s3().secret_key().to_owned()),
    ]
}
