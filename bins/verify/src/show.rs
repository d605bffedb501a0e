//! Findings in words, or for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use datapipe_checks::{CHECKS, Check, Finding, Outcome};

use crate::cli::Output;

pub(crate) fn text(findings: &[Finding], output: Output) -> String {
    match output {
        Output::Table => table(findings),
        Output::Short => short(findings),
        Output::Json => serde_json::to_string_pretty(findings).unwrap_or_default() + "\n",
        Output::Junit => junit(findings),
    }
}

fn check(code: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.code == code)
}

pub(crate) fn title(code: &str) -> &'static str {
    check(code).map_or("", |check| check.title)
}

fn table(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["table", "code", "check", "outcome", "seen"]);
    for Finding { code, table: name, outcome, seen, caused_by, .. } in findings {
        if *outcome != Outcome::Skipped {
            // What follows from another finding stands behind it.
            let shown = if caused_by.is_empty() { code.clone() } else { format!("> {code}") };
            table.add_row([name, &shown, title(code), outcome.word(), seen]);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    let mut text = lines.collect::<Vec<_>>().join("\n") + "\n\n";
    text.push_str(&skipped(findings));
    text.push_str(&wrong(findings));
    text.push_str(&sum(findings));
    text
}

/// What was not looked at, by the reason.
fn skipped(findings: &[Finding]) -> String {
    let mut reasons: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.outcome == Outcome::Skipped) {
        reasons.entry(&finding.seen).or_default().insert(&finding.code);
    }
    let line = |(reason, codes): (&str, BTreeSet<&str>)| {
        let codes: Vec<&str> = codes.into_iter().collect();
        format!("skipped: {}: {reason}\n", codes.join(", "))
    };
    reasons.into_iter().map(line).collect()
}

fn short(findings: &[Finding]) -> String {
    wrong(findings) + &sum(findings)
}

/// A finding that stands for itself, and what follows from it.
struct Told<'a> {
    tables: Vec<&'a str>,
    root: &'a Finding,
    follows: Vec<&'a Finding>,
}

/// What is wrong, by its root. One that is the same for several tables, as a server that is away, is told once.
fn roots(findings: &[Finding]) -> Vec<Told<'_>> {
    let mut all: Vec<Told<'_>> = Vec::new();
    let mut last = None;
    for finding in findings.iter().filter(|finding| finding.outcome >= Outcome::Warning) {
        if let (false, Some(last)) = (finding.caused_by.is_empty(), last) {
            let told: &mut Told<'_> = &mut all[last];
            told.follows.push(finding);
            continue;
        }
        let Finding { code, table, outcome, seen, next, .. } = finding;
        let same = |told: &Told<'_>| {
            let root = told.root;
            (&root.code, root.outcome, &root.seen, &root.next) == (code, *outcome, seen, next)
        };
        let at = all.iter().position(same).unwrap_or_else(|| {
            all.push(Told { tables: Vec::new(), root: finding, follows: Vec::new() });
            all.len() - 1
        });
        all[at].tables.push(table);
        last = Some(at);
    }
    all.sort_by_key(|told| std::cmp::Reverse(told.root.outcome));
    all
}

/// What is wrong, with what to do: failures first.
fn wrong(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Told { tables, root, follows } in roots(findings) {
        let Finding { code, outcome, seen, next, .. } = root;
        let _ = writeln!(text, "{}: {}: {code} {}: {seen}", outcome.word(), tables.join(", "), title(code));
        if let Some(next) = next {
            let _ = writeln!(text, "  next: {next}");
        }
        let _ = writeln!(text, "  more: docs/checks/{code}.md");
        for Finding { code, table, outcome, seen, .. } in follows {
            let of = if tables.len() > 1 { format!("{table}: ") } else { String::new() };
            let _ = writeln!(text, "  so: {of}{code} {}, {}: {seen}", title(code), outcome.word());
        }
    }
    text
}

fn sum(findings: &[Finding]) -> String {
    let count = |outcome| findings.iter().filter(|finding| finding.outcome == outcome).count();
    let [ok, warnings, failed, skipped] = [Outcome::Ok, Outcome::Warning, Outcome::Failed, Outcome::Skipped].map(count);
    format!("{ok} ok, {warnings} warnings, {failed} failed, {skipped} skipped\n")
}

/// One suite per table, one case per check. A warning passes, with its words as output.
fn junit(findings: &[Finding]) -> String {
    let mut tables: Vec<&str> = findings.iter().map(|finding| finding.table.as_str()).collect();
    tables.dedup();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for table in tables {
        let own: Vec<&Finding> = findings.iter().filter(|finding| finding.table == table).collect();
        let count = |outcome| own.iter().filter(|finding| finding.outcome == outcome).count();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            escaped(table),
            own.len(),
            count(Outcome::Failed),
            count(Outcome::Skipped)
        );
        for Finding { code, outcome, seen, next, caused_by, .. } in own {
            let category = check(code).map_or("", |check| check.category.word());
            let name = escaped(&format!("{code} {}", title(code)));
            let _ = write!(text, "    <testcase classname=\"{category}\" name=\"{name}\">");
            let follows =
                if caused_by.is_empty() { String::new() } else { format!("follows from {}: ", caused_by.join(", ")) };
            let (seen, next) = (escaped(&format!("{follows}{seen}")), escaped(next.as_deref().unwrap_or_default()));
            let _ = match outcome {
                Outcome::Ok => Ok(()),
                Outcome::Failed => write!(text, "<failure message=\"{seen}\">{next}</failure>"),
                Outcome::Skipped => write!(text, "<skipped message=\"{seen}\"/>"),
                Outcome::Warning => write!(text, "<system-out>warning: {seen}; {next}</system-out>"),
            };
            text.push_str("</testcase>\n");
        }
        text.push_str("  </testsuite>\n");
    }
    text + "</testsuites>\n"
}

/// A text in an XML document. What XML cannot hold, it does not get.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push_str("&#10;"),
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let finding = |code: &str, outcome, seen: &str, next: Option<&str>| Finding {
            code: code.to_owned(),
            table: "users".to_owned(),
            outcome,
            seen: seen.to_owned(),
            next: next.map(str::to_owned),
            caused_by: Vec::new(),
        };
        vec![
            finding("DP0101", Outcome::Ok, "http://localhost:8083 speaks Kafka Connect 4.3.1", None),
            finding("DP0202", Outcome::Failed, "a: task 0 is FAILED: \"x\" < 1 & no more", Some("curl .../status")),
            Finding {
                caused_by: vec!["DP0202".to_owned()],
                ..finding("DP0304", Outcome::Failed, "held by nobody", Some("see DP0202"))
            },
            finding("DP0308", Outcome::Warning, "8 of 8 slots", Some("raise it")),
            finding("DP0403", Outcome::Skipped, "no sink", None),
        ]
    }

    #[test]
    fn what_is_one_fault_for_all_tables_is_told_once() {
        let away = |table: &str| {
            let silent = &findings()[3];
            let mut root = Finding { table: table.to_owned(), caused_by: Vec::new(), ..silent.clone() };
            root.code = "DP0301".to_owned();
            root.outcome = Outcome::Failed;
            let follows =
                Finding { table: table.to_owned(), caused_by: vec!["DP0301".to_owned()], ..findings()[1].clone() };
            [root, follows]
        };
        let text = short(&[away("users"), away("orders")].concat());
        let roots: Vec<&str> = text.lines().filter(|line| line.starts_with("failed: ")).collect();
        assert_eq!(roots, ["failed: users, orders: DP0301 PostgreSQL answers: 8 of 8 slots"], "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("  so: ")).count(), 2, "{text}");
    }

    #[test]
    fn every_form() {
        for (name, output) in
            [("short", Output::Short), ("junit", Output::Junit), ("table", Output::Table), ("json", Output::Json)]
        {
            insta::assert_snapshot!(name, text(&findings(), output));
        }
    }
}
