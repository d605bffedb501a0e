//! A worker on a cluster. Each of these was seen on a real one: `tests/e2e/tests/deployment/roots` makes them.

use datapipe_checks::judge::{fold, judge, judge_pods};
use datapipe_checks::{CollectionSeen, DeployedSeen, DriftSeen, Finding, HeapSeen, Looked, PodSeen, Seen, UsageSeen};
use datapipe_core::plan::PipelinePlan;
use serde_json::{Value, json};

use super::{Change, NOW_MS, change, healthy_but};

/// A fault: what of the healthy pipeline it changes, and of the worker in the cluster.
pub(crate) type Case = (&'static str, Vec<Change>, DeployedSeen);

const POD: &str = "kafka-connect-users-5f-x";

/// A pod that is well.
pub(crate) fn pod() -> PodSeen {
    PodSeen { name: POD.to_owned(), limits: vec!["datapipe 250Mi".to_owned()], ..PodSeen::default() }
}

/// One that was killed some hours ago, and is ready again.
pub(crate) fn killed(hours: i64) -> PodSeen {
    PodSeen {
        restarts: 3,
        ended: Some("datapipe took more memory than 250Mi and was killed (OOMKilled)".to_owned()),
        ended_ms: Some(NOW_MS - hours * 3_600_000),
        ..pod()
    }
}

/// A worker that is well.
pub(crate) fn well() -> DeployedSeen {
    DeployedSeen { pods: vec![pod()], unmade: None, astray: Looked::Seen(None), drift: Looked::Seen(Vec::new()) }
}

fn unready(why: &str, waits: bool) -> DeployedSeen {
    DeployedSeen { pods: vec![PodSeen { not_ready: Some(why.to_owned()), waits, ..pod() }], ..well() }
}

fn none(why: &str) -> DeployedSeen {
    DeployedSeen { pods: Vec::new(), unmade: Some(why.to_owned()), ..well() }
}

fn drifted(object: &str, fields: &str, seen: DeployedSeen) -> DeployedSeen {
    let drift = vec![DriftSeen { object: object.to_owned(), fields: fields.to_owned() }];
    DeployedSeen { drift: Looked::Seen(drift), ..seen }
}

fn away() -> Vec<Change> {
    vec![change("/worker", json!({ "silent": "connection refused" }))]
}

/// The worker is away, and nobody holds its slot.
fn gone() -> Vec<Change> {
    let nobody = json!({ "state": "Empty", "protocol": "consumer", "members": [] });
    [away(), vec![change("/postgres/seen/slot/active_pid", Value::Null), change("/kafka/seen/group", nobody)]].concat()
}

/// Every worker on a cluster that is hurt.
pub(crate) fn cases() -> Vec<Case> {
    [of_pods(), changed_by_hand(), of_network()].concat()
}

fn of_pods() -> Vec<Case> {
    let probe = "kafka-connect runs, and its readiness probe fails";
    let ended = "datapipe ended with code 69 (a server that it needs is missing or not ready), and was started again 2 times: \
                 error: the pipelines cannot start; nothing was changed PostgreSQL: connecting failed: password \
                 authentication failed for user \"cdc\"";
    let quota = "pods \"kafka-connect-users-5f-y\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=9, limited: pods=1";
    let secret = "datapipe: ContainerCreating: MountVolume.SetUp failed for volume \"credentials\" : references non-existent \
                  secret key: postgres-password";
    let crashed = PodSeen {
        restarts: 2,
        ended: Some(ended.to_owned()),
        ended_ms: Some(NOW_MS - 5000),
        not_ready: Some(ended.to_owned()),
        waits: true,
        ..pod()
    };
    vec![
        ("container out of memory", Vec::new(), DeployedSeen { pods: vec![killed(1)], ..well() }),
        ("quota that forbids the pod", gone(), none(quota)),
        ("wrong password in the Secret, and a new pod", gone(), DeployedSeen { pods: vec![crashed], ..well() }),
        ("key missing in the Secret, and a new pod", gone(), unready(secret, false)),
        ("JVM that hangs", away(), unready(probe, true)),
        (
            "JVM with a heap that is nearly full",
            Vec::new(),
            DeployedSeen { pods: vec![PodSeen { heap: Some(full_heap()), ..pod() }], ..well() },
        ),
        ("container near its memory limit", Vec::new(), DeployedSeen { pods: vec![near_its_limit(pod())], ..well() }),
        (
            "container near its memory limit, and killed before",
            Vec::new(),
            DeployedSeen { pods: vec![near_its_limit(killed(1))], ..well() },
        ),
    ]
}

/// A hybrid's containers, one of which takes 97 % of what it may.
pub(crate) fn near_its_limit(pod: PodSeen) -> PodSeen {
    let one = |container: &str, used_mib: u64, limit_mib: u64| UsageSeen {
        container: container.to_owned(),
        used_bytes: used_mib << 20,
        limit_bytes: Some(limit_mib << 20),
    };
    PodSeen { usage: Some(Looked::Seen(vec![one("datapipe", 14, 54), one("kafka-connect", 191, 196)])), ..pod }
}

/// The heap of a JVM that collects all of it over and over, and gets nothing.
pub(crate) fn full_heap() -> Looked<HeapSeen> {
    let full =
        |at_ms, left_mib: u64| CollectionSeen { at_ms, full: true, left_bytes: left_mib << 20, pause_us: 90_000 };
    let collections = vec![full(700_000, 65), full(701_100, 64), full(701_900, 66), full(703_000, 65)];
    Looked::Seen(HeapSeen { max_bytes: Some(72 << 20), collections })
}

fn changed_by_hand() -> Vec<Case> {
    let template = "spec.template.spec.containers[0]";
    let by_hand = |fields: &str, seen| drifted("Deployment kafka-connect-users", fields, seen);
    let crash = "datapipe ended with code 64, and was started again 2 times: error: unrecognized subcommand 'strat'";
    let image = "datapipe: image localhost/nowhere:1 cannot be had: Back-off pulling image \"localhost/nowhere:1\"";
    let room = "no node takes it: 0/1 nodes are available: 1 Insufficient memory.";
    vec![
        (
            "wrong argument",
            gone(),
            by_hand(&format!("{template}.command[1] is \"strat\", planned \"start\""), unready(crash, false)),
        ),
        (
            "image that is not there",
            gone(),
            by_hand(
                &format!("{template}.image is \"localhost/nowhere:1\", planned \"datapipe-run:0.1.0\""),
                unready(image, false),
            ),
        ),
        (
            "more memory asked for than a node has",
            gone(),
            by_hand(&format!("{template}.resources.limits.memory is \"1Ti\", planned \"250Mi\""), unready(room, false)),
        ),
        (
            "Deployment scaled to 0",
            gone(),
            by_hand("spec.replicas is 0, planned 1", none("its Deployment is scaled to 0")),
        ),
        (
            "memory limit lowered",
            Vec::new(),
            by_hand(&format!("{template}.resources.limits.memory is \"200Mi\", planned \"250Mi\""), well()),
        ),
        (
            "ConfigMap changed",
            Vec::new(),
            drifted("ConfigMap kafka-connect-users", "data.datapipe.toml is not as planned", well()),
        ),
    ]
}

fn of_network() -> Vec<Case> {
    let astray = |why: &str| DeployedSeen { astray: Looked::Seen(Some(why.to_owned())), ..well() };
    let elsewhere = astray("it leads to pods with app=nobody, and none of the worker's is one");
    let selector = "spec.selector.app is \"nobody\", planned \"kafka-connect-users\"";
    let cut = || drifted("NetworkPolicy kafka-connect-users", "spec.egress is not as planned", well());
    let nobody = json!({ "state": "Empty", "protocol": "consumer", "members": [] });
    vec![
        ("Service that leads elsewhere", away(), drifted("Service kafka-connect-users", selector, elsewhere)),
        (
            "Service deleted",
            away(),
            drifted("Service kafka-connect-users", "it is missing", astray("there is no such Service")),
        ),
        (
            "edge from a worker to Kafka cut",
            vec![change("/postgres/seen/slot/active_pid", Value::Null), change("/kafka/seen/group", nobody)],
            cut(),
        ),
        (
            "edge from a worker to S3 cut",
            vec![
                change("/edges/seen/edges/3/way", json!("refused")),
                change("/store", json!({ "silent": "no answer within 10 s" })),
            ],
            cut(),
        ),
    ]
}

/// What is found where the healthy pipeline and its worker in the cluster are hurt.
pub(crate) fn hurt_deployed(pipeline: &PipelinePlan, changes: Vec<Change>, seen: DeployedSeen) -> Vec<Finding> {
    let pipeline_seen: Seen = serde_json::from_value(healthy_but(pipeline, changes)).unwrap();
    let mut findings = judge(pipeline, &pipeline_seen, NOW_MS);
    findings.extend(judge_pods(pipeline, &Looked::Seen(seen), NOW_MS));
    fold(findings)
}
