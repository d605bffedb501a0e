//! `start`: look at everything, make what is missing, put the connectors, and run the workers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datapipe_boot::telemetry::Levels;
use datapipe_boot::{Scratch, SystemClock, secrets};
use datapipe_core::connector::{SinkConfig, SourceConfig};
use datapipe_core::plan::{ConnectorPlan, PipelinePlan, Plan, Problem, Problems, TopicPlan};
use datapipe_core::port::connect::ConnectStore as _;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::secret::SecretRef;
use datapipe_core::settings::Role;
use datapipe_kafka::KafkaConfig;
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_postgres::publication::ensure_publication;
use datapipe_worker::{Worker, WorkerSettings};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapters::{Real, connect_store, source_spec};
use crate::{hybrid, preflight};

/// What keeps a start from happening.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Problems found before anything was changed.
    #[error("{0}")]
    Preflight(Problems),
    /// A step that changes something failed.
    #[error(transparent)]
    Step(PortError),
}

impl From<PortError> for StartError {
    fn from(error: PortError) -> Self {
        Self::Step(error)
    }
}

/// Runs all pipelines of the plan until told to stop.
pub(crate) async fn run(
    plan: &Plan,
    wait: Duration,
    levels: &Arc<Levels>,
    stop: &CancellationToken,
) -> Result<(), StartError> {
    // Each step of the preparation may be broken off: the next start looks at what is there and does the rest.
    let (kafka, scratch) = tokio::select! {
        biased;
        () = stop.cancelled() => {
            tracing::info!("stopped before the pipelines were started");
            return Ok(());
        }
        prepared = prepare(plan, wait) => prepared?,
    };
    let mut workers = JoinSet::new();
    for pipeline in &plan.tables {
        if let Some(source) = hybrid::source(pipeline) {
            let stop = stop.clone();
            workers.spawn(async move { source.keep(&stop).await });
        }
        let worker = worker(plan, pipeline, &kafka, &scratch, levels);
        let stop = stop.clone();
        workers.spawn(async move { worker.run(&stop).await });
    }
    while workers.join_next().await.is_some() {}
    Ok(())
}

/// Looks at everything, then makes what is missing.
async fn prepare(plan: &Plan, wait: Duration) -> Result<(KafkaConfig, Scratch), StartError> {
    let kafka = kafka_config(plan)?;
    preflight::look(plan, &kafka, wait).await.map_err(StartError::Preflight)?;
    let scratch = make_folder(&plan.run.data_dir)?;
    ensure(plan, &kafka).await?;
    put_all_connectors(plan, &kafka).await?;
    Ok((kafka, scratch))
}

fn worker(
    plan: &Plan,
    pipeline: &PipelinePlan,
    kafka: &KafkaConfig,
    scratch: &Scratch,
    levels: &Arc<Levels>,
) -> Worker {
    let jvm = hybrid::jvm(pipeline);
    let names = &hybrid::names(pipeline);
    let settings = WorkerSettings {
        slug: names.slug.clone(),
        listen: listen(plan, pipeline),
        group: names.group.clone(),
        offsets_topic: names.offsets_topic.clone(),
        spool_folder: scratch.path(),
        drain_max: plan.run.drain_timeout.0,
        jvm_source: if jvm.is_some() { names.source_connector.clone() } else { String::new() },
        hosts: plan.run.hosts.clone(),
    };
    let real = Real::new(names.clone(), kafka.clone(), Arc::clone(levels), plan.run.config_providers.clone());
    Worker::beside(jvm, settings, Arc::new(real), Arc::new(SystemClock))
}

/// Where a table's REST interface answers.
pub(crate) fn listen(plan: &Plan, pipeline: &PipelinePlan) -> SocketAddr {
    SocketAddr::new(plan.run.listen, pipeline.port)
}

/// The Kafka clients' configuration, secrets resolved.
pub(crate) fn kafka_config(plan: &Plan) -> Result<KafkaConfig, StartError> {
    let (mut texts, mut secret_texts) = (BTreeMap::new(), BTreeMap::new());
    let mut problems = Vec::new();
    for (key, value) in &plan.kafka.properties {
        match value.parse::<SecretRef>() {
            Err(_) => drop(texts.insert(key.clone(), value.clone())),
            Ok(reference) => match secrets::resolve(&reference) {
                Ok(secret) => drop(secret_texts.insert(key.clone(), secret)),
                Err(error) => {
                    problems.push(Problem::new(format!("kafka.properties.{key}"), error.to_string(), error.hint()));
                }
            },
        }
    }
    let config = KafkaConfig::new(plan.kafka.bootstrap.join(","), texts, secret_texts);
    match config {
        Ok(config) if problems.is_empty() => Ok(config),
        Ok(_) => Err(StartError::Preflight(Problems(problems))),
        Err(error) => {
            problems.push(Problem::new("kafka.properties", error.to_string(), error.hint()));
            Err(StartError::Preflight(Problems(problems)))
        }
    }
}

/// The source as the worker will read it; none if there is none, or none that it can use.
pub(crate) fn source_of(pipeline: &PipelinePlan) -> Option<SourceConfig> {
    SourceConfig::from_map(&pipeline.connector(Role::Source)?.config).ok()
}

pub(crate) fn sink_of(pipeline: &PipelinePlan) -> Option<SinkConfig> {
    SinkConfig::from_map(&pipeline.connector(Role::Sink)?.config).ok()
}

/// Makes the data folder, and in it one of this process's own.
fn make_folder(folder: &Path) -> Result<Scratch, StartError> {
    std::fs::create_dir_all(folder).and_then(|()| Scratch::new(folder)).map_err(|error| {
        PortError::new(ErrorKind::Refused, format!("making the data folder {}", folder.display()))
            .because(error)
            .hint("set run.data_dir to a folder that this user may write to")
            .into()
    })
}

/// The topics of all tables; they share that of signals.
pub(crate) fn topic_specs(plan: &Plan) -> Vec<TopicSpec> {
    let replication = i32::from(plan.kafka.replication_factor);
    let topics = plan.tables.iter().flat_map(|pipeline| &pipeline.topics);
    let spec = |topic: &TopicPlan| TopicSpec {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication,
        configs: topic.config.clone(),
    };
    let specs: BTreeMap<&str, TopicSpec> = topics.map(|topic| (topic.name.as_str(), spec(topic))).collect();
    specs.into_values().collect()
}

/// Makes what is missing and may be made: topics and publications. The slot is made by the capture, with its snapshot.
async fn ensure(plan: &Plan, kafka: &KafkaConfig) -> Result<(), StartError> {
    let specs = topic_specs(plan);
    let report = topics::ensure(kafka, &specs).await?;
    tracing::info!(created = report.created.len(), existing = report.existing.len(), "topics are there");
    for difference in &report.differing {
        let topics::TopicDifference { topic, what, wanted, found, hint } = difference;
        tracing::warn!(topic, what, wanted, found, "topic differs from the plan; {hint}");
    }
    for topics::UnseenTopic { topic, wanted, hint } in &report.unseen {
        tracing::warn!(
            topic,
            wanted,
            "this user may not look at the topic's configurations, so they were not compared; {hint}"
        );
    }
    for pipeline in &plan.tables {
        if let Some(config) = source_of(pipeline)
            && ensure_publication(&source_spec(&config, &plan.run.config_providers)?).await?
        {
            tracing::info!(publication = %pipeline.names.publication, "publication created");
        }
    }
    Ok(())
}

/// All tables at once: each waits for an answer of its own topic.
async fn put_all_connectors(plan: &Plan, kafka: &KafkaConfig) -> Result<(), StartError> {
    let mut puts = JoinSet::new();
    for pipeline in plan.tables.clone() {
        let kafka = kafka.clone();
        puts.spawn(async move { put_connectors(&pipeline, &kafka).await });
    }
    while let Some(put) = puts.join_next().await {
        put.map_err(|error| PortError::new(ErrorKind::Retry, "writing the connectors").because(error))??;
    }
    Ok(())
}

/// Writes the connectors' configurations into the internal topic, where they differ from what is there.
async fn put_connectors(pipeline: &PipelinePlan, kafka: &KafkaConfig) -> Result<(), StartError> {
    let store = connect_store(kafka, &hybrid::names(pipeline))?;
    let stored = store.configs().await?;
    // In a hybrid the JVM worker is told of the source by its own REST interface.
    let native = |connector: &&ConnectorPlan| !hybrid::is(pipeline) || connector.role == Role::Sink;
    for connector in pipeline.connectors.iter().filter(native) {
        if stored.get(&connector.name) != Some(&connector.config) {
            store.put_config(&connector.name, &connector.config).await?;
            tracing::info!(connector = %connector.name, "configuration written");
        }
    }
    Ok(())
}
