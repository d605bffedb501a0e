//! Kafka Connect's configuration and status topics in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use datapipe_core::port::PortError;
use datapipe_core::port::connect::{ConfigMap, ConnectStore, StatusRecord};

/// Configurations and statuses, the last one per name.
#[derive(Debug, Default)]
pub struct MemoryConnectStore {
    configs: Mutex<BTreeMap<String, ConfigMap>>,
    statuses: Mutex<BTreeMap<String, StatusRecord>>,
}

impl MemoryConnectStore {
    /// The last status of a connector (`name`) or a task (`name/0`).
    pub fn status(&self, name: &str) -> Option<StatusRecord> {
        self.statuses.lock().expect("never poisoned").get(name).cloned()
    }
}

#[async_trait]
impl ConnectStore for MemoryConnectStore {
    async fn configs(&self) -> Result<BTreeMap<String, ConfigMap>, PortError> {
        Ok(self.configs.lock().expect("never poisoned").clone())
    }

    async fn put_config(&self, connector: &str, config: &ConfigMap) -> Result<(), PortError> {
        self.configs.lock().expect("never poisoned").insert(connector.to_owned(), config.clone());
        Ok(())
    }

    async fn put_connector_status(&self, connector: &str, status: &StatusRecord) -> Result<(), PortError> {
        self.statuses.lock().expect("never poisoned").insert(connector.to_owned(), status.clone());
        Ok(())
    }

    async fn put_task_status(&self, connector: &str, task: i32, status: &StatusRecord) -> Result<(), PortError> {
        self.statuses.lock().expect("never poisoned").insert(format!("{connector}/{task}"), status.clone());
        Ok(())
    }
}
