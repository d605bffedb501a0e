//! JVM workers of the demo: Apache Kafka Connect with Debezium, one per table, as the plan renders them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use datapipe_connect::{Client, JVM_FLAGS, worker_properties};
use datapipe_core::plan::{PipelinePlan, Plan, Problem, Problems};
use datapipe_core::settings::{Role, Settings};
use datapipe_core::table::{JVM_PORT_OFFSET, WorkerKind};
use datapipe_embedded::{Cache, ConnectOptions, ConnectWorker, Progress, Stack};
use datapipe_kafka::topics;
use futures_util::future::try_join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::scene::{BUCKET, Scene, TOPIC_PREFIX, secrets};
use super::show::Show;
use super::traffic::TABLES;
use super::{DemoError, DemoOptions};

/// How long a worker that has just started may refuse connectors.
const ACCEPT_MAX: Duration = Duration::from_secs(90);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// One table's JVM worker.
pub(super) struct Jvm {
    pub(super) table: String,
    pub(super) worker: ConnectWorker,
}

/// The plan of the demo's tables, as its own configuration file comes to.
pub(super) fn plan(stack: &Stack, options: &DemoOptions) -> Result<Plan, DemoError> {
    let postgres = stack.postgres();
    let s3 = stack.s3();
    let tables: serde_json::Map<_, _> =
        (options.port..).zip(TABLES).map(|(port, table)| (table.to_owned(), json!({ "port": port }))).collect();
    let settings = json!({
        "postgres": {
            "host": postgres.host(),
            "port": postgres.port(),
            "database": postgres.database(),
            "user": postgres.user(),
            "password": "${env:PGPASSWORD}",
        },
        "kafka": { "bootstrap": stack.kafka().bootstrap(), "replication_factor": 1 },
        "s3": { "endpoint": s3.endpoint(), "region": s3.region(), "bucket": BUCKET },
        "topic": { "prefix": TOPIC_PREFIX },
        "source": { "heartbeat": "2s" },
        "worker": { "kind": options.kind },
        "tables": tables,
    });
    let settings: Settings =
        serde_json::from_value(settings).map_err(|error| DemoError::Plan(Problems(vec![defect(&error)])))?;
    let catalog = datapipe_catalog::all().map_err(|error| DemoError::Plan(Problems::from(error)))?;
    let tables = TABLES.map(str::to_owned);
    Plan::new(&catalog, &settings).and_then(|plan| plan.only(&tables)).map_err(DemoError::Plan)
}

/// Topics and publications: a JVM worker makes neither of the data.
pub(super) async fn prepare(plan: &Plan, scene: &Scene) -> Result<(), DemoError> {
    topics::ensure(&scene.kafka, &crate::start::topic_specs(plan)).await?;
    for pipeline in &plan.tables {
        scene.session.run(&pipeline.publication.create_sql).await?;
    }
    Ok(())
}

/// Starts all workers, side by side.
pub(super) async fn start(
    plan: &Plan,
    stack: &Stack,
    root: &Path,
    options: &DemoOptions,
    show: &Show,
) -> Result<Vec<Jvm>, DemoError> {
    let mut starts = Vec::new();
    for pipeline in &plan.tables {
        // The embedded worker puts its own plugins first.
        let properties = worker_properties(plan, pipeline, "").map_err(DemoError::Plan)?;
        let names = &pipeline.names;
        let mut connect = ConnectOptions::new(plan.kafka.bootstrap.join(","), &names.slug);
        connect.port = Some(port_of(pipeline));
        connect.plugin_path.extend(options.plugin_path.clone());
        connect.jvm_flags = JVM_FLAGS.map(str::to_owned).to_vec();
        connect.settings = properties.into_iter().filter(|(key, _)| key != "plugin.path").collect();
        connect.environment.set("MALLOC_ARENA_MAX", "2");
        for (name, value) in secrets(stack) {
            connect.environment.set(name, value);
        }
        let folder = folder(root, &names.table);
        let lines = show.clone();
        let progress = Progress::new(move |line| lines.say(&format!("  {line}")));
        let table = names.table.clone();
        starts.push(async move {
            let worker = ConnectWorker::start(&folder, connect, &Cache::of_user(), &progress).await?;
            Ok(Jvm { table, worker })
        });
    }
    try_join_all(starts).await
}

/// Kills all workers.
pub(super) async fn kill(jvms: &mut [Jvm]) -> Result<(), DemoError> {
    for jvm in jvms {
        jvm.worker.kill().await?;
    }
    Ok(())
}

/// Starts workers again, side by side.
pub(super) async fn resume(jvms: &mut [Jvm]) -> Result<(), DemoError> {
    try_join_all(jvms.iter_mut().map(|jvm| jvm.worker.resume())).await?;
    Ok(())
}

/// Stops workers in order, side by side.
pub(super) async fn stop(jvms: &mut [Jvm]) -> Result<(), DemoError> {
    try_join_all(jvms.iter_mut().map(|jvm| jvm.worker.stop())).await?;
    Ok(())
}

/// Makes the connectors on workers alone: the sources, and the sinks where a plugin for them is installed. True if it is.
pub(super) async fn put_connectors(plan: &Plan) -> Result<bool, DemoError> {
    let mut has_sink = false;
    for pipeline in &plan.tables {
        let failed = |connector: &str, source| DemoError::Connector { connector: connector.to_owned(), source };
        let client = Client::new(&format!("http://127.0.0.1:{}", pipeline.port))
            .map_err(|error| failed(&pipeline.names.source_connector, error))?;
        for connector in &pipeline.connectors {
            if connector.role == Role::Sink {
                let plugins = client.plugins(true).await.map_err(|error| failed(&connector.name, error))?;
                let class = connector.config.get("connector.class");
                has_sink = plugins.iter().any(|plugin| Some(&plugin.class) == class);
                if !has_sink {
                    continue;
                }
            }
            let begun = Instant::now();
            while let Err(error) = client.put_config(&connector.name, &connector.config).await {
                if !error.retryable() || begun.elapsed() > ACCEPT_MAX {
                    return Err(failed(&connector.name, error));
                }
                sleep(PAUSE).await;
            }
        }
    }
    Ok(has_sink)
}

/// Where a table's JVM worker has its files.
pub(super) fn folder(root: &Path, table: &str) -> PathBuf {
    root.join(format!("kafka-connect-{table}"))
}

/// Where a JVM worker answers: alone on the table's port, beside a native part where that one looks for it.
fn port_of(pipeline: &PipelinePlan) -> u16 {
    if pipeline.worker.kind == WorkerKind::Hybrid { pipeline.port + JVM_PORT_OFFSET } else { pipeline.port }
}

/// The demo's own settings are no settings.
fn defect(error: &serde_json::Error) -> Problem {
    Problem::new("the demo's settings", error.to_string(), "report it: this is a defect")
}
