//! Connectors of JVM workers: given their configuration where it differs, and waited for.

use datapipe_connect::{ConfigInfos, ConnectorStatus, PluginInfo};
use datapipe_core::plan::{ConnectorPlan, PipelinePlan};
use datapipe_core::port::connect::State;
use datapipe_core::settings::Role;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::wait::Deadline;
use super::{Applied, ApplyError, ApplyOptions};
use crate::Tree;
use crate::connectors::file;

/// Gives a table's connectors their configurations. A native worker plans its own, and a hybrid its sink.
pub(super) async fn put(
    cluster: &Cluster,
    pipeline: &PipelinePlan,
    tree: &Tree,
    how: &ApplyOptions<'_>,
    applied: &mut Applied,
) -> Result<(), ApplyError> {
    for connector in &pipeline.connectors {
        let given = pipeline.worker.kind.runs_in_jvm(connector.role);
        if given {
            let body = body(tree, pipeline, connector);
            let one = Given { cluster, service: &pipeline.names.worker, connector, config: &body["config"] };
            if one.put(how).await? {
                (how.say)(&format!("~ connector {}", connector.name));
                applied.connectors.push(connector.name.clone());
            }
        }
    }
    Ok(())
}

fn body(tree: &Tree, pipeline: &PipelinePlan, connector: &ConnectorPlan) -> Value {
    let text = tree.get(&file(pipeline, connector)).map(|file| file.text.as_str()).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// The class that a rendered connector names.
pub(super) fn class_of(tree: &Tree, pipeline: &PipelinePlan, connector: &ConnectorPlan) -> String {
    body(tree, pipeline, connector)["config"]["connector.class"].as_str().unwrap_or_default().to_owned()
}

/// Waits until a table's connectors and their tasks run. False if its source does not, because a person has paused or
/// stopped it.
pub(super) async fn wait(
    cluster: &Cluster,
    pipeline: &PipelinePlan,
    how: &ApplyOptions<'_>,
) -> Result<bool, ApplyError> {
    let mut captures = true;
    for connector in &pipeline.connectors {
        let runs = running(cluster, &pipeline.names.worker, connector, how).await?;
        captures &= runs || connector.role != Role::Source;
    }
    Ok(captures)
}

/// What to do without a plugin.
pub(super) const MISSING_PLUGIN: &str = "put it into the image's /opt/plugins or into deploy.plugins, leave the sink out \
                                         (connectors = [\"source\"]), or set worker.kind to \"hybrid\" or \"native\"";

struct Given<'a> {
    cluster: &'a Cluster,
    service: &'a str,
    connector: &'a ConnectorPlan,
    config: &'a Value,
}

impl Given<'_> {
    /// True if its configuration was written.
    async fn put(&self, how: &ApplyOptions<'_>) -> Result<bool, ApplyError> {
        let path = format!("/connectors/{}/config", self.connector.name);
        let mut deadline = Deadline::new(format!("connector {}", self.connector.name), "configured", how);
        loop {
            let (status, found) = self.cluster.ask("GET", self.service, &path, None).await?;
            if status == 200 && found == *self.config {
                return Ok(false);
            }
            if status == 200 || status == 404 {
                break;
            }
            deadline.wait(format!("{} answers {status}: {}", self.service, brief(&found))).await?;
        }
        self.validate().await?;
        loop {
            // A rebalance of the group is answered with 409, and passes.
            let (status, answer) = self.cluster.ask("PUT", self.service, &path, Some(self.config)).await?;
            match status {
                200 | 201 => return Ok(true),
                400 => return Err(self.refused(brief(&answer), "correct the setting that is named")),
                _ => deadline.wait(format!("{} answers {status}: {}", self.service, brief(&answer))).await?,
            }
        }
    }

    /// The plugin must be there, and must find nothing wrong.
    async fn validate(&self) -> Result<(), ApplyError> {
        let (_, answer) = self.cluster.ask("GET", self.service, "/connector-plugins", None).await?;
        let plugins: Vec<PluginInfo> = serde_json::from_value(answer).unwrap_or_default();
        let class = self.config["connector.class"].as_str().unwrap_or_default();
        if !plugins.iter().any(|plugin| plugin.class == class) {
            let there: Vec<&str> = plugins.iter().map(|plugin| plugin.class.as_str()).collect();
            let why = format!("the worker has no plugin {class}; it has {}", there.join(", "));
            return Err(self.refused(why, MISSING_PLUGIN));
        }
        let path = format!("/connector-plugins/{class}/config/validate");
        let (status, answer) = self.cluster.ask("PUT", self.service, &path, Some(self.config)).await?;
        let infos = serde_json::from_value::<ConfigInfos>(answer.clone());
        match infos {
            Ok(infos) if infos.error_count == 0 => Ok(()),
            Ok(infos) => {
                let wrong = infos.configs.iter().filter(|info| !info.value.errors.is_empty());
                let told: Vec<String> =
                    wrong.map(|info| format!("{}: {}", info.value.name, info.value.errors.join(" "))).collect();
                Err(self.refused(
                    told.join("; "),
                    "correct the settings that these keys come from, or the server they name",
                ))
            }
            Err(_) => Err(self.refused(
                format!("validating it was answered with {status}: {}", brief(&answer)),
                "look at the worker's log",
            )),
        }
    }

    fn refused(&self, why: String, fix: &str) -> ApplyError {
        ApplyError::Connector { connector: self.connector.name.clone(), why, fix: fix.to_owned() }
    }
}

/// Until connector and tasks run; false if a person has paused or stopped it. One that has failed is started again, once: what it failed of may be mended by now.
async fn running(
    cluster: &Cluster,
    service: &str,
    connector: &ConnectorPlan,
    how: &ApplyOptions<'_>,
) -> Result<bool, ApplyError> {
    let path = format!("/connectors/{}", connector.name);
    let mut deadline = Deadline::new(format!("connector {}", connector.name), "running", how);
    let mut restarted = false;
    loop {
        let (code, answer) = cluster.ask("GET", service, &format!("{path}/status"), None).await?;
        let why = match serde_json::from_value::<ConnectorStatus>(answer.clone()) {
            Ok(status) => match idle(&status) {
                None => {
                    deadline.done("runs");
                    return Ok(status.connector.state == State::Running);
                }
                Some(why) => why,
            },
            Err(_) => format!("{service} answers {code}: {}", brief(&answer)),
        };
        if why.contains("FAILED") && !restarted {
            restarted = true;
            let restart = format!("{path}/restart?includeTasks=true&onlyFailed=true");
            cluster.ask("POST", service, &restart, Some(&json!({}))).await?;
        }
        deadline.wait(why).await?;
    }
}

/// Why a connector does not run; none if it and its tasks do.
pub(super) fn idle(status: &ConnectorStatus) -> Option<String> {
    let trace = |trace: &Option<String>| {
        let first = trace.as_deref().and_then(|trace| trace.lines().next()).unwrap_or("no reason given");
        first.to_owned()
    };
    let word = |state: State| format!("{state:?}").to_uppercase();
    match status.connector.state {
        // Somebody has stopped it, and it is not for an apply to start it again.
        State::Paused | State::Stopped => return None,
        State::Running => {}
        state => return Some(format!("{}: {}", word(state), trace(&status.connector.trace))),
    }
    if status.tasks.is_empty() {
        return Some("it has no tasks yet".to_owned());
    }
    let task = status.tasks.iter().find(|task| task.state != State::Running)?;
    Some(format!("task {} is {}: {}", task.id, word(task.state), trace(&task.trace)))
}

/// An answer in one line.
pub(super) fn brief(answer: &Value) -> String {
    let message = answer["message"].as_str().or(answer.as_str()).map_or_else(|| answer.to_string(), str::to_owned);
    message.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(connector: &str, tasks: &[(&str, Option<&str>)]) -> Option<String> {
        let tasks: Vec<Value> = (0..)
            .zip(tasks)
            .map(|(id, (state, trace))| json!({ "id": id, "state": state, "worker_id": "w", "trace": trace }))
            .collect();
        let status = json!({ "name": "c", "connector": { "state": connector, "worker_id": "w" }, "tasks": tasks, "type": "source" });
        idle(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn running_is_connector_and_tasks() {
        assert_eq!(status("RUNNING", &[("RUNNING", None)]), None);
        assert_eq!(status("PAUSED", &[("PAUSED", None)]), None);
        assert_eq!(status("RUNNING", &[]).unwrap(), "it has no tasks yet");
        assert_eq!(status("UNASSIGNED", &[]).unwrap(), "UNASSIGNED: no reason given");
        let failed = status("RUNNING", &[("RUNNING", None), ("FAILED", Some("slot is active\n at a.b.c"))]);
        assert_eq!(failed.unwrap(), "task 1 is FAILED: slot is active");
    }
}
