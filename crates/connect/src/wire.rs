//! The bodies of requests and answers, as Kafka Connect 4 writes them.

use datapipe_core::port::connect::{ConfigMap, State};
use serde::{Deserialize, Serialize};

/// The answer to `GET /`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// The worker's version.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// The id of the Kafka cluster that it works on.
    pub kafka_cluster_id: String,
}

/// Which way a connector's rows flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorKind {
    /// Into Kafka.
    Source,
    /// Out of Kafka.
    Sink,
    /// Not known yet.
    Unknown,
}

/// A task's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskId {
    /// The connector.
    pub connector: String,
    /// The task's number, from 0.
    pub task: i32,
}

/// The body of `POST /connectors`, and of the connector files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewConnector {
    /// The connector's name.
    pub name: String,
    /// Its configuration.
    pub config: ConfigMap,
    /// The state to be made in: `RUNNING` (without it), `PAUSED` or `STOPPED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_state: Option<State>,
}

/// The answer to `GET /connectors/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorInfo {
    /// The connector's name.
    pub name: String,
    /// Its configuration.
    pub config: ConfigMap,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
    /// Which way its rows flow.
    #[serde(rename = "type")]
    pub kind: ConnectorKind,
}

/// The answer to `GET /connectors/{name}/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorStatus {
    /// The connector's name.
    pub name: String,
    /// The connector itself.
    pub connector: ConnectorState,
    /// Its tasks.
    pub tasks: Vec<TaskState>,
    /// Which way its rows flow.
    #[serde(rename = "type")]
    pub kind: ConnectorKind,
}

/// The state of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// The state.
    pub state: State,
    /// `host:port` of the worker that runs it.
    pub worker_id: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// The state of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    /// The task's number, from 0.
    pub id: i32,
    /// The state.
    pub state: State,
    /// `host:port` of the worker that runs it.
    pub worker_id: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// The body of every refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// The HTTP status again, or a code of Kafka Connect's.
    pub error_code: i32,
    /// What is wrong.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each body is one that a Kafka Connect worker sent; reading and writing it must change nothing.
    #[test]
    fn bodies_round_trip() {
        fn same<T: Serialize + for<'de> Deserialize<'de>>(text: &str) {
            let given: serde_json::Value = serde_json::from_str(text).unwrap();
            let typed: T = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_value(&typed).unwrap(), given);
        }
        same::<ServerInfo>(r#"{"version":"4.3.1","commit":"5ad45c1e","kafka_cluster_id":"5L6g3nShT-eMCtK--X86sw"}"#);
        same::<ConnectorInfo>(
            r#"{"name":"s","config":{"name":"s","tasks.max":"1"},"tasks":[{"connector":"s","task":0}],"type":"sink"}"#,
        );
        same::<ConnectorStatus>(
            r#"{"name":"s","connector":{"state":"RUNNING","worker_id":"127.0.0.1:8083"},
                "tasks":[{"id":0,"state":"FAILED","worker_id":"127.0.0.1:8083","trace":"org.x.Y: z"}],"type":"source"}"#,
        );
        same::<ErrorMessage>(r#"{"error_code":404,"message":"Connector s not found"}"#);
        same::<NewConnector>(r#"{"name":"s","config":{},"initial_state":"STOPPED"}"#);
        same::<NewConnector>(r#"{"name":"s","config":{}}"#);
    }
}
