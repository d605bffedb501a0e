//! The look before a start: all problems at once, and nothing changed but the probe object in the bucket.

use std::time::Duration;

use datapipe_core::allow_list::AllowList;
use datapipe_core::connector::SinkConfig;
use datapipe_core::plan::{ConnectorPlan, PipelinePlan, Plan, Problem, Problems};
use datapipe_core::port::store::ObjectStore as _;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::settings::Role;
use datapipe_kafka::KafkaConfig;
use datapipe_postgres::preflight::Expected;
use tokio::time::{Instant, sleep};

use crate::adapters::{Keys, source_spec, store};
use crate::hybrid;
use crate::ports::{self, Holder};
use crate::start::{listen, sink_of, source_of};

/// Between two attempts to reach a server.
const PAUSE: Duration = Duration::from_millis(500);
/// Where the store's conditional writes are tried out, outside of every table's folder.
pub(crate) const PROBE_PREFIX: &str = "_datapipe/";

/// Looks at every system, side by side: one that is away is waited for, for as long as `wait` says.
pub(crate) async fn look(plan: &Plan, kafka: &KafkaConfig, wait: Duration) -> Result<(), Problems> {
    let mut problems = Vec::new();
    for pipeline in &plan.tables {
        problems.extend(hybrid::not_run_here(pipeline));
        problems.extend(pipeline.connectors.iter().filter_map(refused));
    }
    let expected = expected(plan, &mut problems);
    let (cluster, holders, stores, database) = tokio::join!(
        patiently(wait, async || datapipe_kafka::identity::cluster_id(kafka).await),
        look_at_ports(plan),
        look_at_stores(plan, wait),
        patiently(wait, async || datapipe_postgres::preflight::preflight(&expected).await)
    );
    let cluster = cluster.map_err(|error| problems.push(problem("kafka.bootstrap", &error))).ok();
    let held = holders.into_iter().filter_map(|(pipeline, holder)| held(plan, pipeline, holder, cluster.as_deref()));
    problems.extend(held.chain(stores));
    match database {
        Ok(found) => problems.extend(found.problems),
        Err(error) => problems.push(problem("postgres", &error)),
    }
    let unique = unique(problems);
    if unique.is_empty() { Ok(()) } else { Err(Problems(unique)) }
}

/// A connector that the native worker would not run.
pub(crate) fn refused(connector: &ConnectorPlan) -> Option<Problem> {
    let why = datapipe_worker::refusal(&connector.config)?;
    Some(Problem::new(format!("connector {}", connector.name), why, "change the setting that it comes from"))
}

/// What the sources' database must have.
pub(crate) fn expected(plan: &Plan, problems: &mut Vec<Problem>) -> Vec<Expected> {
    let mut expected = Vec::new();
    for (pipeline, config) in plan.tables.iter().filter_map(|pipeline| Some((pipeline, source_of(pipeline)?))) {
        match source_spec(&config, &plan.run.config_providers) {
            Ok(spec) => {
                let (key, keyless) = (pipeline.key.clone(), config.keyless_snapshot);
                let debezium = pipeline.worker.kind.runs_in_jvm(Role::Source);
                expected.push(Expected { spec, key, keyless, debezium });
            }
            Err(error) => problems.push(problem("postgres.password", &error)),
        }
    }
    expected
}

/// Asks again while a server is away. A network policy takes a moment until it holds for a new pod.
pub(crate) async fn patiently<T>(wait: Duration, ask: impl AsyncFn() -> Result<T, PortError>) -> Result<T, PortError> {
    let begun = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.kind() != ErrorKind::Refused && begun.elapsed() < wait => sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// Several tables say the same of what they share.
pub(crate) fn unique(problems: Vec<Problem>) -> Vec<Problem> {
    let mut unique: Vec<Problem> = Vec::new();
    for problem in problems {
        if !unique.contains(&problem) {
            unique.push(problem);
        }
    }
    unique
}

async fn look_at_ports(plan: &Plan) -> Vec<(&PipelinePlan, Holder)> {
    let mut holders = Vec::new();
    for pipeline in &plan.tables {
        holders.push((pipeline, ports::holder(listen(plan, pipeline)).await));
    }
    holders
}

/// A port that a worker of the same cluster holds is no problem: this one is its standby, and waits for the port too.
fn held(plan: &Plan, pipeline: &PipelinePlan, holder: Holder, cluster: Option<&str>) -> Option<Problem> {
    let address = listen(plan, pipeline);
    let by = match holder {
        Holder::Nobody | Holder::Silent => return None,
        Holder::Worker(id) if id.is_empty() || cluster.is_none_or(|cluster| cluster == id) => return None,
        Holder::Worker(id) => format!("a worker of another Kafka cluster, {id}"),
        Holder::Stranger => "another program".to_owned(),
        Holder::Impossible(error) => {
            let fix =
                "set run.listen to an address of this machine, and the table's port to one that this user may use";
            return Some(Problem::new("run.listen", format!("cannot listen on {address}: {error}"), fix));
        }
    };
    let setting = format!("tables.{}.port", pipeline.names.table);
    let fix = format!("end that program, or set {setting} to a free port");
    Some(Problem::new(setting, format!("{address} is taken by {by}"), fix))
}

/// Each bucket once for each kind of sink: a JVM's needs no conditional writes.
pub(crate) async fn look_at_stores(plan: &Plan, wait: Duration) -> Vec<Problem> {
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    for pipeline in &plan.tables {
        let Some(config) = sink_of(pipeline) else { continue };
        let jvm = pipeline.worker.kind.runs_in_jvm(Role::Sink);
        let place = (config.endpoint.clone(), config.bucket.clone(), jvm);
        if !seen.contains(&place) {
            look_at_store(&config, jvm, wait, &plan.run.config_providers, &mut problems).await;
            seen.push(place);
        }
    }
    problems
}

async fn look_at_store(
    config: &SinkConfig,
    jvm: bool,
    wait: Duration,
    allowed: &AllowList,
    problems: &mut Vec<Problem>,
) {
    let before = problems.len();
    problems.extend(Keys::of(config, allowed).errors().map(|error| problem("s3", error)));
    if problems.len() > before {
        return;
    }
    let look = async || {
        let store = store(config, Keys::of(config, allowed))?;
        if jvm { store.list(PROBE_PREFIX, true, None).await.map(drop) } else { store.probe(PROBE_PREFIX).await }
    };
    if let Err(error) = patiently(wait, look).await {
        problems.push(problem("s3.bucket", &error));
    }
}

pub(crate) fn problem(object: &str, error: &PortError) -> Problem {
    let report = error.report();
    let fix = error.next_step().unwrap_or("see the message");
    let what = report.strip_suffix(&format!("; {fix}")).unwrap_or(&report).to_owned();
    Problem::new(object, what, fix)
}
