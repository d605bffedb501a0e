//! Kafka Connect's REST interface: its wire types, which our own worker serves, and a client; and the properties of a
//! JVM worker, from the plan.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

#[cfg(feature = "client")]
mod client;
mod properties;
mod wire;

#[cfg(feature = "client")]
pub use client::{Client, ClientError, Forwarded};
pub use properties::{JVM_FLAGS, properties_file, worker_properties};
pub use wire::{
    ActiveTopics, ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigValueInfo, ConnectorInfo, ConnectorKind,
    ConnectorOffset, ConnectorOffsets, ConnectorState, ConnectorStatus, ErrorMessage, Expanded, LoggerLevel,
    LoggerLevels, Message, NewConnector, PluginInfo, ServerInfo, TaskId, TaskInfo, TaskState, WorkerHealth,
};
