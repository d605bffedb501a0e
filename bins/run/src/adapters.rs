//! Where the adapters meet: one table's ports, made from connector configurations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datapipe_boot::secrets::SecretError;
use datapipe_boot::telemetry::{Levels, SetLevel};
use datapipe_boot::{memory, secrets};
use datapipe_core::allow_list::AllowList;
use datapipe_core::connector::{ConfigProblem, ConfigSecret, SinkConfig, SourceConfig};
use datapipe_core::convention::Names;
use datapipe_core::output::Field;
use datapipe_core::plan::Problem;
use datapipe_core::port::connect::{ConnectStore, OffsetStore};
use datapipe_core::port::log::{DeadLetterQueue, LogReader, TransactionalLog};
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::port::source::ChangeSource;
use datapipe_core::port::store::ObjectStore;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::secret::{Secret, SecretRef};
use datapipe_kafka::lag::LagWatch;
use datapipe_kafka::topics::{TopicSpec, create_missing};
use datapipe_kafka::{
    DeadLetters, KafkaConfig, KafkaConnectStore, KafkaOffsetStore, Ownership, ProducerSettings, ReaderSettings,
    SignalTopic, TopicReader, TransactionalProducer,
};
use datapipe_postgres::preflight::{Expected, examine};
use datapipe_postgres::wal::WalMonitor;
use datapipe_postgres::{PgConfig, PgSource, SourceSpec};
use datapipe_s3::{Credentials, S3Config, S3Store};
use datapipe_worker::adapters::{Adapters, LoggerLevel, Observation};
use tokio::sync::Mutex;

use crate::preflight::PROBE_PREFIX;

/// How long heartbeat records are kept, in milliseconds: a day.
const HEARTBEATS_KEPT_MS: &str = "86400000";
/// How long looking at the surroundings may take.
const OBSERVE_MAX: Duration = Duration::from_secs(5);

/// The real systems around one table's worker.
pub(crate) struct Real {
    names: Names,
    kafka: KafkaConfig,
    levels: Arc<Levels>,
    /// What references in connector configurations may lead to.
    allowed: AllowList,
    /// Kept open between looks.
    watches: Mutex<Watches>,
}

#[derive(Default)]
struct Watches {
    server: Option<WalMonitor>,
    log: Option<LagWatch>,
}

impl Real {
    pub(crate) fn new(names: Names, kafka: KafkaConfig, levels: Arc<Levels>, allowed: AllowList) -> Self {
        Self { names, kafka, levels, allowed, watches: Mutex::default() }
    }
}

/// Resolves a secret of a connector configuration.
pub(crate) fn secret(config: &ConfigSecret, key: &str, allowed: &AllowList) -> Result<Secret, PortError> {
    match config {
        ConfigSecret::Plain(value) => Ok(value.clone()),
        ConfigSecret::Reference(reference) => secrets::allow(allowed, reference)
            .and_then(|()| secrets::resolve(reference))
            .map_err(|error| unresolved(reference, key, error)),
    }
}

fn unresolved(reference: &SecretRef, key: &str, error: SecretError) -> PortError {
    let attempt = match reference {
        // Whichever of its keys is asked for, what is wrong with a profile is one thing.
        SecretRef::Profile { profile, .. } => format!("reading the keys of profile {profile}"),
        _ => format!("reading {key} from {reference}"),
    };
    let hint = error.hint();
    PortError::new(ErrorKind::Refused, attempt).because(error).hint(hint)
}

/// The database that a source connector names.
pub(crate) fn source_spec(config: &SourceConfig, allowed: &AllowList) -> Result<SourceSpec, PortError> {
    let mut server = PgConfig::new(&config.host, &config.user, &config.database);
    server.port = config.port;
    server.password = config.password.as_ref().map(|value| secret(value, "database.password", allowed)).transpose()?;
    let spec = SourceSpec::new(server, &config.schema, &config.table, &config.slot, &config.publication);
    let (signal_table, heartbeat_query) = (config.signals.table.clone(), config.heartbeat_query.clone());
    Ok(SourceSpec { signal_table, heartbeat_query, columns: config.columns.clone(), ..spec })
}

/// The keys that a sink connector names, each as it could be read.
pub(crate) struct Keys {
    id: Result<Secret, PortError>,
    secret: Result<Secret, PortError>,
    token: Result<Option<Secret>, PortError>,
}

impl Keys {
    pub(crate) fn of(config: &SinkConfig, allowed: &AllowList) -> Self {
        let token = match &config.session_token {
            None => Ok(None),
            Some(ConfigSecret::Plain(value)) => Ok(Some(value.clone())),
            Some(ConfigSecret::Reference(reference)) => secrets::allow(allowed, reference)
                .and_then(|()| secrets::resolve_optional(reference))
                .map_err(|error| unresolved(reference, "datapipe.s3.session.token", error)),
        };
        Self {
            id: secret(&config.access_key_id, "aws.access.key.id", allowed),
            secret: secret(&config.secret_access_key, "aws.secret.access.key", allowed),
            token,
        }
    }

    /// Why some could not be read.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &PortError> {
        [self.id.as_ref().err(), self.secret.as_ref().err(), self.token.as_ref().err()].into_iter().flatten()
    }

    fn credentials(self) -> Result<Credentials, PortError> {
        Ok(Credentials { access_key_id: self.id?, secret_access_key: self.secret?, session_token: self.token? })
    }
}

/// The bucket that a sink connector names.
pub(crate) fn store(config: &SinkConfig, keys: Keys) -> Result<S3Store, PortError> {
    let mut s3 = S3Config::new(&config.region, &config.bucket, keys.credentials()?);
    s3.endpoint.clone_from(&config.endpoint);
    s3.path_style = config.path_style;
    Ok(S3Store::new(s3))
}

/// Membership of the worker's group by Kafka's own consumer protocol.
struct Member(Option<Ownership>);

#[async_trait]
impl datapipe_worker::adapters::Ownership for Member {
    async fn acquired(&mut self) -> Result<i32, PortError> {
        match &mut self.0 {
            Some(ownership) => ownership.acquired().await.map(|generation| generation.0),
            None => Err(left()),
        }
    }

    async fn lost(&mut self) -> Result<(), PortError> {
        match &mut self.0 {
            Some(ownership) => ownership.lost().await,
            None => Err(left()),
        }
    }

    async fn leave(&mut self) -> Result<(), PortError> {
        if let Some(ownership) = self.0.take() {
            ownership.leave().await;
        }
        Ok(())
    }
}

fn left() -> PortError {
    PortError::new(ErrorKind::Retry, "asking for the group after leaving it")
}

#[async_trait]
impl Adapters for Real {
    async fn join(&self) -> Result<Box<dyn datapipe_worker::adapters::Ownership>, PortError> {
        let ownership = Ownership::join(&self.kafka, &self.names.group, &self.names.configs_topic)?;
        Ok(Box::new(Member(Some(ownership))))
    }

    async fn connect_store(&self) -> Result<Box<dyn ConnectStore>, PortError> {
        Ok(Box::new(connect_store(&self.kafka, &self.names)?))
    }

    async fn offset_store(&self) -> Result<Box<dyn OffsetStore>, PortError> {
        Ok(Box::new(KafkaOffsetStore::new(self.kafka.clone(), &self.names.offsets_topic)))
    }

    async fn cluster_id(&self) -> Result<String, PortError> {
        datapipe_kafka::identity::cluster_id(&self.kafka).await
    }

    async fn source(&self, config: &SourceConfig) -> Result<Box<dyn ChangeSource>, PortError> {
        Ok(Box::new(PgSource::new(source_spec(config, &self.allowed)?)))
    }

    async fn signals(&self, config: &SourceConfig) -> Result<Option<Box<dyn SignalChannel>>, PortError> {
        let Some(topic) = &config.signals.topic else { return Ok(None) };
        let own = self.kafka.bootstrap();
        if let Some(given) = config.signals.bootstrap.as_deref().filter(|given| *given != own) {
            return Err(PortError::new(ErrorKind::Refused, format!("reading signals from topic {topic}"))
                .because(format!("signal.kafka.bootstrap.servers is {given:?}, and the worker's cluster is {own:?}"))
                .hint("leave signal.kafka.bootstrap.servers out: signals are taken from the worker's own cluster"));
        }
        Ok(Some(Box::new(SignalTopic::new(self.kafka.clone(), topic, &config.topic_prefix))))
    }

    async fn transactional_log(
        &self,
        config: &SourceConfig,
        transactional_id: &str,
        offsets_topic: &str,
        offsets_key: &[u8],
    ) -> Result<Box<dyn TransactionalLog>, PortError> {
        if let Some(topic) = &config.heartbeat_topic {
            // Kafka Connect's producer would wait for it for ever.
            let configs = [("cleanup.policy", "delete"), ("retention.ms", HEARTBEATS_KEPT_MS)];
            let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let spec = TopicSpec { configs, ..TopicSpec::new(topic, 1, -1) };
            if create_missing(&self.kafka, &spec).await? {
                tracing::info!(topic, "heartbeat topic created");
            }
        }
        let mut settings = ProducerSettings::new(transactional_id, offsets_topic, offsets_key.to_vec());
        settings.queue_bytes = u32::try_from(config.queue_bytes_max).unwrap_or(u32::MAX);
        Ok(Box::new(TransactionalProducer::new(self.kafka.clone(), settings)))
    }

    async fn reader(&self, config: &SinkConfig) -> Result<Box<dyn LogReader>, PortError> {
        let mut settings = ReaderSettings::new(&config.topic, config.group());
        settings.headers = config.output.fields.contains(&Field::Headers);
        Ok(Box::new(TopicReader::new(&self.kafka, settings)?))
    }

    async fn store(&self, config: &SinkConfig) -> Result<Box<dyn ObjectStore>, PortError> {
        Ok(Box::new(store(config, Keys::of(config, &self.allowed))?))
    }

    async fn dead_letters(&self, _config: &SinkConfig) -> Result<Box<dyn DeadLetterQueue>, PortError> {
        Ok(Box::new(DeadLetters::new(self.kafka.clone())))
    }

    async fn observe(&self, source: Option<&SourceConfig>, sink: Option<&SinkConfig>) -> Observation {
        let mut watches = self.watches.lock().await;
        let Watches { server, log } = &mut *watches;
        let look = async { tokio::join!(observe_server(server, source, &self.allowed), self.observe_log(log, sink)) };
        let (server, log_ends) = tokio::time::timeout(OBSERVE_MAX, look).await.unwrap_or_default();
        let (server_lsn, retained_bytes) = server.unzip();
        Observation { server_lsn, retained_bytes, log_ends }
    }

    fn resident_bytes(&self) -> Option<u64> {
        memory::own().map(|memory| memory.resident_bytes)
    }

    async fn examine_source(&self, config: &SourceConfig) -> Vec<ConfigProblem> {
        let keyless = config.keyless_snapshot;
        let looked = match source_spec(config, &self.allowed) {
            Ok(spec) => examine(&Expected { spec, key: Vec::new(), keyless, debezium: false }).await,
            Err(error) => return vec![of_port("database.password", &error)],
        };
        match looked {
            Ok(problems) => problems.into_iter().map(of_source).collect(),
            Err(error) => vec![of_port("database.hostname", &error)],
        }
    }

    async fn examine_sink(&self, config: &SinkConfig) -> Vec<ConfigProblem> {
        let keys = Keys::of(config, &self.allowed);
        let unread: Vec<_> = keys.errors().map(|error| of_port("aws.secret.access.key", error)).collect();
        if !unread.is_empty() {
            return unread;
        }
        let probed = async { store(config, keys)?.probe(PROBE_PREFIX).await };
        probed.await.err().map(|error| of_port("aws.s3.bucket.name", &error)).into_iter().collect()
    }

    fn logger_levels(&self) -> BTreeMap<String, LoggerLevel> {
        let shown = |(logger, set): (String, SetLevel)| {
            (logger, LoggerLevel { level: set.level, last_modified: set.changed_at_ms })
        };
        self.levels.all().into_iter().map(shown).collect()
    }

    fn set_logger_level(&self, logger: &str, level: &str) -> Vec<String> {
        let changed = self.levels.set(logger, level);
        if changed.is_none() {
            tracing::warn!(logger, level, "log level not set: the logger or the level is none");
        }
        changed.unwrap_or_default()
    }
}

/// Which key of a source's configuration a problem of its server is about.
fn of_source(problem: Problem) -> ConfigProblem {
    let key = match problem.object.split(' ').next() {
        Some("table" | "column") => "table.include.list",
        Some("publication") => "publication.name",
        Some("slot") => "slot.name",
        _ if problem.what.starts_with("role ") => "database.user",
        _ => "database.hostname",
    };
    let why = format!("{}: {}", problem.object, problem.what);
    ConfigProblem { key: key.to_owned(), why, fix: problem.fix }
}

fn of_port(key: &str, error: &PortError) -> ConfigProblem {
    let report = error.report();
    let fix = error.next_step().unwrap_or("correct it, or mend what it names");
    let why = report.strip_suffix(&format!("; {fix}")).unwrap_or(&report).to_owned();
    ConfigProblem { key: key.to_owned(), why, fix: fix.to_owned() }
}

async fn observe_server(
    watch: &mut Option<WalMonitor>,
    config: Option<&SourceConfig>,
    allowed: &AllowList,
) -> Option<(u64, u64)> {
    if watch.is_none() {
        *watch = Some(WalMonitor::new(source_spec(config?, allowed).ok()?));
    }
    let state = watch.as_mut()?.state().await.ok()?;
    Some((state.current.0, state.retained_bytes))
}

impl Real {
    async fn observe_log(&self, watch: &mut Option<LagWatch>, config: Option<&SinkConfig>) -> Option<Vec<i64>> {
        let config = config?;
        if watch.is_none() {
            *watch = LagWatch::new(&self.kafka, &config.topic, config.group()).ok();
        }
        let partitions = watch.as_ref()?.look().await.ok()?;
        Some(partitions.iter().map(|partition| partition.end).collect())
    }
}

/// The internal topics of one table's worker.
pub(crate) fn connect_store(kafka: &KafkaConfig, names: &Names) -> Result<KafkaConnectStore, PortError> {
    KafkaConnectStore::new(kafka.clone(), &names.configs_topic, &names.status_topic)
}
