use datapipe_core::plan::{PipelinePlan, Problem};

use super::age_words;
use crate::finding::{Finding, Findings};
use crate::seen::{Looked, PodSeen};

/// An end that is longer ago is told, and is no warning.
const LATELY_MS: i64 = 24 * 3_600_000;

/// Judges the pods of a table's worker at a moment, in milliseconds since 1970-01-01 UTC.
pub fn judge_pods(pipeline: &PipelinePlan, pods: &Looked<Vec<PodSeen>>, now_ms: i64) -> Vec<Finding> {
    let mut findings = Findings::of(&pipeline.names.table);
    let (found, worker) = (&mut findings, &pipeline.names.worker);
    let pods = match pods {
        Looked::Seen(pods) => pods,
        Looked::Silent(why) => {
            found.fail("DP0801", why, "see whether kubectl reaches the cluster, and name its context with --context");
            found.skip("DP0802", "the cluster does not answer");
            return findings.into_inner();
        }
        Looked::Left(why) => {
            found.skip("DP0801", why);
            found.skip("DP0802", why);
            return findings.into_inner();
        }
    };
    let describe = format!("kubectl describe pod -n data-ingestion -l app={worker}");
    let unready = pods.iter().find_map(|pod| Some((&pod.name, pod.not_ready.as_ref()?)));
    if pods.is_empty() {
        let next = format!("kubectl describe deployment -n data-ingestion {worker}; datapipe-deploy apply makes it");
        found.fail("DP0801", format!("there is no pod of {worker}"), next);
    } else if let Some((name, why)) = unready {
        found.fail("DP0801", format!("{name}: {why}"), &describe);
    } else {
        let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
        found.ok("DP0801", names.join(", "));
    }
    let limits = pods.iter().flat_map(|pod| &pod.limits).cloned().collect::<Vec<_>>().join(", ");
    let ended = pods.iter().filter_map(|pod| Some((pod, pod.ended.as_ref()?, now_ms - pod.ended_ms?)));
    match ended.min_by_key(|(_, _, ago_ms)| *ago_ms) {
        None if pods.is_empty() => found.skip("DP0802", "there is no pod"),
        None => found.ok("DP0802", format!("never started again; limits: {limits}")),
        Some((pod, why, ago_ms)) => {
            let words = format!("{why}, {} ago; {} restarts; limits: {limits}", age_words(ago_ms.max(0)), pod.restarts);
            if ago_ms < LATELY_MS {
                let next = format!(
                    "kubectl logs -n data-ingestion {} --previous; if it was its memory, raise worker.memory",
                    pod.name
                );
                found.warn("DP0802", words, next);
            } else {
                found.ok("DP0802", words);
            }
        }
    }
    findings.into_inner()
}

/// Judges the look from inside itself, and what the worker's own test has found there.
pub fn judge_inside(pipeline: &PipelinePlan, inside: &Looked<Vec<Problem>>) -> Vec<Finding> {
    let mut findings = Findings::of(&pipeline.names.table);
    let found = &mut findings;
    let problems = match inside {
        Looked::Seen(problems) => problems,
        Looked::Silent(why) => {
            let next = "kubectl get events -n data-ingestion --sort-by=.lastTimestamp | tail";
            found.fail("DP0803", why, next);
            found.skip("DP0804", "no pod has looked");
            return findings.into_inner();
        }
        Looked::Left(why) => {
            found.skip("DP0803", why);
            found.skip("DP0804", why);
            return findings.into_inner();
        }
    };
    found.ok("DP0803", "a pod with the worker's labels has looked");
    let Some(first) = problems.first() else {
        found.ok("DP0804", "nothing is in the way of a start");
        return findings.into_inner();
    };
    let line = |problem: &Problem| {
        let why = if problem.why.is_empty() { String::new() } else { format!(" ({})", problem.why) };
        format!("{}: {}{why}", problem.object, problem.what)
    };
    found.fail("DP0804", problems.iter().map(line).collect::<Vec<_>>().join("; "), &first.fix);
    findings.into_inner()
}
