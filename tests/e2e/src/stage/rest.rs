//! What a table's worker says of itself.

use serde_json::Value;

use super::{Stage, names};
use crate::process::metric;
use crate::servers::TABLES;

impl Stage {
    /// `GET path` of a table's worker: status and body; none if nobody answers.
    pub async fn get(&self, table: &str, path: &str) -> Option<(u16, String)> {
        let index = TABLES.iter().position(|known| *known == table).unwrap();
        let url = format!("http://127.0.0.1:{}{path}", self.settings.ports[index]);
        let response = self.http.get(url).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// State and trace of a connector's task; the role is `source` or `sink`.
    pub async fn task(&self, table: &str, role: &str) -> Option<(String, String)> {
        let names = names(table);
        let connector = if role == "source" { names.source_connector } else { names.sink_connector };
        let (_, body) = self.get(table, &format!("/connectors/{connector}/status")).await?;
        let body: Value = serde_json::from_str(&body).ok()?;
        let task = body["tasks"].get(0)?;
        Some((task["state"].as_str()?.to_owned(), task["trace"].as_str().unwrap_or_default().to_owned()))
    }

    /// Whether both of a table's tasks are RUNNING.
    pub async fn is_running(&self, table: &str) -> bool {
        for role in ["source", "sink"] {
            if self.task(table, role).await.is_none_or(|(state, _)| state != "RUNNING") {
                return false;
            }
        }
        true
    }

    /// A figure of `GET /metrics`.
    pub async fn metric(&self, table: &str, name: &str) -> Option<f64> {
        metric(&self.get(table, "/metrics").await?.1, name)
    }
}
