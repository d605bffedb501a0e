use std::time::Duration;

use datapipe_connect::{Client, ClientError};
use datapipe_core::plan::PipelinePlan;

use crate::seen::{MetricsSeen, WorkerSeen};

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
    // An older worker may not tell these, and goes on all the same.
    let plugins = tokio::time::timeout(limit / 4, client.plugins(true)).await;
    let plugins = plugins.ok().and_then(Result::ok).unwrap_or_default();
    let metrics = tokio::time::timeout(limit / 4, client.forward("GET", "/metrics", Vec::new())).await;
    let metrics = metrics.ok().and_then(Result::ok).filter(|answer| answer.status == 200);
    let metrics = metrics.map(|answer| metrics_seen(&String::from_utf8_lossy(&answer.body)));
    Ok(WorkerSeen {
        url,
        version: server.version,
        health: health.status,
        health_message: health.message,
        connectors,
        plugins,
        metrics,
    })
}

/// The figures of a page in Prometheus' text format.
fn metrics_seen(page: &str) -> MetricsSeen {
    let values = |name: &str| -> Vec<f64> {
        let line = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let value = if rest.starts_with('{') { rest.rsplit_once('}')?.1 } else { rest.strip_prefix(' ')? };
            value.split_whitespace().next()?.parse().ok()
        };
        page.lines().filter_map(line).collect()
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and not negative")]
    let whole = |value: &f64| value.max(0.0) as u64;
    let runs = ["datapipe_source_restarts_total", "datapipe_sink_restarts_total"];
    MetricsSeen {
        resident_bytes: values("datapipe_process_resident_bytes").first().map(whole),
        failed_runs: runs.into_iter().flat_map(values).map(|value| whole(&value)).sum(),
        owner: values("datapipe_worker_owner").first().map(|value| *value > 0.5),
    }
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(link) = cause {
        text = format!("{text}: {link}");
        cause = link.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_a_page_of_metrics() {
        let page = "# HELP datapipe_worker_owner 1 if this worker owns the group\n\
            datapipe_worker_owner{table=\"users\"} 1\n\
            datapipe_process_resident_bytes{table=\"users\"} 41943040\n\
            datapipe_sink_restarts_total{connector=\"a}\",table=\"users\",task=\"0\"} 2\n\
            datapipe_sink_restarts_total{connector=\"a}\",table=\"users\",task=\"1\"} 3\n\
            datapipe_source_restarts_total 4\n";
        let seen = metrics_seen(page);
        assert_eq!(seen, MetricsSeen { resident_bytes: Some(41_943_040), failed_runs: 9, owner: Some(true) });
        assert_eq!(metrics_seen("<html>"), MetricsSeen::default());
    }
}
