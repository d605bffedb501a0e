//! Why something is not ready, from what the cluster says. Pure.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use serde_json::Value;

/// How much is told of a container's last words.
const WORDS_LINES_MAX: usize = 3;
const WORDS_CHARS_MAX: usize = 400;

/// How a worker ends that lacks a server.
const MISSING: i32 = 69;

/// Why the controller's part of a Deployment or `StatefulSet` is not done; none if it is.
pub(super) fn unfinished(live: &Value) -> Option<String> {
    let status = &live["status"];
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let wanted = live["spec"]["replicas"].as_i64().unwrap_or(1);
    // A quota, or an admission rule, keeps pods from being made at all.
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let refused = conditions.iter().find(|one| one["type"] == "ReplicaFailure" && one["status"] == "True");
    if let Some(message) = refused.and_then(|one| one["message"].as_str()) {
        return Some(message.to_owned());
    }
    if number(&status["observedGeneration"]) < number(&live["metadata"]["generation"]) {
        return Some("its controller has not seen the change yet".to_owned());
    }
    // A StatefulSet that is done may count none as updated; its revisions tell. A Deployment has none of these.
    let revisions_differ = live["kind"] != "StatefulSet" || status["currentRevision"] != status["updateRevision"];
    if number(&status["updatedReplicas"]) < wanted && revisions_differ {
        return Some("the old pod is still being replaced".to_owned());
    }
    let ready = number(&status["readyReplicas"]);
    (ready < wanted || number(&status["replicas"]) > wanted).then(|| format!("{ready} of {wanted} pods are ready"))
}

/// Why a Deployment makes no pod; none if it does, or will.
pub(super) fn unmade(live: Option<&Value>) -> Option<String> {
    let Some(live) = live else { return Some("there is no such Deployment".to_owned()) };
    if live["spec"]["replicas"] == 0 {
        return Some("its Deployment is scaled to 0".to_owned());
    }
    let conditions = live["status"]["conditions"].as_array();
    let refused =
        conditions.into_iter().flatten().find(|one| one["type"] == "ReplicaFailure" && one["status"] == "True");
    refused.and_then(|one| one["message"].as_str()).map(str::to_owned)
}

/// Whether a pod that is not ready may be so for want of a server: what is not ready runs, or has ended because a server
/// was missing.
pub(super) fn waits(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let mut unready = statuses.filter(|container| !container.ready).peekable();
    let for_want = |container: &ContainerStatus| {
        let states = [&container.state, &container.last_state];
        let ended = states.into_iter().flatten().find_map(|state| state.terminated.as_ref());
        let runs = container.state.as_ref().is_some_and(|state| state.running.is_some());
        ended.map_or(runs, |ended| ended.exit_code == MISSING)
    };
    unready.peek().is_some() && unready.all(for_want)
}

/// Whether it is of a kind that makes pods.
pub(super) fn has_pods(object: &Value) -> bool {
    object["kind"] == "Deployment" || object["kind"] == "StatefulSet"
}

/// Why something that was deleted is still there; none if it is not.
pub(super) fn remains(live: Option<&Value>, pods: usize) -> Option<String> {
    let Some(live) = live else {
        return (pods > 0).then(|| format!("{pods} of its pods are still ending"));
    };
    let finalizers: Vec<&str> =
        live["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let why = if finalizers.is_empty() { "it is still there".to_owned() } else { finalizers.join(", ") + " holds it" };
    Some(why)
}

/// Why a pod is not ready, in words; none if it is.
pub(super) fn not_ready(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    if conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True") {
        return None;
    }
    let unscheduled = conditions.iter().find(|one| one.type_ == "PodScheduled" && one.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("no node takes it: {}", condition.message.as_deref().unwrap_or("no reason given")));
    }
    let inits = status.init_container_statuses.iter().flatten();
    // An init container that runs is never ready: it ends.
    let at_work = inits.clone().find(|init| init.state.as_ref().is_some_and(|state| state.running.is_some()));
    if let Some(init) = at_work {
        return Some(format!("{} is at work", init.name));
    }
    let containers = inits.chain(status.container_statuses.iter().flatten());
    let unready: Vec<&ContainerStatus> = containers.filter(|container| !container.ready).collect();
    // One that ended is the reason why another, which asks it, is not ready.
    let ended = unready.iter().filter(|container| has_ended(container));
    ended.chain(&unready).find_map(|container| trouble(container, &limit(pod, &container.name)))
}

fn has_ended(container: &ContainerStatus) -> bool {
    [&container.state, &container.last_state].into_iter().flatten().any(|state| state.terminated.is_some())
}

pub(super) fn limit(pod: &Pod, container: &str) -> String {
    let spec = pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let found = all
        .filter(|one| one.name == container)
        .find_map(|one| one.resources.as_ref()?.limits.as_ref()?.get("memory").map(|quantity| quantity.0.clone()));
    found.unwrap_or_else(|| "its limit".to_owned())
}

fn trouble(container: &ContainerStatus, limit: &str) -> Option<String> {
    let name = &container.name;
    let state = container.state.clone().unwrap_or_default();
    if let Some(waiting) = &state.waiting {
        let message = waiting.message.as_deref().unwrap_or_default();
        match waiting.reason.as_deref().unwrap_or_default() {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                return Some(format!("{name}: image {} cannot be had: {message}", container.image));
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                return Some(format!("{name} cannot be started: {message}"));
            }
            _ => {}
        }
    }
    if let Some(ended) = ended(container, &state, limit) {
        return Some(ended);
    }
    if let Some(waiting) = state.waiting {
        return Some(format!("{name}: {}", waiting.reason.as_deref().unwrap_or("waiting")));
    }
    state.running.as_ref()?;
    let phase = if container.started == Some(true) { "runs, and its readiness probe fails" } else { "is starting" };
    Some(format!("{name} {phase}"))
}

/// How it ended, now or before it was started again.
pub(super) fn ended(container: &ContainerStatus, state: &ContainerState, limit: &str) -> Option<String> {
    let last = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0).or(last)?;
    let times = container.restart_count;
    let name = &container.name;
    let again = if times == 0 { String::new() } else { format!(", and was started again {times} times") };
    if ended.reason.as_deref() == Some("OOMKilled") {
        return Some(format!("{name} took more memory than {limit} and was killed (OOMKilled){again}"));
    }
    let why = match ended.exit_code {
        78 => " (its settings are wrong)",
        MISSING => " (a server that it needs is missing or not ready)",
        137 => " (killed: its liveness probe failed, or the node was short of memory)",
        _ => "",
    };
    let code = ended.exit_code;
    let words = ended.message.as_deref().and_then(last_words).map_or_else(
        || format!("; its last words: kubectl logs -n data-ingestion POD -c {name} --previous"),
        |words| format!(": {words}"),
    );
    Some(format!("{name} ended with code {code}{why}{again}{words}"))
}

/// Of the end of a container's log what says why: an error with what stands below it, or the last line.
fn last_words(message: &str) -> Option<String> {
    // Collections of a JVM are told between its words.
    let is_word = |line: &&str| !line.is_empty() && !line.contains("[gc] GC(");
    let lines: Vec<&str> = message.lines().map(str::trim).filter(is_word).collect();
    let from = lines.iter().rposition(|line| line.starts_with("error: ")).unwrap_or(lines.len().checked_sub(1)?);
    let words = lines[from..].iter().take(WORDS_LINES_MAX).copied().collect::<Vec<_>>().join(" ");
    Some(words.chars().take(WORDS_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(status: &Value) -> Option<String> {
        let containers = json!([{ "name": "kafka-connect", "resources": { "limits": { "memory": "250Mi" } } }]);
        let pod = json!({ "spec": { "containers": containers }, "status": status });
        not_ready(&serde_json::from_value(pod).unwrap())
    }

    fn container(state: &Value, last: &Value, restarts: i32) -> Value {
        json!({ "containerStatuses": [{ "name": "kafka-connect", "image": "connect:1", "imageID": "", "ready": false,
                "restartCount": restarts, "state": state, "lastState": last }] })
    }

    #[test]
    fn pods_in_words() {
        let none = json!({});
        let waiting = |reason: &str, message: &str| json!({ "waiting": { "reason": reason, "message": message } });
        let ended = |code: i32, reason: &str| json!({ "terminated": { "exitCode": code, "reason": reason } });
        let unscheduled = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory" }] });
        let ready = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        assert_eq!(told(&ready), None);
        let cases = [
            (unscheduled, "no node takes it: 0/1 nodes: Insufficient memory"),
            (
                container(&waiting("ImagePullBackOff", "not found"), &none, 0),
                "kafka-connect: image connect:1 cannot be had: not found",
            ),
            (
                container(&waiting("CreateContainerConfigError", "secret \"a\" not found"), &none, 0),
                "kafka-connect cannot be started: secret \"a\" not found",
            ),
            (
                container(&waiting("CrashLoopBackOff", ""), &ended(137, "OOMKilled"), 3),
                "kafka-connect took more memory than 250Mi and was killed (OOMKilled), and was started again 3 times",
            ),
            (
                container(&waiting("CrashLoopBackOff", ""), &ended(78, "Error"), 1),
                "kafka-connect ended with code 78 (its settings are wrong), and was started again 1 times; its last words: \
                 kubectl logs -n data-ingestion POD -c kafka-connect --previous",
            ),
            (container(&waiting("PodInitializing", ""), &none, 0), "kafka-connect: PodInitializing"),
            (
                json!({ "initContainerStatuses": [{ "name": "init", "image": "", "imageID": "", "ready": false, "started": true,
                        "restartCount": 0, "state": { "running": {} } }] }),
                "init is at work",
            ),
            (container(&json!({ "running": {} }), &none, 0), "kafka-connect is starting"),
        ];
        for (status, words) in cases {
            assert_eq!(told(&status).as_deref(), Some(words));
        }
    }

    #[test]
    fn last_words_are_the_error_or_the_last_line() {
        let report = "INFO starts\nerror: the pipelines cannot start; nothing was changed\n\n  PostgreSQL: it refuses\n    why: \
                      no such password\n    fix: correct it\n";
        let words =
            "error: the pipelines cannot start; nothing was changed PostgreSQL: it refuses why: no such password";
        assert_eq!(last_words(report).unwrap(), words);
        assert_eq!(last_words("INFO one\nERROR two\n").unwrap(), "ERROR two");
        let collected = "ERROR two\n[9.1s][info][gc] GC(6) Pause Full (Allocation Failure) 43M->38M(69M) 6.820ms\n";
        assert_eq!(last_words(collected).unwrap(), "ERROR two");
        assert_eq!(last_words("\n"), None);
        assert_eq!(last_words(&"x".repeat(500)).unwrap().len(), 400);
    }

    #[test]
    fn who_waits_for_a_server() {
        let waits = |status: &Value| super::waits(&serde_json::from_value(json!({ "status": status })).unwrap());
        let ended = |code: i32| json!({ "terminated": { "exitCode": code } });
        let (none, running) = (json!({}), json!({ "running": {} }));
        assert!(waits(&container(&running, &none, 0)), "its probe fails");
        assert!(waits(&container(&json!({ "waiting": {} }), &ended(69), 3)));
        assert!(!waits(&container(&running, &ended(137), 1)), "it was killed");
        assert!(!waits(&container(&json!({ "waiting": { "reason": "ErrImagePull" } }), &none, 0)));
        assert!(!waits(&json!({})), "no node has it");
    }

    #[test]
    fn deployments_that_make_no_pod() {
        assert_eq!(unmade(None).unwrap(), "there is no such Deployment");
        assert_eq!(unmade(Some(&json!({ "spec": { "replicas": 0 } }))).unwrap(), "its Deployment is scaled to 0");
        let refused = json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small" }]);
        let live = json!({ "spec": { "replicas": 1 }, "status": { "conditions": refused } });
        assert_eq!(unmade(Some(&live)).unwrap(), "exceeded quota: small");
        assert_eq!(unmade(Some(&json!({ "spec": { "replicas": 1 } }))), None);
    }

    #[test]
    fn what_was_deleted_and_is_still_there() {
        assert_eq!(remains(None, 0), None);
        assert_eq!(remains(None, 1).unwrap(), "1 of its pods are still ending");
        assert_eq!(remains(Some(&json!({ "metadata": {} })), 1).unwrap(), "it is still there");
        let held = json!({ "metadata": { "finalizers": ["kubernetes.io/pvc-protection"] } });
        assert_eq!(remains(Some(&held), 0).unwrap(), "kubernetes.io/pvc-protection holds it");
    }

    #[test]
    fn the_container_that_ended_is_the_reason() {
        let one = |name: &str, last: Value| {
            json!({ "name": name, "image": "", "imageID": "", "ready": false, "started": true, "restartCount": 1,
                    "state": { "running": {} }, "lastState": last })
        };
        let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let status = json!({ "containerStatuses": [one("datapipe", json!({})), one("kafka-connect", killed)] });
        let words =
            "kafka-connect took more memory than 250Mi and was killed (OOMKilled), and was started again 1 times";
        assert_eq!(told(&status).as_deref(), Some(words));
    }

    #[test]
    fn controllers_in_words() {
        let live = |status: Value| {
            unfinished(&json!({ "metadata": { "generation": 2 }, "spec": { "replicas": 1 }, "status": status }))
        };
        let done = json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1 });
        assert_eq!(live(done.clone()), None);
        let mut old = done.clone();
        old["observedGeneration"] = json!(1);
        assert_eq!(live(old).unwrap(), "its controller has not seen the change yet");
        let mut replaced = done.clone();
        replaced["updatedReplicas"] = json!(0);
        assert_eq!(live(replaced).unwrap(), "the old pod is still being replaced");
        let mut starting = done.clone();
        starting["readyReplicas"] = Value::Null;
        assert_eq!(live(starting).unwrap(), "0 of 1 pods are ready");
        let mut refused = done;
        refused["conditions"] =
            json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small" }]);
        assert_eq!(live(refused).unwrap(), "exceeded quota: small");
    }
}
