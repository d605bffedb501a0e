//! The look before a start: all problems at once, and nothing changed but the probe object in the bucket.

use datapipe_core::allow_list::AllowList;
use datapipe_core::connector::SinkConfig;
use datapipe_core::plan::{PipelinePlan, Plan, Problem, Problems};
use datapipe_core::port::PortError;
use datapipe_core::port::store::ObjectStore as _;
use datapipe_kafka::KafkaConfig;
use datapipe_postgres::preflight::Expected;

use crate::adapters::{Keys, source_spec, store};
use crate::hybrid;
use crate::ports::{self, Holder};
use crate::start::{listen, sink_of, source_of};

/// Where the store's conditional writes are tried out, outside of every table's folder.
pub(crate) const PROBE_PREFIX: &str = "_datapipe/";

/// Looks at every system, side by side: one that is away is waited for.
pub(crate) async fn look(plan: &Plan, kafka: &KafkaConfig) -> Result<(), Problems> {
    let mut problems = Vec::new();
    let mut expected = Vec::new();
    for pipeline in &plan.tables {
        problems.extend(hybrid::not_run_here(pipeline));
        for connector in &pipeline.connectors {
            if let Some(why) = datapipe_worker::refusal(&connector.config) {
                let object = format!("connector {}", connector.name);
                problems.push(Problem::new(object, why, "change the setting that it comes from"));
            }
        }
        if let Some(config) = source_of(pipeline) {
            match source_spec(&config, &plan.run.config_providers) {
                Ok(spec) => {
                    let (key, keyless) = (pipeline.key.clone(), config.keyless_snapshot);
                    expected.push(Expected { spec, key, keyless });
                }
                Err(error) => problems.push(problem("postgres.password", &error)),
            }
        }
    }
    let (cluster, holders, stores, database) = tokio::join!(
        datapipe_kafka::identity::cluster_id(kafka),
        look_at_ports(plan),
        look_at_stores(plan),
        datapipe_postgres::preflight::preflight(&expected)
    );
    let cluster = cluster.map_err(|error| problems.push(problem("kafka.bootstrap", &error))).ok();
    let held = holders.into_iter().filter_map(|(pipeline, holder)| held(plan, pipeline, holder, cluster.as_deref()));
    problems.extend(held.chain(stores));
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
    if unique.is_empty() { Ok(()) } else { Err(Problems(unique)) }
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

/// Each bucket once.
async fn look_at_stores(plan: &Plan) -> Vec<Problem> {
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    for config in plan.tables.iter().filter_map(sink_of) {
        let place = (config.endpoint.clone(), config.bucket.clone());
        if !seen.contains(&place) {
            look_at_store(&config, &plan.run.config_providers, &mut problems).await;
            seen.push(place);
        }
    }
    problems
}

async fn look_at_store(config: &SinkConfig, allowed: &AllowList, problems: &mut Vec<Problem>) {
    let keys = Keys::of(config, allowed);
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
