use datapipe_connect::{ConnectorStatus, Expanded};
use datapipe_core::connector::{JvmFlavour, MASK, for_jvm};
use datapipe_core::plan::{ConnectorPlan, PipelinePlan};
use datapipe_core::port::connect::{ConfigMap, State};
use datapipe_core::settings::SinkFlavour;

use super::plugins;
use crate::finding::Findings;
use crate::seen::WorkerSeen;

/// So many keys are named at most.
const KEYS_MAX: usize = 5;

pub(super) fn judge(pipeline: &PipelinePlan, worker: &WorkerSeen, found: &mut Findings<'_>) {
    let missing: Vec<&str> = pipeline
        .connectors
        .iter()
        .filter(|planned| !worker.connectors.contains_key(&planned.name))
        .map(|planned| planned.name.as_str())
        .collect();
    if missing.is_empty() {
        let names: Vec<&str> = pipeline.connectors.iter().map(|planned| planned.name.as_str()).collect();
        found.ok("DP0201", names.join(", "));
    } else {
        let next = "datapipe-run start, or datapipe-deploy apply";
        found.fail("DP0201", format!("missing: {}", missing.join(", ")), next);
    }
    let there: Vec<(&ConnectorPlan, &Expanded)> = pipeline
        .connectors
        .iter()
        .filter_map(|planned| Some((planned, worker.connectors.get(&planned.name)?)))
        .collect();
    if there.is_empty() {
        found.skip("DP0202", "there is none of the planned connectors");
        found.skip("DP0203", "there is none of the planned connectors");
    } else {
        states(worker, &there, found);
        differences(pipeline, &there, found);
    }
    plugins::judge(pipeline, worker, found);
    alone(pipeline, worker, found);
}

fn alone(pipeline: &PipelinePlan, worker: &WorkerSeen, found: &mut Findings<'_>) {
    let planned = |name: &&String| pipeline.connectors.iter().any(|connector| connector.name == **name);
    let others: Vec<&str> = worker.connectors.keys().filter(|name| !planned(name)).map(String::as_str).collect();
    match others.first() {
        None => found.ok("DP0206", "no other connector"),
        Some(first) => {
            let next = format!("run it elsewhere, and: curl -X DELETE {}/connectors/{first}", worker.url);
            found.warn("DP0206", format!("not of the plan: {}", others.join(", ")), next);
        }
    }
}

fn states(worker: &WorkerSeen, there: &[(&ConnectorPlan, &Expanded)], found: &mut Findings<'_>) {
    let (mut held, mut wrong, mut tasks) = (Vec::new(), Vec::new(), 0);
    for (planned, live) in there {
        let name = &planned.name;
        let Some(status) = &live.status else {
            wrong.push((name.as_str(), format!("{name} has no status")));
            continue;
        };
        tasks += status.tasks.len();
        match status.connector.state {
            State::Paused | State::Stopped => held.push((name.as_str(), word(status.connector.state))),
            _ => wrong.extend(trouble(status).map(|why| (name.as_str(), format!("{name}: {why}")))),
        }
    }
    let url = &worker.url;
    if let Some((name, _)) = wrong.first() {
        let words: Vec<&str> = wrong.iter().map(|(_, why)| why.as_str()).collect();
        let next = format!("curl {url}/connectors/{name}/status");
        found.fail("DP0202", words.join("; "), next);
    } else if let Some((name, _)) = held.first() {
        let words: Vec<String> = held.iter().map(|(name, state)| format!("{name} is {state}")).collect();
        let next = format!("if it is meant to run: curl -X PUT {url}/connectors/{name}/resume");
        found.warn("DP0202", format!("{}, by a person's request", words.join(", ")), next);
    } else {
        found.ok("DP0202", format!("{} connectors and {tasks} tasks RUNNING", there.len()));
    }
}

/// Why it does not run; none if it does.
pub(super) fn trouble(status: &ConnectorStatus) -> Option<String> {
    let first = |trace: &Option<String>| {
        let line = trace.as_deref().and_then(|trace| trace.lines().next()).unwrap_or("no reason given");
        line.trim().to_owned()
    };
    let connector = &status.connector;
    if connector.state != State::Running {
        return Some(format!("{}: {}", word(connector.state), first(&connector.trace)));
    }
    if status.tasks.is_empty() {
        return Some("it has no tasks".to_owned());
    }
    let task = status.tasks.iter().find(|task| task.state != State::Running)?;
    Some(format!("task {} is {}: {}", task.id, word(task.state), first(&task.trace)))
}

fn word(state: State) -> String {
    serde_json::to_value(state).ok().and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

fn differences(pipeline: &PipelinePlan, there: &[(&ConnectorPlan, &Expanded)], found: &mut Findings<'_>) {
    let mut keys = Vec::new();
    for (planned, live) in there {
        let Some(info) = &live.info else { continue };
        let differing = planned_config(pipeline, planned)
            .into_iter()
            .filter(|(key, value)| {
                let live = info.config.get(key);
                // Exactly once is left out where the versions are not safe.
                let left_out =
                    live.is_none() && matches!(key.as_str(), "exactly.once.support" | "transaction.boundary");
                live != Some(value) && live.is_none_or(|live| live != MASK) && !left_out
            })
            .map(|(key, _)| format!("{}: {key}", planned.name));
        keys.extend(differing);
    }
    if keys.is_empty() {
        found.ok("DP0203", "as planned");
        return;
    }
    let more = if keys.len() > KEYS_MAX { format!(" and {} more", keys.len() - KEYS_MAX) } else { String::new() };
    keys.truncate(KEYS_MAX);
    let next = "put it into the settings, or start again to have the plan's";
    found.warn("DP0203", format!("{}{more} differ from the plan", keys.join(", ")), next);
}

/// What whoever runs the connector is given.
fn planned_config(pipeline: &PipelinePlan, planned: &ConnectorPlan) -> ConfigMap {
    let jvm = pipeline.worker.kind.runs_in_jvm(planned.role);
    if !jvm {
        return planned.config.clone();
    }
    // How many replicas Connect gives to topics that it makes is no part of how rows flow.
    let flavour = JvmFlavour { exactly_once: true, sink: SinkFlavour::Aiven, replication_factor: 1 };
    let mut config = for_jvm(pipeline, planned, flavour).unwrap_or_else(|_| planned.config.clone());
    config.retain(|key, _| !key.ends_with("replication.factor"));
    config
}
