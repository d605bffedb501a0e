use datapipe_core::plan::PipelinePlan;

use super::{age_words, size};
use crate::finding::Findings;
use crate::seen::{MetricsSeen, WorkerSeen};

/// A worker is near its memory limit from this share on, in percent.
const MEMORY_MAX: u64 = 90;
/// So many failed runs are no accident any more,
const FAILED_RUNS_MAX: u64 = 5;
/// unless they are over: a worker waits ten seconds at most between two runs, fifteen if it was refused.
const FAILED_AGO_MAX_MS: i64 = 30_000;

pub(super) fn judge(pipeline: &PipelinePlan, worker: &WorkerSeen, found: &mut Findings<'_>) {
    let WorkerSeen { url, version, health, health_message, .. } = worker;
    found.ok("DP0101", format!("{url} speaks Kafka Connect {version}"));
    if health == "healthy" {
        found.ok("DP0102", health);
    } else {
        found.fail("DP0102", format!("{health}: {health_message}"), format!("curl {url}/health"));
    }
    let Some(metrics) = &worker.metrics else {
        return found
            .skip("DP0103", "the worker has no metrics of its own; with --pods DP0808 and DP0809 tell of its memory");
    };
    let limit = limit_bytes(pipeline);
    let resident = metrics.resident_bytes;
    let memory = resident.map_or_else(
        || "memory is not told".to_owned(),
        |bytes| format!("{} resident, all tables of the process; a pod gets {}", size(bytes), size(limit)),
    );
    let runs = metrics.failed_runs;
    let last = metrics.failed_ago_ms.map(|age| format!(", the last {} ago", age_words(age))).unwrap_or_default();
    let words = if runs == 0 { memory } else { format!("{memory}; {runs} failed runs of its tasks{last}") };
    if is_full(pipeline, metrics) {
        found.warn("DP0103", words, format!("raise worker.memory; curl {url}/metrics shows how it grows"));
    } else if fails_again_and_again(metrics) {
        found.warn("DP0103", words, "read the worker's log: each failed run has its reason there");
    } else {
        found.ok("DP0103", words);
    }
}

fn limit_bytes(pipeline: &PipelinePlan) -> u64 {
    u64::from(pipeline.worker.memory_mib) << 20
}

fn is_full(pipeline: &PipelinePlan, metrics: &MetricsSeen) -> bool {
    metrics.resident_bytes.is_some_and(|bytes| bytes > limit_bytes(pipeline) / 100 * MEMORY_MAX)
}

fn fails_again_and_again(metrics: &MetricsSeen) -> bool {
    metrics.failed_runs > FAILED_RUNS_MAX && metrics.failed_ago_ms.is_none_or(|age| age < FAILED_AGO_MAX_MS)
}

/// Whether it is its tasks' failed runs that a worker is warned of.
pub(super) fn is_failing(pipeline: &PipelinePlan, worker: &WorkerSeen) -> bool {
    worker.metrics.as_ref().is_some_and(|metrics| !is_full(pipeline, metrics) && fails_again_and_again(metrics))
}
