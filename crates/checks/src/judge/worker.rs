use datapipe_core::plan::PipelinePlan;

use super::size;
use crate::finding::Findings;
use crate::seen::WorkerSeen;

/// A worker is near its memory limit from this share on, in percent.
const MEMORY_MAX: u64 = 90;
/// So many failed runs are no accident any more.
const FAILED_RUNS_MAX: u64 = 5;

pub(super) fn judge(pipeline: &PipelinePlan, worker: &WorkerSeen, found: &mut Findings<'_>) {
    let WorkerSeen { url, version, health, health_message, .. } = worker;
    found.ok("DP0101", format!("{url} speaks Kafka Connect {version}"));
    if health == "healthy" {
        found.ok("DP0102", health);
    } else {
        found.fail("DP0102", format!("{health}: {health_message}"), format!("curl {url}/health"));
    }
    let Some(metrics) = &worker.metrics else {
        return found.skip("DP0103", "the worker has no metrics of its own; with --pods DP0808 tells of a JVM's heap");
    };
    let limit = u64::from(pipeline.worker.memory_mib) << 20;
    let resident = metrics.resident_bytes;
    let memory = resident.map_or_else(
        || "memory is not told".to_owned(),
        |bytes| format!("{} resident, all tables of the process; a pod gets {}", size(bytes), size(limit)),
    );
    let runs = metrics.failed_runs;
    let words = if runs == 0 { memory } else { format!("{memory}; {runs} failed runs of its tasks") };
    if resident.is_some_and(|bytes| bytes > limit / 100 * MEMORY_MAX) {
        found.warn("DP0103", words, format!("raise worker.memory; curl {url}/metrics shows how it grows"));
    } else if runs > FAILED_RUNS_MAX {
        found.warn("DP0103", words, "read the worker's log: each failed run has its reason there");
    } else {
        found.ok("DP0103", words);
    }
}
