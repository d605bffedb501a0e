//! What Kubernetes warns of while something is waited for, each thing once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cluster::{Cluster, ClusterError, name, title};

/// Warnings that were there before, and those that were told.
pub(super) struct Warnings {
    before: BTreeMap<String, i64>,
    told: BTreeSet<String>,
    permitted: bool,
}

impl Warnings {
    /// From now on: what is there already is nobody's news.
    pub(super) async fn begin(cluster: &Cluster) -> Result<Self, ClusterError> {
        let events = warnings(cluster).await?;
        let permitted = events.is_some();
        let before = events.unwrap_or_default().iter().map(|event| (uid(event), count(event))).collect();
        Ok(Self { before, told: BTreeSet::new(), permitted })
    }

    /// What is new about an object and its pods, a line each. Nothing if this user may not list events.
    pub(super) async fn of(
        &mut self,
        cluster: &Cluster,
        owner: &Value,
        pods: &[&str],
    ) -> Result<Vec<String>, ClusterError> {
        if !self.permitted {
            return Ok(Vec::new());
        }
        let events = warnings(cluster).await?.unwrap_or_default();
        Ok(self.news(&events, owner, pods))
    }

    fn news(&mut self, events: &[Value], owner: &Value, pods: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        for event in events.iter().filter(|event| concerns(&event["involvedObject"], owner, pods)) {
            let again = self.before.get(&uid(event)).is_some_and(|before| count(event) <= *before);
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            let (reason, message) = (text("reason"), text("message").lines().next().unwrap_or_default());
            // A start is waited for anyway, and says so.
            if again || message.starts_with("Startup probe failed") {
                continue;
            }
            // The end of a message has addresses and identifiers of its own each time.
            let start: String = message.chars().take(40).collect();
            if self.told.insert(format!("{} {reason} {start}", title(owner))) {
                let message: String = message.chars().take(300).collect();
                lines.push(format!("  {}: {reason}: {message}", title(owner)));
            }
        }
        lines
    }
}

async fn warnings(cluster: &Cluster) -> Result<Option<Vec<Value>>, ClusterError> {
    cluster.permitted("Event", false, "type=Warning").await
}

fn uid(event: &Value) -> String {
    event["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

fn count(event: &Value) -> i64 {
    event["count"].as_i64().or(event["series"]["count"].as_i64()).unwrap_or(1)
}

/// Whether it is the object, one of its pods, or what makes them.
fn concerns(involved: &Value, owner: &Value, pods: &[&str]) -> bool {
    let text = |key: &str| involved[key].as_str().unwrap_or_default();
    let found = text("name");
    match text("kind") {
        "Pod" => pods.contains(&found),
        // A Deployment's name and one hash.
        "ReplicaSet" => found
            .strip_prefix(name(owner))
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|hash| !hash.contains('-')),
        kind => owner["kind"] == kind && found == name(owner),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(uid: &str, count: i64, (kind, object): (&str, &str), reason: &str, message: &str) -> Value {
        json!({ "metadata": { "uid": uid }, "count": count, "reason": reason, "message": message,
                "involvedObject": { "kind": kind, "name": object } })
    }

    #[test]
    fn each_warning_is_told_once_and_only_of_its_object() {
        let owner = json!({ "kind": "Deployment", "metadata": { "name": "users" } });
        let mut warnings =
            Warnings { before: BTreeMap::from([("old".to_owned(), 2)]), told: BTreeSet::new(), permitted: true };
        let pod = ("Pod", "users-5f-x");
        let mut events = vec![
            event("old", 2, pod, "BackOff", "Back-off restarting failed container"),
            event("a", 1, pod, "FailedScheduling", "0/1 nodes are available: 1 Insufficient memory."),
            event("b", 1, ("Pod", "orders-7c-y"), "FailedScheduling", "0/1 nodes are available"),
            event("c", 1, ("ReplicaSet", "users-5f"), "FailedCreate", "exceeded quota: small\nmore"),
            event("d", 1, ("ReplicaSet", "users-items-5f"), "FailedCreate", "exceeded quota: small"),
            event("e", 1, pod, "Unhealthy", "Startup probe failed: connection refused"),
        ];
        let told = warnings.news(&events, &owner, &["users-5f-x"]);
        let expected = [
            "  Deployment users: FailedScheduling: 0/1 nodes are available: 1 Insufficient memory.",
            "  Deployment users: FailedCreate: exceeded quota: small",
        ];
        assert_eq!(told, expected);
        assert_eq!(warnings.news(&events, &owner, &["users-5f-x"]), [""; 0]);
        events[0]["count"] = json!(3);
        let told = warnings.news(&events, &owner, &["users-5f-x"]);
        assert_eq!(told, ["  Deployment users: BackOff: Back-off restarting failed container"]);
    }
}
