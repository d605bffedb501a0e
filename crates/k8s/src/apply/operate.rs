//! Connectors of running workers: restarted, paused, resumed, stopped, by Kafka Connect's own interface.

use std::time::Duration;

use datapipe_connect::ConnectorStatus;
use datapipe_core::plan::{ConnectorPlan, PipelinePlan, Plan};
use datapipe_core::port::connect::State;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::connectors::{brief, idle};
use super::events::Warnings;
use super::wait::{Deadline, ready};
use super::{ApplyError, ApplyOptions};

/// What is asked of a table's connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connector and tasks end and begin again, in the worker that runs.
    Restart,
    /// The worker's pod is replaced.
    RestartPods,
    /// Tasks stay and do nothing.
    Pause,
    /// Runs again after a pause or a stop.
    Resume,
    /// Tasks end.
    Stop,
}

impl Action {
    fn request(self) -> (&'static str, &'static str) {
        match self {
            Self::Restart | Self::RestartPods => ("POST", "restart?includeTasks=true"),
            Self::Pause => ("PUT", "pause"),
            Self::Resume => ("PUT", "resume"),
            Self::Stop => ("PUT", "stop"),
        }
    }

    const fn aim(self) -> &'static str {
        match self {
            Self::Restart | Self::RestartPods | Self::Resume => "running",
            Self::Pause => "paused",
            Self::Stop => "stopped",
        }
    }
}

/// A status lags behind the request by the way through a topic: until then it says what was.
const STATUS_LAG: Duration = Duration::from_secs(1);
/// How long FAILED may still be what was before the request.
const FAILED_MAX: Duration = Duration::from_secs(10);

/// Does it for all connectors of these tables of the plan, and waits until each is as asked.
pub async fn operate(
    cluster: &Cluster,
    plan: &Plan,
    tables: &[String],
    action: Action,
    how: &ApplyOptions<'_>,
) -> Result<(), ApplyError> {
    let chosen: Vec<&PipelinePlan> =
        plan.tables.iter().filter(|pipeline| tables.contains(&pipeline.names.table)).collect();
    if action == Action::RestartPods {
        let mut warnings = Warnings::begin(cluster).await?;
        for pipeline in &chosen {
            let deployment = json!({ "kind": "Deployment", "metadata": { "name": &pipeline.names.worker } });
            cluster.replace_pods(&deployment).await?;
            ready(cluster, &deployment, &mut warnings, how).await?;
            (how.say)(&format!("Deployment {} has a new pod", pipeline.names.worker));
        }
    }
    for pipeline in chosen {
        for connector in &pipeline.connectors {
            let one = Asked { cluster, service: &pipeline.names.worker, connector, action };
            one.done(how).await?;
        }
    }
    Ok(())
}

struct Asked<'a> {
    cluster: &'a Cluster,
    service: &'a str,
    connector: &'a ConnectorPlan,
    action: Action,
}

impl Asked<'_> {
    async fn done(&self, how: &ApplyOptions<'_>) -> Result<(), ApplyError> {
        let mut deadline = Deadline::new(format!("connector {}", self.connector.name), self.action.aim(), how);
        if self.action != Action::RestartPods {
            self.ask(&mut deadline).await?;
            tokio::time::sleep(STATUS_LAG).await;
        }
        loop {
            let why = match judge(&self.status().await?, self.action) {
                Verdict::Done(state) => {
                    (how.say)(&format!("connector {} is {state}", self.connector.name));
                    return Ok(());
                }
                Verdict::Never(why) => return Err(self.refused(why)),
                Verdict::Failed(why) if deadline.elapsed() > FAILED_MAX => return Err(self.refused(why)),
                Verdict::Failed(why) | Verdict::NotYet(why) => why,
            };
            deadline.wait(why).await?;
        }
    }

    async fn ask(&self, deadline: &mut Deadline<'_>) -> Result<(), ApplyError> {
        let (method, what) = self.action.request();
        if self.action == Action::Restart
            && let Verdict::Never(why) = judge(&self.status().await?, self.action)
        {
            return Err(self.refused(why));
        }
        loop {
            let path = format!("/connectors/{}/{what}", self.connector.name);
            let (status, answer) = self.cluster.ask(method, self.service, &path, Some(&json!({}))).await?;
            match status {
                200..=299 => return Ok(()),
                404 if answer["error_code"] == 404 => {
                    return Err(self.refused(format!("{}: {}", self.service, brief(&answer))));
                }
                // A rebalance of the group is answered with 409, and passes; so does a worker that starts.
                _ => deadline.wait(format!("{} answers {status}: {}", self.service, brief(&answer))).await?,
            }
        }
    }

    async fn status(&self) -> Result<(u16, Value), ApplyError> {
        let path = format!("/connectors/{}/status", self.connector.name);
        Ok(self.cluster.ask("GET", self.service, &path, None).await?)
    }

    fn refused(&self, why: String) -> ApplyError {
        let fix = match self.action {
            Action::Restart | Action::RestartPods if why.starts_with("it is ") => {
                "resume it: datapipe-deploy resume TABLE"
            }
            _ => "look at the worker's log and at its /status; datapipe-deploy apply gives it what is missing",
        };
        ApplyError::Connector { connector: self.connector.name.clone(), why, fix: fix.to_owned() }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done(&'static str),
    NotYet(String),
    Failed(String),
    Never(String),
}

/// Whether the status is what was asked for.
fn judge((code, answer): &(u16, Value), action: Action) -> Verdict {
    let Ok(status) = serde_json::from_value::<ConnectorStatus>(answer.clone()) else {
        return Verdict::NotYet(format!("its status is answered with {code}: {}", brief(answer)));
    };
    let state = status.connector.state;
    let held = match state {
        State::Paused => Some("PAUSED"),
        State::Stopped => Some("STOPPED"),
        _ => None,
    };
    match (action, held) {
        (Action::Pause, Some("PAUSED")) if status.tasks.iter().all(|task| task.state == State::Paused) => {
            return Verdict::Done("PAUSED");
        }
        (Action::Stop, Some("STOPPED")) if status.tasks.is_empty() => return Verdict::Done("STOPPED"),
        (Action::Restart, Some(state)) => {
            return Verdict::Never(format!("it is {state}, and stays so"));
        }
        // A pod that starts again leaves connectors as a person has put them.
        (Action::RestartPods, Some(state)) => return Verdict::Done(state),
        (_, Some(state)) => return Verdict::NotYet(format!("it is still {state}")),
        (_, None) => {}
    }
    if matches!(action, Action::Pause | Action::Stop) {
        return Verdict::NotYet(format!("it is {}", format!("{state:?}").to_uppercase()));
    }
    match idle(&status) {
        None => Verdict::Done("RUNNING"),
        Some(why) if why.contains("FAILED") => Verdict::Failed(why),
        Some(why) => Verdict::NotYet(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(action: Action, connector: &str, tasks: &[&str]) -> Verdict {
        let tasks: Vec<Value> =
            (0..).zip(tasks).map(|(id, state)| json!({ "id": id, "state": state, "worker_id": "w" })).collect();
        let status = json!({ "name": "c", "connector": { "state": connector, "worker_id": "w" }, "tasks": tasks,
                             "type": "source" });
        judge(&(200, status), action)
    }

    #[test]
    fn what_is_asked_is_connector_and_tasks() {
        let not_yet = |why: &str| Verdict::NotYet(why.to_owned());
        assert_eq!(told(Action::Pause, "PAUSED", &["PAUSED"]), Verdict::Done("PAUSED"));
        assert_eq!(told(Action::Pause, "PAUSED", &["RUNNING"]), not_yet("it is still PAUSED"));
        assert_eq!(told(Action::Pause, "RUNNING", &["RUNNING"]), not_yet("it is RUNNING"));
        assert_eq!(told(Action::Stop, "STOPPED", &[]), Verdict::Done("STOPPED"));
        assert_eq!(told(Action::Stop, "STOPPED", &["RUNNING"]), not_yet("it is still STOPPED"));
        assert_eq!(told(Action::Resume, "PAUSED", &["PAUSED"]), not_yet("it is still PAUSED"));
        assert_eq!(told(Action::Resume, "RUNNING", &[]), not_yet("it has no tasks yet"));
        assert_eq!(told(Action::Restart, "RUNNING", &["RUNNING"]), Verdict::Done("RUNNING"));
        let failed = "task 0 is FAILED: no reason given";
        assert_eq!(told(Action::Restart, "RUNNING", &["FAILED"]), Verdict::Failed(failed.to_owned()));
    }

    #[test]
    fn what_cannot_come_is_told_at_once() {
        let never = |why: &str| Verdict::Never(why.to_owned());
        assert_eq!(told(Action::Restart, "PAUSED", &["PAUSED"]), never("it is PAUSED, and stays so"));
        assert_eq!(told(Action::Restart, "STOPPED", &[]), never("it is STOPPED, and stays so"));
        assert_eq!(told(Action::RestartPods, "STOPPED", &[]), Verdict::Done("STOPPED"));
        let answer = judge(&(503, json!("no endpoints available")), Action::Pause);
        assert_eq!(answer, Verdict::NotYet("its status is answered with 503: no endpoints available".to_owned()));
    }
}
