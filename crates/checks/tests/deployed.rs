//! Judging a worker as a cluster has it, and what follows from that.
#![allow(clippy::unwrap_used)]

mod recorded;

use datapipe_checks::judge::judge_pods;
use datapipe_checks::{
    CollectionSeen, DeployedSeen, DriftSeen, Finding, HeapSeen, Looked, Outcome, PodSeen, UsageSeen,
};
use serde_json::json;

use recorded::deployed::{cases, full_heap, hurt_deployed, killed, near_its_limit, pod, well};
use recorded::{NOW_MS, plan};

/// The first two codes' outcomes: whether the pod is ready, and whether it was killed.
fn outcomes(seen: &Looked<DeployedSeen>) -> [Outcome; 2] {
    let findings = judge_pods(&plan().tables[0], seen, NOW_MS);
    assert_eq!(findings.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), CODES);
    [findings[0].outcome, findings[1].outcome]
}

const CODES: [&str; 7] = ["DP0801", "DP0802", "DP0805", "DP0806", "DP0807", "DP0808", "DP0809"];

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
    for finding in &findings[2..5] {
        assert_eq!((finding.outcome, &finding.seen), (Outcome::Skipped, &left()));
    }
}

/// How a heap is judged, and in which words.
fn of_heap(heap: Looked<HeapSeen>) -> (Outcome, String) {
    let findings = judge_pods(&plan().tables[0], &of(vec![PodSeen { heap: Some(heap), ..pod() }]), NOW_MS);
    let found = findings.into_iter().find(|finding| finding.code == "DP0808").unwrap();
    (found.outcome, found.seen)
}

/// Collections a second apart from the 100th second on, each a pause of so many milliseconds: whether of the whole heap, and
/// the MiB that it left.
fn heap(pause_ms: u64, collections: &[(bool, u64)]) -> Looked<HeapSeen> {
    let one = |(at, (full, left_mib)): (u64, &(bool, u64))| CollectionSeen {
        at_ms: 100_000 + 1000 * at,
        full: *full,
        left_bytes: left_mib << 20,
        pause_us: 1000 * pause_ms,
    };
    let collections = (0..).zip(collections).map(one).collect();
    Looked::Seen(HeapSeen { max_bytes: Some(72 << 20), collections })
}

#[test]
fn a_heap_is_full_if_collections_of_all_of_it_leave_it_so() {
    let (outcome, words) = of_heap(full_heap());
    assert_eq!(outcome, Outcome::Warning);
    let expected =
        "64.0 MiB of 72.0 MiB heap in use: the least that the last 4 collections left, 4 of them of the whole heap";
    assert_eq!(words, expected);
    let one = |left| (true, left);
    assert_eq!(of_heap(heap(5, &[one(61), one(66), one(66)])).0, Outcome::Ok, "61 MiB are 84 %");
    assert_eq!(of_heap(heap(5, &[one(62), one(66), one(66)])).0, Outcome::Warning);
    assert_eq!(of_heap(heap(5, &[one(66), one(66), (false, 70)])).0, Outcome::Ok, "twice is a queue that is full");
    assert_eq!(
        of_heap(heap(5, &[(false, 66), (false, 66), (false, 66), (false, 66)])).0,
        Outcome::Ok,
        "garbage counts"
    );
    // The last ten count, and not what was before.
    let ten = |first: (bool, u64)| [&[first][..], &[one(66); 9]].concat();
    assert_eq!(of_heap(heap(5, &ten(one(20)))).0, Outcome::Ok);
    assert_eq!(of_heap(heap(5, &[&ten(one(20))[..], &[one(66)]].concat())).0, Outcome::Warning);
}

#[test]
fn pauses_are_judged_over_a_minute_at_least_and_without_the_start() {
    let young = vec![(false, 30); 61];
    let (outcome, words) = of_heap(heap(501, &young));
    assert_eq!(outcome, Outcome::Warning);
    assert!(words.ends_with("; 50.1 % of 60 s spent in them"), "{words}");
    assert_eq!(of_heap(heap(500, &young)).0, Outcome::Ok);
    let (outcome, words) = of_heap(heap(900, &young[1..]));
    assert_eq!(outcome, Outcome::Ok);
    assert!(words.ends_with("of the whole heap"), "59 s say nothing yet: {words}");
    let Looked::Seen(mut seen) = heap(900, &young) else { unreachable!() };
    seen.collections.iter_mut().for_each(|one| one.at_ms -= 41_000);
    assert_eq!(of_heap(Looked::Seen(seen)).0, Outcome::Ok, "one of them was within the first minute");
}

#[test]
fn a_heap_that_nothing_tells_of_is_skipped_with_the_reason() {
    let skipped = |heap| {
        let (outcome, words) = of_heap(heap);
        assert_eq!(outcome, Outcome::Skipped);
        words
    };
    assert_eq!(skipped(Looked::Left("it is forbidden".to_owned())), "it is forbidden");
    assert!(skipped(heap(1, &[])).contains("-Xlog:gc"));
    let unnamed = HeapSeen { max_bytes: None, ..HeapSeen::default() };
    assert!(skipped(Looked::Seen(unnamed)).contains("-Xmx"));
    let seen = |pods| judge_pods(&plan().tables[0], &of(pods), NOW_MS)[5].seen.clone();
    assert_eq!(seen(vec![pod()]), "no JVM runs in its pod");
    assert_eq!(seen(Vec::new()), "there is no pod");
}

/// How memory is judged beside limits, and in which words.
fn of_usage(usage: Option<Looked<Vec<UsageSeen>>>) -> (Outcome, String) {
    let findings = judge_pods(&plan().tables[0], &of(vec![PodSeen { usage, ..pod() }]), NOW_MS);
    let found = findings.into_iter().find(|finding| finding.code == "DP0809").unwrap();
    (found.outcome, found.seen)
}

#[test]
fn memory_is_judged_beside_each_container_s_own_limit() {
    let (outcome, words) = of_usage(near_its_limit(pod()).usage);
    assert_eq!(outcome, Outcome::Warning);
    assert_eq!(words, "datapipe takes 14.0 MiB of 54.0 MiB, 25 %; kafka-connect takes 191.0 MiB of 196.0 MiB, 97 %");
    let one = |used_mib: u64, limit_mib: Option<u64>| {
        let limit_bytes = limit_mib.map(|mib| mib << 20);
        of_usage(Some(Looked::Seen(vec![UsageSeen {
            container: "a".to_owned(),
            used_bytes: used_mib << 20,
            limit_bytes,
        }])))
    };
    assert_eq!(one(220, Some(250)).0, Outcome::Ok, "a JVM with a sink, under load");
    assert_eq!(one(237, Some(250)).0, Outcome::Ok);
    assert_eq!(one(238, Some(250)).0, Outcome::Warning);
    assert_eq!(one(900, None), (Outcome::Ok, "a takes 900.0 MiB, without a limit".to_owned()));
    assert_eq!(one(1, Some(0)).0, Outcome::Warning);
    assert_eq!(of_usage(Some(Looked::Left("no metrics".to_owned()))), (Outcome::Skipped, "no metrics".to_owned()));
    assert_eq!(of_usage(None).0, Outcome::Skipped);
    assert_eq!(of_usage(Some(Looked::Seen(Vec::new()))).0, Outcome::Skipped);
}
