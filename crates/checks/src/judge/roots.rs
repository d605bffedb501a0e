//! Which findings follow from others. What follows is still told, below what it follows from.

use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;
use datapipe_core::table::WorkerKind;

use super::connector::trouble;
use super::worker::is_failing;
use crate::finding::{Finding, Outcome};
use crate::seen::{Looked, Seen};

/// What keeps a source from running.
const OF_SOURCE: &[&str] = &[
    "DP0301", "DP0401", "DP0302", "DP0311", "DP0303", "DP0305", "DP0405", "DP0306", "DP0307", "DP0309", "DP0402",
    "DP0204", "DP0407", "DP0902", "DP0903",
];
/// What keeps a sink from running.
const OF_SINK: &[&str] = &["DP0501", "DP0401", "DP0505", "DP0504", "DP0402", "DP0204", "DP0407", "DP0904", "DP0903"];

/// A finding, and what it may follow from; the first that is there counts. DP0202 has only what both of its connectors may
/// follow from, and only where it has failed.
const RULES: &[(&str, &[&str])] = &[
    ("DP0101", &["DP0801", "DP0805", "DP0905"]),
    ("DP0102", &["DP0401", "DP0903", "DP0807"]),
    ("DP0202", &["DP0807"]),
    ("DP0301", &["DP0902"]),
    ("DP0303", &["DP0311"]),
    ("DP0304", &["DP0101", "DP0201", "DP0202", "DP0102", "DP0807"]),
    ("DP0305", &["DP0304"]),
    ("DP0401", &["DP0903"]),
    ("DP0403", &["DP0101", "DP0201", "DP0202", "DP0407", "DP0501", "DP0807"]),
    ("DP0405", &["DP0311"]),
    ("DP0406", &["DP0101", "DP0102", "DP0807"]),
    ("DP0408", &["DP0403"]),
    ("DP0501", &["DP0904"]),
    ("DP0701", &["DP0301", "DP0401", "DP0101", "DP0201", "DP0202", "DP0304", "DP0407"]),
    ("DP0702", &["DP0501", "DP0202", "DP0407"]),
    ("DP0502", &["DP0403", "DP0101", "DP0202", "DP0407", "DP0807"]),
    (
        "DP0601",
        &[
            "DP0306", "DP0405", "DP0311", "DP0305", "DP0303", "DP0404", "DP0301", "DP0401", "DP0501", "DP0101",
            "DP0201", "DP0202", "DP0403",
        ],
    ),
    // A worker whose servers are out of reach ends, or is never ready.
    ("DP0801", &["DP0902", "DP0903", "DP0904", "DP0806"]),
    ("DP0802", &["DP0801", "DP0806"]),
    (
        "DP0804",
        &[
            "DP0901", "DP0902", "DP0903", "DP0904", "DP0301", "DP0401", "DP0501", "DP0302", "DP0306", "DP0307",
            "DP0308", "DP0309", "DP0402", "DP0505",
        ],
    ),
    ("DP0805", &["DP0806"]),
    ("DP0808", &["DP0806"]),
    ("DP0809", &["DP0806", "DP0103"]),
    ("DP0901", &["DP0807"]),
    ("DP0902", &["DP0901", "DP0807"]),
    ("DP0903", &["DP0901", "DP0807"]),
    ("DP0904", &["DP0901", "DP0807"]),
    ("DP0905", &["DP0805", "DP0806", "DP0807"]),
];

/// Warnings that failures may follow from: a dead letter is missing in S3, and what was changed by hand keeps a pod from
/// being ready.
const WARNINGS_THAT_CAUSE: &[&str] = &["DP0404", "DP0806", "DP0807"];

/// Follows from others while it is a warning. Once it has failed (a slot is lost), what it came from can be mended and it
/// stays.
const FINAL: &[&str] = &["DP0305"];

/// What a table that was never started lacks.
const MADE_BY_A_START: &[&str] = &["DP0303", "DP0306", "DP0402"];

fn is_wrong(finding: &Finding) -> bool {
    finding.outcome >= Outcome::Warning
}

/// The first of these codes with a finding that may be the cause of one with this outcome.
fn cause(findings: &[Finding], codes: &[&str], outcome: Outcome) -> Option<String> {
    let warns = |finding: &Finding| is_wrong(finding) && WARNINGS_THAT_CAUSE.contains(&finding.code.as_str());
    let counts = |finding: &&Finding| finding.outcome >= outcome || warns(finding);
    codes.iter().find_map(|code| {
        findings.iter().filter(counts).find(|finding| finding.code == *code).map(|finding| finding.code.clone())
    })
}

/// Says of each finding which others it follows from.
pub(super) fn traced(mut findings: Vec<Finding>, pipeline: &PipelinePlan, seen: &Seen) -> Vec<Finding> {
    let never = never_started(seen);
    let mut causes = Vec::new();
    for (at, finding) in findings.iter().enumerate().filter(|(_, finding)| is_wrong(finding)) {
        let code = finding.code.as_str();
        let found = match code {
            "DP0202" => of_connectors(&findings, pipeline, seen, finding.outcome),
            "DP0103" => of_runs(&findings, pipeline, seen),
            _ if never && MADE_BY_A_START.contains(&code) => {
                cause(&findings, &["DP0101", "DP0201"], finding.outcome).into_iter().collect()
            }
            _ => Vec::new(),
        };
        causes.push((at, found));
    }
    for (at, found) in causes {
        findings[at].caused_by = found;
    }
    findings
}

/// No slot, nothing stored.
fn never_started(seen: &Seen) -> bool {
    let no_slot = matches!(&seen.postgres, Looked::Seen(server) if server.slot.is_none());
    let nothing_stored = matches!(&seen.kafka, Looked::Seen(cluster) if cluster.stored.is_none());
    no_slot && nothing_stored
}

/// What runs that fail again and again follow from: a task that has failed, or what would keep one from running.
fn of_runs(findings: &[Finding], pipeline: &PipelinePlan, seen: &Seen) -> Vec<String> {
    let fails = matches!(&seen.worker, Looked::Seen(worker) if is_failing(pipeline, worker));
    let codes = [&["DP0202"], OF_SOURCE, OF_SINK].concat();
    let found = fails.then(|| cause(findings, &codes, Outcome::Failed));
    found.flatten().into_iter().collect()
}

/// What all connectors that do not run follow from; nothing if one of them has no known cause.
fn of_connectors(findings: &[Finding], pipeline: &PipelinePlan, seen: &Seen, outcome: Outcome) -> Vec<String> {
    let (Looked::Seen(worker), Outcome::Failed) = (&seen.worker, outcome) else { return Vec::new() };
    let is_down = |role: Role| {
        let live = pipeline.connector(role).and_then(|planned| worker.connectors.get(&planned.name));
        live.and_then(|live| live.status.as_ref()).is_some_and(|status| trouble(status).is_some())
    };
    let mut causes = Vec::new();
    for (role, codes) in [(Role::Source, OF_SOURCE), (Role::Sink, OF_SINK)] {
        if is_down(role) {
            // A hybrid answers, and says of itself that the other worker, which runs the source, does not.
            let half = pipeline.worker.kind == WorkerKind::Hybrid && role == Role::Source;
            let of_half: &[&str] = if half { &["DP0102"] } else { &[] };
            let found = cause(findings, codes, outcome).or_else(|| cause(findings, of_half, outcome));
            let Some(cause) = found else { return Vec::new() };
            causes.push(cause);
        }
    }
    causes.dedup();
    causes
}

/// Puts each finding that follows from others right behind the first of them; everything else stays in the order of its
/// code. To be called once all findings of a table are there.
pub fn fold(mut findings: Vec<Finding>) -> Vec<Finding> {
    // What may have caused it, and is well, has not.
    let wrong: Vec<String> = findings.iter().filter(|it| is_wrong(it)).map(|it| it.code.clone()).collect();
    for finding in &mut findings {
        finding.caused_by.retain(|code| wrong.contains(code));
    }
    for at in 0..findings.len() {
        let Finding { code, outcome, caused_by, .. } = &findings[at];
        let is_final = *outcome == Outcome::Failed && FINAL.contains(&code.as_str());
        // A connector that a person holds is held by nothing else.
        let is_held = *outcome == Outcome::Warning && code == "DP0202";
        if *outcome < Outcome::Warning || !caused_by.is_empty() || is_final || is_held {
            continue;
        }
        let rule = RULES.iter().find(|(consequence, _)| consequence == code);
        let found = rule.and_then(|(_, codes)| cause(&findings, codes, *outcome));
        findings[at].caused_by.extend(found);
    }
    let mut folded = Vec::with_capacity(findings.len());
    let (roots, mut rest): (Vec<Finding>, Vec<Finding>) =
        findings.into_iter().partition(|finding| finding.caused_by.is_empty());
    for root in roots {
        let mut open = vec![root];
        while let Some(finding) = open.pop() {
            let own: Vec<Finding>;
            (own, rest) = rest
                .into_iter()
                .partition(|other| other.table == finding.table && other.caused_by.first() == Some(&finding.code));
            open.extend(own.into_iter().rev());
            folded.push(finding);
        }
    }
    // Nothing is left but what would follow from itself.
    folded.extend(rest);
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &str, outcome: Outcome) -> Finding {
        let text = || String::from("x");
        Finding { code: code.to_owned(), table: text(), outcome, seen: text(), next: None, caused_by: Vec::new() }
    }

    #[test]
    fn what_follows_comes_behind_its_root() {
        let findings = [
            ("DP0101", Outcome::Failed),
            ("DP0301", Outcome::Ok),
            ("DP0304", Outcome::Failed),
            ("DP0305", Outcome::Warning),
            ("DP0310", Outcome::Warning),
            ("DP0403", Outcome::Warning),
            ("DP0502", Outcome::Warning),
        ];
        let folded = fold(findings.map(|(code, outcome)| finding(code, outcome)).into());
        let told: Vec<_> =
            folded.iter().map(|it| (it.code.as_str(), it.caused_by.first().map_or("", String::as_str))).collect();
        let expected = [
            ("DP0101", ""),
            ("DP0304", "DP0101"),
            ("DP0305", "DP0304"),
            ("DP0403", "DP0101"),
            ("DP0502", "DP0403"),
            ("DP0301", ""),
            ("DP0310", ""),
        ];
        assert_eq!(told, expected);
        assert_eq!(fold(folded.clone()), folded, "it stays so");
    }

    #[test]
    fn a_warning_is_no_cause_of_a_failure_but_for_a_dead_letter() {
        let folded = fold(vec![finding("DP0403", Outcome::Warning), finding("DP0601", Outcome::Failed)]);
        assert!(folded[1].caused_by.is_empty(), "{folded:?}");
        let folded = fold(vec![finding("DP0404", Outcome::Warning), finding("DP0601", Outcome::Failed)]);
        assert_eq!(folded[1].caused_by, ["DP0404"]);
    }

    #[test]
    fn rules_lead_nowhere_in_a_circle_and_name_checks() {
        let known = |code: &&str| crate::CHECKS.iter().any(|check| check.code == *code);
        for (consequence, causes) in RULES {
            assert!(known(consequence) && causes.iter().all(known), "{consequence}");
        }
        // All rules at once: nothing is lost, and every finding has a root.
        let all = crate::CHECKS.iter().map(|check| finding(check.code, Outcome::Failed)).collect::<Vec<_>>();
        let folded = fold(all.clone());
        assert_eq!(folded.len(), all.len());
        for finding in &folded {
            let mut code = finding.code.clone();
            for _ in 0..10 {
                let Some(cause) = folded.iter().find(|it| it.code == code).and_then(|it| it.caused_by.first()) else {
                    break;
                };
                code.clone_from(cause);
            }
            assert!(folded.iter().any(|it| it.code == code && it.caused_by.is_empty()), "{}", finding.code);
        }
    }
}
