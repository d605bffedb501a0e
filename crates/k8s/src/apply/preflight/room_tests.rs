//! Room, judged on what an API server says.

use serde_json::json;

use super::*;

fn maker(app: &str, memory: &str) -> Value {
    let resources =
        json!({ "requests": { "cpu": "125m", "memory": memory }, "limits": { "cpu": "250m", "memory": memory } });
    json!({ "kind": "Deployment", "metadata": { "name": app },
            "spec": { "template": { "spec": { "containers": [{ "name": "c", "resources": resources }] } } } })
}

fn pod(app: &str, namespace: &str, memory: &str) -> Value {
    let mut spec = maker(app, memory)["spec"]["template"]["spec"].clone();
    spec["nodeName"] = json!("node1");
    json!({ "metadata": { "name": "p", "namespace": namespace, "labels": { "app": app } }, "spec": spec })
}

fn node(name: &str, memory: &str, spec: &Value) -> Value {
    json!({ "metadata": { "name": name }, "spec": spec, "status": {
        "allocatable": { "cpu": "2", "memory": memory, "pods": "110" },
        "conditions": [{ "type": "Ready", "status": "True" }] } })
}

fn quota(key: &str, hard: &str, used: &str) -> Value {
    json!({ "kind": "ResourceQuota", "metadata": { "name": "small" },
            "spec": { "hard": { key: hard } }, "status": { "used": { key: used } } })
}

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_quota_must_hold_what_is_added() {
    let (users, orders) = (maker("users", "250Mi"), maker("orders", "250Mi"));
    let all = [&users, &orders];
    let pods = Pods::of(&all);
    assert_eq!(told(&pods.quotas(&[quota("limits.memory", "600Mi", "0")], &[])), [""; 0]);
    let expected = "ResourceQuota small: leaves 300Mi of limits.memory, and the pods of this deployment take 500Mi; have it \
                    raised to 800Mi or more, or deploy less: fewer tables, or less in worker.memory";
    assert_eq!(told(&pods.quotas(&[quota("limits.memory", "600Mi", "300Mi")], &[])), [expected]);
    // What is used by pods that are replaced is free for those that come.
    let old = [pod("users", "data-ingestion", "250Mi"), pod("users", "elsewhere", "250Mi")];
    assert_eq!(told(&pods.quotas(&[quota("limits.memory", "600Mi", "300Mi")], &old)), [""; 0]);
    for (key, hard, wrong) in [
        ("pods", "1", true),
        ("pods", "2", false),
        ("cpu", "249m", true),
        ("requests.cpu", "250m", false),
        ("services", "0", false),
    ] {
        assert_eq!(!pods.quotas(&[quota(key, hard, "0")], &[]).is_empty(), wrong, "{key} {hard}");
    }
    let mut scoped = quota("pods", "0", "0");
    scoped["spec"]["scopes"] = json!(["BestEffort"]);
    assert_eq!(told(&pods.quotas(&[scoped], &[])), [""; 0]);
}

#[test]
fn ranges_of_single_containers_and_pods() {
    let users = maker("users", "250Mi");
    let all = [&users];
    let range =
        |item: Value| json!({ "kind": "LimitRange", "metadata": { "name": "r" }, "spec": { "limits": [item] } });
    let judged = |item: Value| told(&Pods::of(&all).ranges(&[range(item)]));
    assert_eq!(
        judged(json!({ "type": "Container", "max": { "memory": "200Mi", "cpu": "1" } })),
        [
            "LimitRange r: allows a container at most 200Mi of memory, and container c of users has a limit of 250Mi; have it \
          changed in that namespace, or change the setting"
        ]
    );
    let told = judged(json!({ "type": "Pod", "min": { "cpu": "200m" } }));
    assert!(
        told[0]
            .starts_with("LimitRange r: allows a pod at least 200m of cpu, and a pod of users has a request of 125m")
    );
    assert_eq!(judged(json!({ "type": "PersistentVolumeClaim", "max": { "storage": "1Gi" } })), [""; 0]);
}

#[test]
fn nodes_must_have_room_for_the_largest_and_for_all() {
    let (users, orders) = (maker("users", "250Mi"), maker("orders", "250Mi"));
    let all = [&users, &orders];
    let judged = |nodes: &[Value], pods: &[Value]| told(&Pods::of(&all).nodes(nodes, pods));
    let roomy = node("node1", "600Mi", &json!({}));
    assert_eq!(judged(std::slice::from_ref(&roomy), &[]), [""; 0]);
    let strangers = [pod("else", "elsewhere", "150Mi")];
    let fix = "; make room or add a node, or deploy less; --nodes-grow if nodes are added on demand";
    assert_eq!(
        judged(std::slice::from_ref(&roomy), &strangers),
        [format!(
            "nodes: all pods together take 500Mi of memory and 250m of CPU; free are 450Mi of memory and 1875m of CPU and 109 \
                  pods on node1{fix}"
        )]
    );
    assert_eq!(
        judged(std::slice::from_ref(&roomy), &[pod("users", "data-ingestion", "250Mi")]),
        [""; 0],
        "a second apply"
    );
    let small = [node("a", "200Mi", &json!({})), node("b", "240Mi", &json!({}))];
    let told = judged(&small, &[]);
    assert_eq!(told.len(), 2);
    assert!(told[0].contains("none has room for users, 250Mi of memory and 125m of CPU; free are 240Mi"), "{told:?}");
    let off = [
        node("a", "9Gi", &json!({ "unschedulable": true })),
        node("b", "9Gi", &json!({ "taints": [{ "effect": "NoSchedule" }] })),
    ];
    assert!(judged(&off, &[])[0].starts_with("nodes: of 2 none takes pods"));
}
