//! Judging a worker as a cluster has it, and what follows from that.
#![allow(clippy::unwrap_used)]

mod recorded;

use datapipe_checks::judge::judge_pods;
use datapipe_checks::{DeployedSeen, DriftSeen, Finding, Looked, Outcome, PodSeen};
use serde_json::json;

use recorded::deployed::{cases, hurt_deployed, killed, pod, well};
use recorded::{NOW_MS, plan};

/// The first two codes' outcomes: whether the pod is ready, and whether it was killed.
fn outcomes(seen: &Looked<DeployedSeen>) -> [Outcome; 2] {
    let findings = judge_pods(&plan().tables[0], seen, NOW_MS);
    assert_eq!(findings.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), CODES);
    [findings[0].outcome, findings[1].outcome]
}

const CODES: [&str; 5] = ["DP0801", "DP0802", "DP0805", "DP0806", "DP0807"];

fn of(pods: Vec<PodSeen>) -> Looked<DeployedSeen> {
    Looked::Seen(DeployedSeen { pods, ..well() })
}

#[test]
fn pods_are_told_in_words() {
    use Outcome::{Failed, Ok, Skipped, Warning};
    let starting = PodSeen { not_ready: Some("datapipe is starting".to_owned()), ..pod() };
    assert_eq!(outcomes(&of(vec![pod()])), [Ok, Ok]);
    assert_eq!(outcomes(&of(vec![killed(1), pod()])), [Ok, Warning]);
    assert_eq!(outcomes(&of(vec![killed(48)])), [Ok, Ok]);
    assert_eq!(outcomes(&of(vec![starting])), [Failed, Ok]);
    assert_eq!(outcomes(&of(Vec::new())), [Failed, Skipped]);
    assert_eq!(outcomes(&Looked::Silent("no route".to_owned())), [Failed, Skipped]);
    assert_eq!(outcomes(&Looked::Left("no --pods".to_owned())), [Skipped, Skipped]);
    let findings = judge_pods(&plan().tables[0], &of(vec![killed(1)]), NOW_MS);
    assert_eq!(
        findings[1].seen,
        "datapipe took more memory than 250Mi and was killed (OOMKilled), 60 min ago; 3 restarts; limits: datapipe 250Mi"
    );
}

/// Code and causes of what is wrong, in order.
fn causes(findings: &[Finding]) -> Vec<(&str, Vec<&str>)> {
    let wrong = findings.iter().filter(|finding| finding.outcome >= Outcome::Warning);
    wrong.map(|it| (it.code.as_str(), it.caused_by.iter().map(String::as_str).collect())).collect()
}

#[test]
fn each_fault_on_a_cluster_has_one_root() {
    let plan = plan();
    let pipeline = &plan.tables[0];
    for (name, changes, seen) in cases() {
        let findings = hurt_deployed(pipeline, changes, seen);
        let causes = causes(&findings);
        let roots = causes.iter().filter(|(_, causes)| causes.is_empty()).count();
        assert_eq!(roots, 1, "{name}: {causes:?}");
        assert!(causes[0].1.is_empty(), "the root comes first: {name}: {causes:?}");
    }
}

#[test]
fn a_pod_that_waits_follows_from_the_server_that_is_away_and_a_broken_one_does_not() {
    let plan = plan();
    let pipeline = &plan.tables[0];
    let away = || vec![("/kafka".to_owned(), json!({ "silent": "connection refused" }))];
    let unready = |waits| {
        let pods = vec![PodSeen { not_ready: Some("x".to_owned()), waits, ..pod() }];
        DeployedSeen { pods, ..well() }
    };
    let findings = hurt_deployed(pipeline, away(), unready(true));
    assert_eq!(causes(&findings), [("DP0401", vec![]), ("DP0801", vec!["DP0401"])]);
    let findings = hurt_deployed(pipeline, away(), unready(false));
    assert_eq!(causes(&findings), [("DP0401", vec![]), ("DP0801", vec![])]);
    // Where all servers are well, it waits for something else.
    let findings = hurt_deployed(pipeline, Vec::new(), unready(true));
    assert_eq!(causes(&findings), [("DP0801", vec![])]);
}

#[test]
fn a_connector_that_a_person_holds_does_not_follow_from_a_policy() {
    let plan = plan();
    let pipeline = &plan.tables[0];
    let paused = format!("/worker/seen/connectors/{}/status/connector/state", pipeline.connectors[0].name);
    let policy = DriftSeen { object: "NetworkPolicy kafka".to_owned(), fields: "it is missing".to_owned() };
    let seen = DeployedSeen { drift: Looked::Seen(vec![policy]), ..well() };
    let findings = hurt_deployed(pipeline, vec![(paused, json!("PAUSED"))], seen);
    assert_eq!(causes(&findings), [("DP0202", vec![]), ("DP0807", vec![])]);
}

#[test]
fn what_could_not_be_compared_is_skipped_with_the_reason() {
    let left = || "it is forbidden".to_owned();
    let seen = DeployedSeen { astray: Looked::Left(left()), drift: Looked::Left(left()), ..well() };
    let findings = judge_pods(&plan().tables[0], &Looked::Seen(seen), NOW_MS);
    for finding in &findings[2..] {
        assert_eq!((finding.outcome, &finding.seen), (Outcome::Skipped, &left()));
    }
}
