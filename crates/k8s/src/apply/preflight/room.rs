//! Whether there is room: in the namespace's quotas and ranges, and on the nodes. Pure.

use std::collections::BTreeSet;
use std::ops::Add;

use datapipe_core::plan::Problem;
use serde_json::Value;

use super::amount::{Amount, shown, thousandths};
use crate::NAMESPACE;
use crate::apply::cluster::{name, title};
use crate::apply::judge::has_pods;

/// The pods of a deployment, by the objects that make them.
pub(super) struct Pods<'a> {
    makers: Vec<&'a Value>,
    apps: BTreeSet<&'a str>,
}

/// What pods take.
#[derive(Clone, Copy, Default)]
struct Taken {
    requests: Amount,
    limits: Amount,
}

impl Add for Taken {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, limits: self.limits + other.limits }
    }
}

impl Taken {
    fn by(spec: &Value) -> Self {
        Self { requests: Amount::of_pod(spec, "requests"), limits: Amount::of_pod(spec, "limits") }
    }

    /// By a quota's name of it; none for what is not judged here.
    fn named(self, key: &str) -> Option<u128> {
        Some(match key {
            "cpu" | "requests.cpu" => self.requests.cpu,
            "memory" | "requests.memory" => self.requests.memory,
            "limits.cpu" => self.limits.cpu,
            "limits.memory" => self.limits.memory,
            "pods" | "count/pods" => self.requests.pods,
            _ => return None,
        })
    }
}

fn template(maker: &Value) -> &Value {
    &maker["spec"]["template"]["spec"]
}

impl<'a> Pods<'a> {
    pub(super) fn of(objects: &[&'a Value]) -> Self {
        let makers: Vec<&Value> = objects.iter().copied().filter(|object| has_pods(object)).collect();
        Self { apps: makers.iter().map(|maker| name(maker)).collect(), makers }
    }

    /// Whether an apply replaces that pod: its room is there for the new one.
    fn replaces(&self, pod: &Value) -> bool {
        pod["metadata"]["namespace"] == NAMESPACE
            && pod["metadata"]["labels"]["app"].as_str().is_some_and(|app| self.apps.contains(app))
    }

    fn together(&self) -> Taken {
        self.makers.iter().map(|maker| Taken::by(template(maker))).fold(Taken::default(), Add::add)
    }

    /// Quotas of the namespace, whose pods are among `pods`.
    pub(super) fn quotas(&self, quotas: &[Value], pods: &[Value]) -> Vec<Problem> {
        let needed = self.together();
        let old = pods.iter().filter(|pod| self.replaces(pod)).map(|pod| Taken::by(&pod["spec"]));
        let old = old.fold(Taken::default(), Add::add);
        let mut problems = Vec::new();
        // A quota of some pods only may not be about these.
        let of_all =
            quotas.iter().filter(|one| one["spec"]["scopes"].is_null() && one["spec"]["scopeSelector"].is_null());
        for quota in of_all {
            for (key, hard) in quota["spec"]["hard"].as_object().into_iter().flatten() {
                let (Some(need), Some(replaced), Some(hard)) = (needed.named(key), old.named(key), thousandths(hard))
                else {
                    continue;
                };
                let used = thousandths(&quota["status"]["used"][key]).unwrap_or(0).saturating_sub(replaced);
                let room = hard.saturating_sub(used);
                if need > room {
                    let (need_words, room_words) = (shown(key, need), shown(key, room));
                    let what =
                        format!("leaves {room_words} of {key}, and the pods of this deployment take {need_words}");
                    let fix = format!(
                        "have it raised to {} or more, or deploy less: fewer tables, or less in worker.memory",
                        shown(key, used + need)
                    );
                    problems.push(Problem::new(title(quota), what, fix));
                }
            }
        }
        problems
    }

    /// What single pods and containers may have in the namespace.
    pub(super) fn ranges(&self, ranges: &[Value]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (range, item) in ranges
            .iter()
            .flat_map(|range| range["spec"]["limits"].as_array().into_iter().flatten().map(move |item| (range, item)))
        {
            for maker in &self.makers {
                let spec = template(maker);
                let parts: Vec<(String, Taken)> = match item["type"].as_str().unwrap_or_default() {
                    "Pod" => vec![(format!("a pod of {}", name(maker)), Taken::by(spec))],
                    "Container" => containers(maker),
                    _ => Vec::new(),
                };
                problems.extend(parts.iter().flat_map(|(part, taken)| out_of(range, item, part, *taken)));
            }
        }
        problems
    }

    /// Nodes that take pods, and what runs on them.
    pub(super) fn nodes(&self, nodes: &[Value], pods: &[Value]) -> Vec<Problem> {
        let rooms: Vec<(&str, Amount)> = nodes
            .iter()
            .filter(|node| takes_pods(node))
            .map(|node| {
                let there = pods.iter().filter(|pod| pod["spec"]["nodeName"] == name(node) && !self.replaces(pod));
                let taken = there.map(|pod| Amount::of_pod(&pod["spec"], "requests")).fold(Amount::default(), Add::add);
                (name(node), Amount::of(&node["status"]["allocatable"]) - taken)
            })
            .collect();
        let fix = "make room or add a node, or deploy less; --nodes-grow if nodes are added on demand";
        let problem = |what: String| Problem::new("nodes", what, fix);
        if rooms.is_empty() {
            return vec![problem(format!(
                "of {} none takes pods: they are not ready, cordoned or tainted",
                nodes.len()
            ))];
        }
        let needs = self.makers.iter().map(|maker| (name(maker), Amount::of_pod(template(maker), "requests")));
        let mut problems: Vec<Problem> = needs
            .filter(|(_, need)| !rooms.iter().any(|(_, room)| need.fits(*room)))
            .map(|(app, need)| problem(format!("none has room for {app}, {}; free are {}", words(need), free(&rooms))))
            .collect();
        let (need, room) =
            (self.together().requests, rooms.iter().map(|(_, room)| *room).fold(Amount::default(), Add::add));
        if problems.is_empty() && !need.fits(room) {
            problems.push(problem(format!("all pods together take {}; free are {}", words(need), free(&rooms))));
        }
        problems
    }
}

fn containers(maker: &Value) -> Vec<(String, Taken)> {
    let spec = template(maker);
    let all = [&spec["containers"], &spec["initContainers"]].into_iter().filter_map(Value::as_array).flatten();
    all.map(|container| {
        let part = format!("container {} of {}", container["name"].as_str().unwrap_or_default(), name(maker));
        (part, Taken::by(&serde_json::json!({ "containers": [container] })))
    })
    .collect()
}

/// What of a part is beyond a range.
fn out_of(range: &Value, item: &Value, part: &str, taken: Taken) -> Vec<Problem> {
    let mut problems = Vec::new();
    for resource in ["cpu", "memory"] {
        let bound = |which: &str| thousandths(&item[which][resource]);
        let (limit, request) = (taken.named(&format!("limits.{resource}")), taken.named(resource));
        let (limit, request) = (limit.unwrap_or(0), request.unwrap_or(0));
        let most = bound("max").filter(|most| limit > *most);
        let least = bound("min").filter(|least| request < *least);
        let kind = item["type"].as_str().unwrap_or_default().to_lowercase();
        let bounds = [("at most", most, "a limit", limit), ("at least", least, "a request", request)];
        for (word, bound, of, value) in bounds {
            if let Some(bound) = bound {
                let what = format!(
                    "allows a {kind} {word} {} of {resource}, and {part} has {of} of {}",
                    shown(resource, bound),
                    shown(resource, value)
                );
                problems.push(Problem::new(
                    title(range),
                    what,
                    "have it changed in that namespace, or change the setting",
                ));
            }
        }
    }
    problems
}

/// Ready, not cordoned, and without a taint: rendered pods tolerate none.
fn takes_pods(node: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let ready = list(&node["status"]["conditions"]).iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
    let keeps_off = |taint: &Value| taint["effect"] == "NoSchedule" || taint["effect"] == "NoExecute";
    ready && node["spec"]["unschedulable"] != true && !list(&node["spec"]["taints"]).iter().any(keeps_off)
}

fn words(amount: Amount) -> String {
    format!("{} of memory and {} of CPU", shown("memory", amount.memory), shown("cpu", amount.cpu))
}

/// What is free on the three nodes with the most.
fn free(rooms: &[(&str, Amount)]) -> String {
    let mut rooms = rooms.to_vec();
    rooms.sort_by_key(|(_, room)| std::cmp::Reverse(room.memory));
    let told: Vec<String> = rooms
        .iter()
        .take(3)
        .map(|(node, room)| format!("{} and {} pods on {node}", words(*room), room.pods / 1000))
        .collect();
    told.join(", ")
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
