use std::time::Duration;

use datapipe_connect::{Client, ClientError};
use datapipe_core::plan::PipelinePlan;

use crate::seen::WorkerSeen;

pub(super) async fn look(host: &str, pipeline: &PipelinePlan, limit: Duration) -> Result<WorkerSeen, String> {
    let url = format!("http://{host}:{}", pipeline.port);
    let failed = |error: ClientError| chain(&error);
    let client = Client::new(&url).map_err(failed)?;
    let server = client.server().await.map_err(failed)?;
    let health = client.health().await.map_err(failed)?;
    // A worker that is not well may not answer this: its health is then all that is known.
    let connectors = match tokio::time::timeout(limit / 2, client.expanded()).await {
        Ok(connectors) => connectors.map_err(failed)?,
        Err(_) if health.status != "healthy" => std::collections::BTreeMap::new(),
        Err(_) => return Err(format!("GET {url}/connectors did not answer")),
    };
    Ok(WorkerSeen { url, version: server.version, health: health.status, health_message: health.message, connectors })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(link) = cause {
        text = format!("{text}: {link}");
        cause = link.source();
    }
    text
}
