use datapipe_core::plan::{PipelinePlan, Problem};

use super::{age_words, heap, usage};
use crate::finding::{Finding, Findings};
use crate::seen::{DeployedSeen, DriftSeen, Looked, PodSeen};

/// An end that is longer ago is told, and is no warning.
const LATELY_MS: i64 = 24 * 3_600_000;
/// What may keep a pod from being ready that is well itself. Whether it does is known with all findings.
const WAITED_FOR: [&str; 3] = ["DP0401", "DP0301", "DP0501"];
const CODES: [&str; 7] = ["DP0801", "DP0802", "DP0805", "DP0806", "DP0807", "DP0808", "DP0809"];

/// Judges a table's worker as a cluster has it, at a moment in milliseconds since 1970-01-01 UTC.
pub fn judge_pods(pipeline: &PipelinePlan, deployed: &Looked<DeployedSeen>, now_ms: i64) -> Vec<Finding> {
    let mut findings = Findings::of(&pipeline.names.table);
    let (found, worker) = (&mut findings, &pipeline.names.worker);
    match deployed {
        Looked::Seen(seen) => {
            ready(worker, seen, found);
            killed(&seen.pods, now_ms, found);
            service(worker, seen, found);
            drift(worker, &seen.drift, found);
            heap::judge(seen, found);
            usage::judge(seen, found);
        }
        Looked::Silent(why) => {
            found.fail("DP0801", why, "see whether kubectl reaches the cluster, and name its context with --context");
            CODES[1..].iter().for_each(|code| found.skip(code, "the cluster does not answer"));
        }
        Looked::Left(why) => CODES.iter().for_each(|code| found.skip(code, why)),
    }
    let mut findings = findings.into_inner();
    if let Looked::Seen(DeployedSeen { pods, .. }) = deployed {
        if pods.iter().any(|pod| pod.waits) {
            findings[0].caused_by = WAITED_FOR.map(str::to_owned).into();
        }
        // One that was killed for its memory, and is near its limit again, is one fault.
        if pods.iter().filter_map(|pod| pod.ended.as_ref()).any(|why| why.contains("OOMKilled")) {
            findings[1].caused_by.push("DP0809".to_owned());
        }
    }
    findings
}

fn ready(worker: &str, seen: &DeployedSeen, found: &mut Findings<'_>) {
    let unready = seen.pods.iter().find_map(|pod| Some((&pod.name, pod.not_ready.as_ref()?)));
    match (unready, &seen.unmade) {
        _ if seen.pods.is_empty() => {
            let next =
                format!("kubectl describe deployment -n data-ingestion {worker}; datapipe-deploy apply makes it");
            let why = seen.unmade.as_ref().map_or(String::new(), |why| format!(": {why}"));
            found.fail("DP0801", format!("there is no pod of {worker}{why}"), next);
        }
        (Some((name, why)), _) => {
            let describe = format!("kubectl describe pod -n data-ingestion -l app={worker}");
            found.fail("DP0801", format!("{name}: {why}"), describe);
        }
        (None, _) => {
            let names: Vec<&str> = seen.pods.iter().map(|pod| pod.name.as_str()).collect();
            found.ok("DP0801", names.join(", "));
        }
    }
}

fn killed(pods: &[PodSeen], now_ms: i64, found: &mut Findings<'_>) {
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
}

fn service(worker: &str, seen: &DeployedSeen, found: &mut Findings<'_>) {
    match &seen.astray {
        Looked::Seen(Some(why)) => {
            let next = format!("kubectl get endpointslices -n data-ingestion -l kubernetes.io/service-name={worker}");
            found.fail("DP0805", format!("Service {worker}: {why}"), next);
        }
        Looked::Silent(why) | Looked::Left(why) => found.skip("DP0805", why),
        Looked::Seen(None) if seen.pods.is_empty() => found.skip("DP0805", "there is no pod"),
        Looked::Seen(None) => found.ok("DP0805", format!("Service {worker} leads to it")),
    }
}

fn drift(worker: &str, drift: &Looked<Vec<DriftSeen>>, found: &mut Findings<'_>) {
    let objects = match drift {
        Looked::Seen(objects) => objects,
        Looked::Silent(why) | Looked::Left(why) => {
            return ["DP0806", "DP0807"].iter().for_each(|code| found.skip(code, why));
        }
    };
    let (policies, own): (Vec<_>, Vec<_>) = objects.iter().partition(|one| one.object.starts_with("NetworkPolicy "));
    for (code, objects, file) in [
        ("DP0806", own, format!("{worker}-deployment.yaml")),
        ("DP0807", policies, "03-network-policies-multi-instance.yaml".to_owned()),
    ] {
        let words: Vec<String> = objects.iter().map(|one| format!("{}: {}", one.object, one.fields)).collect();
        if words.is_empty() {
            found.ok(code, "as planned");
        } else {
            let next = format!(
                "kubectl apply --server-side --force-conflicts --field-manager datapipe-deploy -f 1-data-ingestion-pipeline/{file}; or put it into the settings"
            );
            found.warn(code, words.join("; "), next);
        }
    }
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
