//! `start`: look at everything, make what is missing, put the connectors, and run the workers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use datapipe_boot::{SystemClock, secrets};
use datapipe_core::connector::{SinkConfig, SourceConfig};
use datapipe_core::plan::{PipelinePlan, Plan, Problem, Problems};
use datapipe_core::port::connect::ConnectStore as _;
use datapipe_core::port::store::ObjectStore as _;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::secret::SecretRef;
use datapipe_core::settings::Role;
use datapipe_kafka::KafkaConfig;
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_postgres::preflight::Expected;
use datapipe_postgres::publication::ensure_publication;
use datapipe_worker::{Worker, WorkerSettings};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapters::{Keys, Real, connect_store, source_spec, store};

/// Where the store's conditional writes are tried out, outside of every table's folder.
const PROBE_PREFIX: &str = "_datapipe/";

/// What keeps a start from happening.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Problems found before anything was changed.
    #[error("{0}")]
    Preflight(Problems),
    /// A step that changes something failed.
    #[error("{}", .0.report())]
    Step(PortError),
}

impl From<PortError> for StartError {
    fn from(error: PortError) -> Self {
        Self::Step(error)
    }
}

/// Runs all pipelines of the plan until told to stop.
pub(crate) async fn run(plan: &Plan, stop: &CancellationToken) -> Result<(), StartError> {
    // Each step of the preparation may be broken off: the next start looks at what is there and does the rest.
    let kafka = tokio::select! {
        biased;
        () = stop.cancelled() => {
            tracing::info!("stopped before the pipelines were started");
            return Ok(());
        }
        prepared = prepare(plan) => prepared?,
    };
    let mut workers = JoinSet::new();
    for pipeline in &plan.tables {
        let worker = worker(plan, pipeline, &kafka);
        let stop = stop.clone();
        workers.spawn(async move { worker.run(&stop).await });
    }
    while workers.join_next().await.is_some() {}
    Ok(())
}

/// Looks at everything, then makes what is missing.
async fn prepare(plan: &Plan) -> Result<KafkaConfig, StartError> {
    let kafka = kafka_config(plan)?;
    preflight(plan, &kafka).await?;
    make_folder(&plan.run.data_dir)?;
    ensure(plan, &kafka).await?;
    put_all_connectors(plan, &kafka).await?;
    Ok(kafka)
}

fn worker(plan: &Plan, pipeline: &PipelinePlan, kafka: &KafkaConfig) -> Worker {
    let names = &pipeline.names;
    let settings = WorkerSettings {
        slug: names.slug.clone(),
        listen: SocketAddr::new(plan.run.listen, pipeline.port),
        group: names.group.clone(),
        offsets_topic: names.offsets_topic.clone(),
        spool_folder: plan.run.data_dir.clone(),
        drain_max: plan.run.drain_timeout.0,
    };
    Worker::new(settings, Arc::new(Real::new(names.clone(), kafka.clone())), Arc::new(SystemClock))
}

/// The Kafka clients' configuration, secrets resolved.
fn kafka_config(plan: &Plan) -> Result<KafkaConfig, StartError> {
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

/// Looks at every system; all problems at once, nothing changed but the probe object in the bucket. The systems are
/// looked at side by side: one that is away is waited for.
async fn preflight(plan: &Plan, kafka: &KafkaConfig) -> Result<(), StartError> {
    let mut problems = Vec::new();
    let mut expected = Vec::new();
    for pipeline in &plan.tables {
        for connector in &pipeline.connectors {
            if let Some(why) = datapipe_worker::refusal(&connector.config) {
                let object = format!("connector {}", connector.name);
                problems.push(Problem::new(object, why, "change the setting that it comes from"));
            }
        }
        if let Some(config) = source_of(pipeline) {
            match source_spec(&config) {
                Ok(spec) => expected.push(Expected { spec, key: pipeline.key.clone() }),
                Err(error) => problems.push(problem("postgres.password", &error)),
            }
        }
    }
    let looks =
        tokio::join!(look_at_kafka(kafka), look_at_stores(plan), datapipe_postgres::preflight::preflight(&expected));
    let (broker, stores, database) = looks;
    problems.extend(broker.into_iter().chain(stores));
    match database {
        Ok(found) => problems.extend(found),
        Err(error) => problems.push(problem("postgres", &error)),
    }
    let mut unique: Vec<Problem> = Vec::new();
    for problem in problems {
        if !unique.contains(&problem) {
            unique.push(problem);
        }
    }
    if unique.is_empty() { Ok(()) } else { Err(StartError::Preflight(Problems(unique))) }
}

async fn look_at_kafka(kafka: &KafkaConfig) -> Option<Problem> {
    let error = datapipe_kafka::identity::cluster_id(kafka).await.err()?;
    Some(problem("kafka.bootstrap", &error))
}

/// Each bucket once.
async fn look_at_stores(plan: &Plan) -> Vec<Problem> {
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    for config in plan.tables.iter().filter_map(sink_of) {
        let place = (config.endpoint.clone(), config.bucket.clone());
        if !seen.contains(&place) {
            look_at_store(&config, &mut problems).await;
            seen.push(place);
        }
    }
    problems
}

async fn look_at_store(config: &SinkConfig, problems: &mut Vec<Problem>) {
    let keys = Keys::of(config);
    let before = problems.len();
    problems.extend(keys.errors().map(|error| problem("s3", error)));
    if problems.len() > before {
        return;
    }
    let probed = match store(config, keys) {
        Ok(store) => store.probe(PROBE_PREFIX).await,
        Err(error) => Err(error),
    };
    if let Err(error) = probed {
        problems.push(problem("s3.bucket", &error));
    }
}

fn problem(object: &str, error: &PortError) -> Problem {
    let report = error.report();
    let fix = error.next_step().unwrap_or("see the message");
    let what = report.strip_suffix(&format!("; {fix}")).unwrap_or(&report).to_owned();
    Problem::new(object, what, fix)
}

/// The source as the worker will read it; none if there is none, or none that it can use.
fn source_of(pipeline: &PipelinePlan) -> Option<SourceConfig> {
    SourceConfig::from_map(&pipeline.connector(Role::Source)?.config).ok()
}

fn sink_of(pipeline: &PipelinePlan) -> Option<SinkConfig> {
    SinkConfig::from_map(&pipeline.connector(Role::Sink)?.config).ok()
}

fn make_folder(folder: &Path) -> Result<(), StartError> {
    std::fs::create_dir_all(folder).map_err(|error| {
        PortError::new(ErrorKind::Refused, format!("creating the data folder {}", folder.display()))
            .because(error)
            .hint("set run.data_dir to a folder that this user may write to")
            .into()
    })
}

/// Makes what is missing and may be made: topics and publications. The slot is made by the capture, with its snapshot.
async fn ensure(plan: &Plan, kafka: &KafkaConfig) -> Result<(), StartError> {
    let replication = i32::from(plan.kafka.replication_factor);
    let specs: Vec<TopicSpec> = plan
        .tables
        .iter()
        .flat_map(|pipeline| &pipeline.topics)
        .map(|topic| TopicSpec {
            name: topic.name.clone(),
            partitions: topic.partitions,
            replication,
            configs: topic.config.clone(),
        })
        .collect();
    let report = topics::ensure(kafka, &specs).await?;
    tracing::info!(created = report.created.len(), existing = report.existing.len(), "topics are there");
    for difference in &report.differing {
        let topics::TopicDifference { topic, what, wanted, found, hint } = difference;
        tracing::warn!(topic, what, wanted, found, "topic differs from the plan; {hint}");
    }
    for pipeline in &plan.tables {
        if let Some(config) = source_of(pipeline)
            && ensure_publication(&source_spec(&config)?).await?
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
    let store = connect_store(kafka, &pipeline.names)?;
    let stored = store.configs().await?;
    for connector in &pipeline.connectors {
        if stored.get(&connector.name) != Some(&connector.config) {
            store.put_config(&connector.name, &connector.config).await?;
            tracing::info!(connector = %connector.name, "configuration written");
        }
    }
    Ok(())
}
