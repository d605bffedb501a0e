//! Workers: their pods, objects, Services and connectors, and who they may talk to.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{NATIVE, Named, Scene};
use crate::arrangement::{Arrangement, Fault};
use crate::bed::Bed;
use crate::memory::Container;

/// The native worker's port, and its connectors.
const PORT: u16 = 8085;
const SOURCE: &str = "postgres-cdc-orders-connector";
const SINK: &str = "s3-sink-orders-connector";
const POLICIES: &str = "03-network-policies-multi-instance.json";

/// Sends a signal to all processes of a worker, or of a server.
pub(super) fn signal(bed: &Bed, app: &str, signal: Signal) {
    for process in Container::of(bed, app).iter().flat_map(Container::processes) {
        kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
    }
}

impl Scene {
    /// Has the native worker's pod replaced.
    fn new_pod(&self) {
        self.kubectl(&["delete", "pod", "-l", "app=kafka-connect-orders"]);
    }

    fn patch_secret(&self, data: &Value) {
        self.kubectl(&["patch", "secret", "datapipe-credentials", "-p", &data.to_string()]);
    }

    pub(super) fn connectors(&mut self) {
        self.fault(
            "source paused through the NodePort",
            &Named::orders("DP0202", "PAUSED"),
            |scene| drop(scene.curl("PUT", PORT, &format!("{SOURCE}/pause"), "")),
            |scene| drop(scene.curl("PUT", PORT, &format!("{SOURCE}/resume"), "")),
        );
        for (kind, table, port, connector, key) in [
            ("native worker", "orders", PORT, SINK, "file.max.records"),
            ("Kafka Connect worker", "order_items", 8086, "postgres-cdc-order-items-connector", "max.batch.size"),
        ] {
            let path = format!("{connector}/config");
            let config = self.curl("GET", port, &path, "");
            let mut changed: Value = serde_json::from_str(&config).unwrap();
            changed[key] = "77".into();
            self.fault(
                &format!("configuration of a {kind} changed through the NodePort"),
                &Named::of(&[table], "DP0203", key),
                |scene| drop(scene.curl("PUT", port, &path, &changed.to_string())),
                |scene| drop(scene.curl("PUT", port, &path, &config)),
            );
        }
    }

    /// What is changed by hand in a Deployment, and what becomes of the pod.
    pub(super) fn changed_by_hand(&mut self) {
        let argument = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/command/1","value":"strat"}]"#;
        let resources = |memory: &str| {
            let [request, limit] = ["requests", "limits"].map(|which| format!("--{which}=memory={memory}"));
            ["set".to_owned(), "resources".to_owned(), NATIVE.to_owned(), request, limit]
        };
        let (little, much) = (resources("200Mi"), resources("1Ti"));
        let config = r#"{"data":{"datapipe.toml":"[kafka]"}}"#;
        let hand = |words| Named::orders("DP0806", words);
        let pod = |words, so| hand(words).so("DP0801", so);
        for (fault, named, words) in [
            (
                "wrong argument",
                pod("command[1] is \"strat\", planned \"start\"", "ended with code 64"),
                vec!["patch", NATIVE, "--type=json", "-p", argument],
            ),
            (
                "image that is not there",
                pod("image is \"localhost/nowhere:1\"", "localhost/nowhere:1 cannot be had"),
                vec!["set", "image", NATIVE, "datapipe=localhost/nowhere:1"],
            ),
            (
                "more memory asked for than a node has",
                pod("memory is \"1Ti\", planned \"250Mi\"", "Insufficient memory"),
                much.iter().map(String::as_str).collect(),
            ),
            (
                "Deployment scaled to 0",
                pod("spec.replicas is 0, planned 1", "its Deployment is scaled to 0"),
                vec!["scale", NATIVE, "--replicas=0"],
            ),
            (
                "memory limit lowered",
                hand("limits.memory is \"200Mi\", planned \"250Mi\""),
                little.iter().map(String::as_str).collect(),
            ),
            (
                "ConfigMap changed",
                hand("data.datapipe.toml is not as planned"),
                vec!["patch", "configmap", "kafka-connect-orders", "-p", config],
            ),
        ] {
            self.fault(fault, &named, |scene| drop(scene.kubectl(&words)), Self::orders_as_planned);
        }
    }

    pub(super) fn pods(&mut self) {
        self.fault(
            "container out of memory",
            &Named::orders("DP0802", "took more memory than 250Mi and was killed (OOMKilled)"),
            |scene| {
                Arrangement::Native.fall(&scene.bed, Fault::OutOfMemory, "orders");
            },
            Self::new_pod,
        );
        self.fault(
            "quota that forbids the pod",
            &Named::orders("DP0801", "exceeded quota: small"),
            |scene| {
                scene.kubectl(&["create", "quota", "small", "--hard=pods=1"]);
                scene.new_pod();
            },
            |scene| {
                scene.kubectl(&["delete", "quota", "small"]);
                // Its controller would try again later and later.
                scene.kubectl(&["rollout", "restart", NATIVE]);
            },
        );
        let password = |password: Value| json!({ "data": { "postgres-password": password } });
        // "wrong" and "a", as Secrets hold them.
        let right = password("YQ==".into());
        for (fault, data, words) in [
            (
                "wrong password in the Secret, and a new pod",
                password("d3Jvbmc=".into()),
                "password authentication failed",
            ),
            (
                "key missing in the Secret, and a new pod",
                password(Value::Null),
                "non-existent secret key: postgres-password",
            ),
        ] {
            self.fault(
                fault,
                &Named::orders("DP0801", words),
                |scene| {
                    scene.patch_secret(&data);
                    scene.new_pod();
                },
                |scene| {
                    scene.patch_secret(&right);
                    scene.new_pod();
                },
            );
        }
        let jvm = "kafka-connect-order-items";
        self.fault(
            "JVM that hangs",
            // It is silent as long as its Service leads to it, and then nobody is there.
            &Named::of(&["order_items"], "DP0801", "its readiness probe fails").so("DP0101", ""),
            |scene| signal(&scene.bed, jvm, Signal::STOP),
            |scene| signal(&scene.bed, jvm, Signal::CONT),
        );
    }

    pub(super) fn network(&mut self) {
        let service = "kafka-connect-orders";
        let selector = r#"{"spec":{"selector":{"app":"nobody"}}}"#;
        for (fault, words, hand) in [
            (
                "Service that leads elsewhere",
                "spec.selector.app is \"nobody\"",
                vec!["patch", "service", service, "-p", selector],
            ),
            ("Service deleted", "Service kafka-connect-orders: it is missing", vec!["delete", "service", service]),
        ] {
            self.fault(
                fault,
                &Named::orders("DP0806", words).so("DP0101", "8085"),
                |scene| drop(scene.kubectl(&hand)),
                Self::orders_as_planned,
            );
        }
        // The one as it shows from outside, the other as a pod with the worker's labels finds it.
        for (fault, port, inside, so) in [
            ("edge from a worker to Kafka cut", 9092, false, ("DP0406", "nobody is in")),
            ("edge from a worker to S3 cut", 9000, true, ("DP0904", "s3:9000")),
        ] {
            let policy = Named::orders("DP0807", "NetworkPolicy kafka-connect-orders: spec.egress").so(so.0, so.1);
            self.fault(fault, &Named { inside, ..policy }, |scene| scene.cut(port), |scene| scene.as_planned(POLICIES));
        }
    }

    /// Takes a server out of the native worker's policy, and a row in. What is connected stays so until the node forgets its
    /// connections.
    fn cut(&self, port: u16) {
        let policy = self.bed.json(&["get", "networkpolicy", "kafka-connect-orders"]);
        let mut edges = policy["spec"]["egress"].as_array().unwrap().clone();
        let before = edges.len();
        edges.retain(|edge| edge["ports"][0]["port"] != port);
        assert_eq!(edges.len() + 1, before, "{policy}");
        let patch = json!({ "spec": { "egress": edges } }).to_string();
        self.kubectl(&["patch", "networkpolicy", "kafka-connect-orders", "--type=merge", "-p", &patch]);
        let pods = self.bed.pods("kafka-connect-orders");
        let address = pods[0]["status"]["podIP"].as_str().unwrap();
        let forget = ["inside", "conntrack", "-D", "-p", "tcp", "--orig-src", address, "--orig-port-dst"];
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/k8s");
        // The policies' controller takes a moment, and there may be no connection.
        for _ in 0..2 {
            sleep(Duration::from_secs(1));
            self.bed.command(&script).args(forget).arg(port.to_string()).output().unwrap();
        }
        self.bed.tool(&["sql", "INSERT INTO orders (user_id, status) VALUES (1, 'new')"]);
    }
}
