//! One table's part of the plan.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;

use super::bounds::Bounds;
use super::further::{self, Taker};
use super::{PostgresPlan, Problem, S3Plan};
use crate::connector::{ConfigSecret, SignalConfig, SinkConfig, SourceConfig};
use crate::convention::Names;
use crate::envelope::{Columns, Nulls};
use crate::layout::Layout;
use crate::output::Output;
use crate::port::connect::ConfigMap;
use crate::secret::SecretRef;
use crate::settings::{ByteSize, Role, Settings, SinkSettings, SourceSettings, Span, WorkerSettings};
use crate::table::{Sink, Source, Table, TablePipeline, Topic, Worker, WorkerKind};
use crate::transform::Transforms;
use crate::value::Modes;

/// One table's pipeline, complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PipelinePlan {
    /// All its names.
    pub names: Names,
    /// The table's schema.
    pub schema: String,
    /// The primary key's columns.
    pub key: Vec<String>,
    /// The port of the worker's REST interface.
    pub port: u16,
    /// What serves it.
    pub worker: Worker,
    /// The publication to be made if it is missing.
    pub publication: PublicationPlan,
    /// The topics to be made if they are missing.
    pub topics: Vec<TopicPlan>,
    /// Its connectors: the source, then the sink.
    pub connectors: Vec<ConnectorPlan>,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicationPlan {
    /// Its name.
    pub name: String,
    /// The statement that makes it, for the table's owner.
    pub create_sql: String,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: i32,
    /// Its configuration, in Kafka's names.
    pub config: BTreeMap<String, String>,
}

/// A connector and its configuration, as it is sent to Kafka Connect or kept in the configs topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectorPlan {
    /// Which of the two.
    pub role: Role,
    /// The connector's name.
    pub name: String,
    /// Its configuration; secrets are references.
    pub config: ConfigMap,
    /// The same without the further keys that settings and the declaration give.
    #[serde(skip)]
    pub planned: ConfigMap,
}

impl ConnectorPlan {
    /// The further keys.
    pub fn further(&self) -> ConfigMap {
        let further = self.config.iter().filter(|(key, value)| self.planned.get(*key) != Some(*value));
        further.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl PipelinePlan {
    /// `schema.table`
    pub fn qualified(&self) -> String {
        format!("{}.{}", self.schema, self.names.table)
    }

    /// The connector of that role, if it is to run.
    pub fn connector(&self, role: Role) -> Option<&ConnectorPlan> {
        self.connectors.iter().find(|connector| connector.role == role)
    }
}

pub(super) struct Place<'a> {
    pub(super) settings: &'a Settings,
    pub(super) postgres: &'a PostgresPlan,
    pub(super) s3: &'a S3Plan,
}

/// Plans one table; none if its names cannot be derived, which is then among the problems.
pub(super) fn plan(
    place: &Place<'_>,
    table: &Table,
    declared: &dyn TablePipeline,
    problems: &mut Vec<Problem>,
) -> Option<PipelinePlan> {
    let settings = place.settings;
    let prefix = settings.topic.prefix.as_deref().unwrap_or("cdc");
    let names = Names::derive(prefix, &table.schema, &table.name)
        .map_err(|errors| problems.extend(errors.into_iter().map(Problem::from)))
        .ok()?;
    let own = settings.tables.get(&table.name).cloned().unwrap_or_default();
    let source = override_source(declared.source(override_source(Source::default(), &settings.source)), &own.source);
    let topic = override_topic(Topic::default(), settings.topic.partitions, settings.topic.retention);
    let topic = override_topic(declared.topic(topic), own.topic.partitions, own.topic.retention);
    let sink = override_sink(declared.sink(override_sink(Sink::default(), &settings.sink)), &own.sink);
    let worker = override_worker(declared.worker(override_worker(Worker::default(), &settings.worker)), &own.worker);
    let port = own.port.unwrap_or(table.port);
    let roles = own.connectors.unwrap_or_else(|| vec![Role::Source, Role::Sink]);

    let mut bounds = Bounds::of_table(&table.name, problems);
    bounds.port(port);
    bounds.source(&source);
    bounds.topic(&topic);
    bounds.sink(&sink);
    bounds.worker(&worker);
    bounds.roles(&roles);
    bounds.key(&table.key);
    if worker.kind == WorkerKind::KafkaConnect {
        native_keys(place.s3, problems);
    }

    let mut connectors = Vec::new();
    for role in [Role::Source, Role::Sink].into_iter().filter(|role| roles.contains(role)) {
        let (planned, further, section, own) = match role {
            Role::Source => (
                source_config(place, &names, table, &source),
                &source.config,
                &settings.source.config,
                &own.source.config,
            ),
            Role::Sink => (sink_config(place, &names, &sink), &sink.config, &settings.sink.config, &own.sink.config),
        };
        let word = if role == Role::Source { "source" } else { "sink" };
        let origin = |key: &str| {
            let is_of_all = section.contains_key(key) && !own.contains_key(key);
            if is_of_all {
                format!("{word}.config.{key}")
            } else {
                format!("tables.{}.{word}.config.{key}", table.name)
            }
        };
        let taker = if worker.kind.runs_in_jvm(role) { Taker::Jvm } else { Taker::Native };
        let config = further::add(&planned, further, (role, taker), &names, &origin, problems);
        let name = if role == Role::Source { &names.source_connector } else { &names.sink_connector };
        connectors.push(ConnectorPlan { role, name: name.clone(), config, planned });
    }
    Some(PipelinePlan {
        publication: publication(&names, &table.schema),
        topics: topics(&names, &topic, worker.kind, prefix, &connectors),
        connectors,
        schema: table.schema.clone(),
        key: table.key.clone(),
        port,
        worker,
        names,
    })
}

pub(super) fn override_source(mut source: Source, settings: &SourceSettings) -> Source {
    source.snapshot = settings.snapshot.unwrap_or(source.snapshot);
    source.heartbeat = settings.heartbeat.map_or(source.heartbeat, |span| span.0);
    source.tombstones = settings.tombstones.unwrap_or(source.tombstones);
    source.signals = settings.signals.unwrap_or(source.signals);
    source.truncates = settings.truncates.unwrap_or(source.truncates);
    source.keyless_snapshot = settings.keyless_snapshot.unwrap_or(source.keyless_snapshot);
    source.batch_rows_max = settings.batch_rows.unwrap_or(source.batch_rows_max);
    source.queue_bytes_max = settings.queue_bytes.map_or(source.queue_bytes_max, |size| size.0);
    source.config.extend(settings.config.clone());
    source
}

pub(super) fn override_topic(mut topic: Topic, partitions: Option<i32>, retention: Option<Span>) -> Topic {
    topic.partitions = partitions.unwrap_or(topic.partitions);
    topic.retention = retention.map_or(topic.retention, |span| span.0);
    topic
}

pub(super) fn override_sink(mut sink: Sink, settings: &SinkSettings) -> Sink {
    sink.rows_max = settings.rows.unwrap_or(sink.rows_max);
    sink.bytes_max = settings.bytes.map_or(sink.bytes_max, |size| size.0);
    sink.age_max = settings.age.map_or(sink.age_max, |span| span.0);
    sink.compression = settings.compression.unwrap_or(sink.compression);
    sink.tasks = settings.tasks.unwrap_or(sink.tasks);
    sink.config.extend(settings.config.clone());
    sink
}

pub(super) fn override_worker(mut worker: Worker, settings: &WorkerSettings) -> Worker {
    worker.kind = settings.kind.unwrap_or(worker.kind);
    let memory_mib = |size: ByteSize| u32::try_from(size.0 >> 20).unwrap_or(u32::MAX);
    worker.memory_mib = settings.memory.map_or(worker.memory_mib, memory_mib);
    worker.jvm_url = settings.jvm_url.clone().or(worker.jvm_url);
    worker
}

/// Kafka Connect resolves references by providers of its own, and its sink takes no session token.
fn native_keys(s3: &S3Plan, problems: &mut Vec<Problem>) {
    let native = |reference: &SecretRef| matches!(reference, SecretRef::Profile { .. });
    let fix =
        "give lasting keys as \"${file:/path:key}\", which both read, or set worker.kind to \"native\" or \"hybrid\"";
    if native(&s3.access_key_id) || native(&s3.secret_access_key) {
        let what = "is read by the native sink only, and worker.kind is kafka-connect";
        problems.push(Problem::new("s3.profile", what, fix));
    } else if s3.session_token.is_some() {
        let what = "is taken by the native sink only, and worker.kind is kafka-connect";
        problems.push(Problem::new("s3.session_token", what, fix));
    }
}

fn publication(names: &Names, schema: &str) -> PublicationPlan {
    let Names { publication: name, table, .. } = names;
    PublicationPlan {
        create_sql: format!("CREATE PUBLICATION \"{name}\" FOR TABLE \"{schema}\".\"{table}\""),
        name: name.clone(),
    }
}

/// One for all tables of a prefix, as Debezium names it.
fn signal_topic(prefix: &str) -> String {
    format!("{prefix}-signal")
}

/// The data topic must be deleted from by age only: compaction would break replay.
fn topics(
    names: &Names,
    topic: &Topic,
    kind: WorkerKind,
    prefix: &str,
    connectors: &[ConnectorPlan],
) -> Vec<TopicPlan> {
    const TRANSACTIONS_KEPT: Duration = Duration::from_secs(7 * 86_400);
    const DEAD_LETTERS_KEPT: Duration = Duration::from_secs(30 * 86_400);
    const HEARTBEATS_KEPT: Duration = Duration::from_secs(86_400);
    const SIGNALS_KEPT: Duration = Duration::from_secs(7 * 86_400);
    let config =
        |pairs: &[(&str, String)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let compacted = |name: &String| TopicPlan {
        name: name.clone(),
        partitions: 1,
        config: config(&[("cleanup.policy", "compact".to_owned())]),
    };
    let kept = |name: String, partitions, retention: Duration| TopicPlan {
        name,
        partitions,
        config: config(&[("cleanup.policy", "delete".to_owned()), ("retention.ms", retention.as_millis().to_string())]),
    };
    let mut topics = vec![
        compacted(&names.configs_topic),
        compacted(&names.offsets_topic),
        compacted(&names.status_topic),
        kept(names.data_topic.clone(), topic.partitions, topic.retention),
        kept(names.dead_letter_topic.clone(), 1, DEAD_LETTERS_KEPT),
    ];
    if kind == WorkerKind::Hybrid {
        let sink = names.of_hybrid_sink();
        topics.extend([&sink.configs_topic, &sink.offsets_topic, &sink.status_topic].map(compacted));
    }
    topics.push(kept(format!("{}.{prefix}", names.heartbeat_prefix), 1, HEARTBEATS_KEPT));
    for ConnectorPlan { role, config, .. } in connectors {
        let value = |key: &str| config.get(key).map(String::as_str);
        match role {
            Role::Source => {
                topics.extend(value("signal.kafka.topic").map(|name| kept(name.to_owned(), 1, SIGNALS_KEPT)));
                if value("provide.transaction.metadata") == Some("true") {
                    let name = value("topic.transaction").unwrap_or("transaction");
                    topics.push(kept(format!("{prefix}.{name}"), 1, TRANSACTIONS_KEPT));
                }
            }
            // Where a transform of the source sends the rows.
            Role::Sink => {
                let routed = value("topics").filter(|name| *name != names.data_topic);
                topics.extend(routed.map(|name| kept(name.to_owned(), topic.partitions, topic.retention)));
            }
        }
    }
    topics
}

fn source_config(place: &Place<'_>, names: &Names, table: &Table, source: &Source) -> ConfigMap {
    let postgres = place.postgres;
    let prefix = place.settings.topic.prefix.clone().unwrap_or_else(|| "cdc".to_owned());
    let config = SourceConfig {
        name: names.source_connector.clone(),
        host: postgres.host.clone(),
        port: postgres.port,
        database: postgres.database.clone(),
        user: postgres.user.clone(),
        password: postgres.password.clone().map(ConfigSecret::Reference),
        topic_prefix: prefix.clone(),
        schema: table.schema.clone(),
        table: table.name.clone(),
        slot: names.slot.clone(),
        publication: names.publication.clone(),
        snapshot: source.snapshot,
        keyless_snapshot: source.keyless_snapshot,
        tombstones: source.tombstones,
        truncates: source.truncates,
        heartbeat: source.heartbeat,
        heartbeat_topic: Some(format!("{}.{prefix}", names.heartbeat_prefix)),
        heartbeat_query: Some(format!("SELECT pg_logical_emit_message(false, 'datapipe', '{}')", names.slot)),
        signals: SignalConfig {
            table: None,
            topic: source.signals.then(|| signal_topic(&prefix)),
            bootstrap: place.settings.kafka.bootstrap.clone().filter(|_| source.signals),
            poll: Duration::from_secs(5),
            chunk_rows: 1024,
        },
        batch_rows_max: source.batch_rows_max,
        queue_bytes_max: source.queue_bytes_max,
        dead_letter_topic: Some(names.dead_letter_topic.clone()),
        modes: Modes::PLAN,
        columns: Columns::default(),
        transaction_topic: None,
        transforms: Transforms::default(),
        key_schemas: false,
        schemas: false,
        // NULL stays null in values. A planned key has no nullable column.
        nulls: Nulls { default_in_values: false, ..Nulls::REPLACED },
        formless_null: false,
        losses_too: false,
        ignored: Vec::new(),
        unknown: Vec::new(),
    };
    config.to_map()
}

fn sink_config(place: &Place<'_>, names: &Names, sink: &Sink) -> ConfigMap {
    let s3 = place.s3;
    let output = Output::lines(sink.compression);
    let config = SinkConfig {
        name: names.sink_connector.clone(),
        topic: names.data_topic.clone(),
        tasks: NonZeroU32::new(sink.tasks).unwrap_or(NonZeroU32::MIN),
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        bucket: s3.bucket.clone(),
        path_style: s3.path_style,
        access_key_id: ConfigSecret::Reference(s3.access_key_id.clone()),
        secret_access_key: ConfigSecret::Reference(s3.secret_access_key.clone()),
        session_token: s3.session_token.clone().map(ConfigSecret::Reference),
        layout: Layout::contract(&names.table, &output.ending()),
        output,
        rows_max: sink.rows_max,
        bytes_max: sink.bytes_max,
        age_max: sink.age_max,
        dead_letter_topic: Some(names.dead_letter_topic.clone()),
        dead_letter_context: true,
        ignored: Vec::new(),
        unknown: Vec::new(),
    };
    config.to_map()
}
