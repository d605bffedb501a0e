use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_connect::{Client, ClientError, ErrorMessage, ServerInfo, WorkerHealth};
use datapipe_core::plan::PipelinePlan;
use serde::de::DeserializeOwned;

use crate::seen::{MetricsSeen, WorkerSeen};

const CONNECTORS: &str = "/connectors?expand=info&expand=status";
const PLUGINS: &str = "/connector-plugins?connectorsOnly=true";
/// So much is told of a refusal that is no worker's.
const REFUSAL_CHARS_MAX: usize = 300;

/// A status and a body.
pub type Answer = (u16, Vec<u8>);

pub(super) async fn look(host: &str, pipeline: &PipelinePlan, limit: Duration) -> Result<WorkerSeen, String> {
    let url = format!("http://{host}:{}", pipeline.port);
    let failed = |error: ClientError| chain(&error);
    let client = Client::new(&url).map_err(failed)?;
    let get = async |path: &str| {
        let answer = client.forward("GET", path, Vec::new()).await.map_err(failed)?;
        Ok((answer.status, answer.body))
    };
    asked(&url, get, limit).await
}

/// What a worker says, whatever carries the questions to it; `url` is where a person would ask.
pub async fn asked(
    url: &str,
    get: impl AsyncFn(&str) -> Result<Answer, String>,
    limit: Duration,
) -> Result<WorkerSeen, String> {
    let server: ServerInfo = well(url, "/", get("/").await?)?;
    // One that is not well says so with another status.
    let health: WorkerHealth = understood(url, "/health", &get("/health").await?.1)?;
    // A worker that is not well may not answer this: its health is then all that is known.
    let connectors = match tokio::time::timeout(limit / 2, get(CONNECTORS)).await {
        Ok(connectors) => well(url, CONNECTORS, connectors?)?,
        Err(_) if health.status != "healthy" => BTreeMap::new(),
        Err(_) => return Err(format!("GET {url}/connectors did not answer")),
    };
    // An older worker may not tell these, and goes on all the same.
    let plugins = tokio::time::timeout(limit / 4, get(PLUGINS)).await;
    let plugins = plugins.ok().and_then(Result::ok).and_then(|answer| well(url, PLUGINS, answer).ok());
    let metrics = tokio::time::timeout(limit / 4, get("/metrics")).await;
    let metrics = metrics.ok().and_then(Result::ok).filter(|(status, _)| *status == 200);
    let metrics = metrics.map(|(_, body)| metrics_seen(&String::from_utf8_lossy(&body)));
    Ok(WorkerSeen {
        url: url.to_owned(),
        version: server.version,
        health: health.status,
        health_message: health.message,
        connectors,
        plugins: plugins.unwrap_or_default(),
        metrics,
    })
}

/// An answer that is no refusal.
fn well<T: DeserializeOwned>(url: &str, path: &str, (status, body): Answer) -> Result<T, String> {
    if (200..300).contains(&status) {
        return understood(url, path, &body);
    }
    let said = serde_json::from_slice::<ErrorMessage>(&body).map(|error| error.message);
    let said = said.unwrap_or_else(|_| String::from_utf8_lossy(&body).chars().take(REFUSAL_CHARS_MAX).collect());
    Err(format!("GET {url}{path} was refused with {status}: {said}"))
}

fn understood<T: DeserializeOwned>(url: &str, path: &str, body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("GET {url}{path} was answered by something else: {error}"))
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
    let of_tasks = |what: &str| [format!("datapipe_source_{what}"), format!("datapipe_sink_{what}")];
    let all = |what: &str| of_tasks(what).into_iter().flat_map(|name| values(&name)).map(|value| whole(&value));
    MetricsSeen {
        resident_bytes: values("datapipe_process_resident_bytes").first().map(whole),
        failed_runs: all("restarts_total").sum(),
        failed_ago_ms: all("since_failure_ms").min().and_then(|age| age.try_into().ok()),
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
            datapipe_sink_since_failure_ms{connector=\"a}\",table=\"users\",task=\"1\"} 70000\n\
            datapipe_source_since_failure_ms 5000\n\
            datapipe_source_restarts_total 4\n";
        let seen = metrics_seen(page);
        let (resident_bytes, failed_ago_ms, owner) = (Some(41_943_040), Some(5000), Some(true));
        assert_eq!(seen, MetricsSeen { resident_bytes, failed_runs: 9, failed_ago_ms, owner });
        assert_eq!(metrics_seen("<html>"), MetricsSeen::default());
    }
}
