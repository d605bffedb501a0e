//! The bodies of requests and answers, as Kafka Connect 4 writes them.

use std::collections::BTreeMap;
use std::fmt;

use datapipe_core::connector::Shown;
use datapipe_core::port::connect::{ConfigMap, JsonMap, State};
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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewConnector {
    /// The connector's name.
    pub name: String,
    /// Its configuration.
    pub config: ConfigMap,
    /// The state to be made in: `RUNNING` (without it), `PAUSED` or `STOPPED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_state: Option<State>,
}

/// Secrets given in clear are not shown.
impl fmt::Debug for NewConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewConnector")
            .field("name", &self.name)
            .field("config", &Shown(&self.config))
            .field("initial_state", &self.initial_state)
            .finish()
    }
}

/// The answer to `GET /connectors/{name}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Secrets given in clear are not shown.
impl fmt::Debug for ConnectorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorInfo")
            .field("name", &self.name)
            .field("config", &Shown(&self.config))
            .field("tasks", &self.tasks)
            .field("kind", &self.kind)
            .finish()
    }
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
    /// The plugin's version. Kafka Connect tells it since 4.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
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
    /// The plugin's version. Kafka Connect tells it since 4.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The answer to `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHealth {
    /// `healthy`, `starting` or `unhealthy`.
    pub status: String,
    /// The same in a sentence.
    pub message: String,
}

/// One connector in the answer to `GET /connectors?expand=..`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expanded {
    /// With `expand=info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<ConnectorInfo>,
    /// With `expand=status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ConnectorStatus>,
}

/// A task in the answer to `GET /connectors/{name}/tasks`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// The task.
    pub id: TaskId,
    /// Its configuration.
    pub config: ConfigMap,
}

/// Secrets given in clear are not shown.
impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskInfo").field("id", &self.id).field("config", &Shown(&self.config)).finish()
    }
}

/// The topics of one connector in the answer to `GET /connectors/{name}/topics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveTopics {
    /// Topics that it has used since they were last reset.
    pub topics: Vec<String>,
}

/// The offsets of a connector: what `GET /connectors/{name}/offsets` answers, and `PATCH` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorOffsets {
    /// One entry for each partition.
    pub offsets: Vec<ConnectorOffset>,
}

/// Where a connector has come in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorOffset {
    /// The partition: `{"server": ..}` of a source, `{"kafka_topic": .., "kafka_partition": ..}` of a sink.
    pub partition: JsonMap,
    /// The offset; none forgets it.
    pub offset: Option<JsonMap>,
}

/// An answer in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The words.
    pub message: String,
}

/// An entry of `GET /connector-plugins`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// The class.
    pub class: String,
    /// `source`, `sink`, or with `connectorsOnly=false` another kind of plugin.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A key of a plugin's configuration: an entry of `GET /connector-plugins/{plugin}/config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigKeyInfo {
    /// The key.
    pub name: String,
    /// Its type, as `STRING`.
    #[serde(rename = "type")]
    pub kind: String,
    /// It must be given.
    pub required: bool,
    /// What it is without being given.
    pub default_value: Option<String>,
    /// `HIGH`, `MEDIUM` or `LOW`.
    pub importance: String,
    /// What it is for.
    pub documentation: String,
    /// The group that it is shown in.
    pub group: Option<String>,
    /// Its place there; -1 without a group.
    pub order_in_group: i32,
    /// How wide a form shows it, as `SHORT`.
    pub width: String,
    /// Its name for people.
    pub display_name: String,
    /// Keys that depend on it.
    pub dependents: Vec<String>,
}

/// A key's value as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigValueInfo {
    /// The key.
    pub name: String,
    /// The value; a password is `[hidden]`.
    pub value: Option<String>,
    /// Values to choose from.
    pub recommended_values: Vec<String>,
    /// What is wrong with it.
    pub errors: Vec<String>,
    /// A form shows it.
    pub visible: bool,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigInfo {
    /// The key; none for one that is not declared.
    pub definition: Option<ConfigKeyInfo>,
    /// Its value.
    pub value: ConfigValueInfo,
}

/// The answer to `PUT /connector-plugins/{plugin}/config/validate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigInfos {
    /// The class.
    pub name: String,
    /// How many errors there are in all.
    pub error_count: usize,
    /// The groups of keys.
    pub groups: Vec<String>,
    /// All keys.
    pub configs: Vec<ConfigInfo>,
}

/// An entry of `GET /admin/loggers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggerLevel {
    /// The level, as `INFO`.
    pub level: String,
    /// When it was set by REST, in milliseconds since 1970-01-01 UTC; none if it never was.
    pub last_modified: Option<i64>,
}

/// What `GET /admin/loggers` answers.
pub type LoggerLevels = BTreeMap<String, LoggerLevel>;

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
        same::<ConnectorStatus>(
            r#"{"name":"s","connector":{"state":"STOPPED","worker_id":"w:8083","version":"3.6.3.Final"},"tasks":[],"type":"source"}"#,
        );
        same::<WorkerHealth>(r#"{"status":"healthy","message":"ready"}"#);
        same::<BTreeMap<String, ActiveTopics>>(r#"{"s":{"topics":["cdc.public.users"]}}"#);
        same::<Vec<TaskInfo>>(r#"[{"id":{"connector":"s","task":0},"config":{"task.class":"x"}}]"#);
        same::<ConnectorOffsets>(
            r#"{"offsets":[{"partition":{"server":"cdc"},"offset":{"lsn":7}},
                           {"partition":{"kafka_topic":"t","kafka_partition":0},"offset":null}]}"#,
        );
        same::<PluginInfo>(r#"{"class":"x","type":"sink","version":"1"}"#);
        same::<ConfigInfos>(
            r#"{"name":"x","error_count":1,"groups":["Common"],"configs":[{"definition":{"name":"name","type":"STRING",
                "required":true,"default_value":null,"importance":"HIGH","documentation":"d","group":"Common",
                "order_in_group":1,"width":"MEDIUM","display_name":"n","dependents":[]},
                "value":{"name":"name","value":null,"recommended_values":[],"errors":["e"],"visible":true}}]}"#,
        );
        same::<LoggerLevels>(r#"{"root":{"level":"INFO","last_modified":null}}"#);
    }
}
