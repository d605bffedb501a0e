//! Looking again and again: what has changed since the last look.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use datapipe_checks::{Finding, Outcome};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::Output;
use crate::show::{text, title};

/// The outcomes of the last look, and nothing else.
#[derive(Default)]
pub(crate) struct Watch(BTreeMap<(String, String), Outcome>);

#[derive(Serialize)]
struct Change<'a> {
    at: &'a str,
    before: Option<Outcome>,
    #[serde(flatten)]
    finding: &'a Finding,
}

impl Watch {
    /// The first look as a whole, and of every later one what came out otherwise than before; JSON is one line per finding
    /// from the start.
    pub(crate) fn told(&mut self, findings: &[Finding], output: Output, now_ms: i64) -> String {
        let first = self.0.is_empty();
        let at = OffsetDateTime::from_unix_timestamp(now_ms / 1000).ok().and_then(|at| at.format(&Rfc3339).ok());
        let at = at.unwrap_or_default();
        let mut told = String::new();
        for finding in findings {
            let Finding { code, table, outcome, seen, next, caused_by, .. } = finding;
            let before = self.0.insert((table.clone(), code.clone()), *outcome);
            if before == Some(*outcome) {
                continue;
            }
            if output == Output::Json {
                told += &serde_json::to_string(&Change { at: &at, before, finding }).unwrap_or_default();
                told.push('\n');
                continue;
            }
            if first {
                continue;
            }
            let before = before.map_or("new", Outcome::word);
            let _ = writeln!(told, "{at} {table}: {code} {}: {before} -> {}: {seen}", title(code), outcome.word());
            if let (Some(next), true) = (next, caused_by.is_empty()) {
                let _ = writeln!(told, "  next: {next}");
            }
        }
        if first && output != Output::Json { text(findings, output) } else { told }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &str, outcome: Outcome, seen: &str) -> Finding {
        Finding {
            code: code.to_owned(),
            table: "users".to_owned(),
            outcome,
            seen: seen.to_owned(),
            next: (outcome >= Outcome::Warning).then(|| "mend it".to_owned()),
            caused_by: Vec::new(),
        }
    }

    #[test]
    fn only_changes_are_told_and_a_figure_that_moves_is_none() {
        let mut watch = Watch::default();
        let well = [finding("DP0101", Outcome::Ok, "a"), finding("DP0403", Outcome::Ok, "7 offsets")];
        assert!(watch.told(&well, Output::Short, 0).ends_with("2 ok, 0 warnings, 0 failed, 0 skipped\n"));
        let same = [finding("DP0101", Outcome::Ok, "a"), finding("DP0403", Outcome::Ok, "9 offsets")];
        assert_eq!(watch.told(&same, Output::Short, 1000), "");
        let hurt = [finding("DP0101", Outcome::Failed, "refused"), finding("DP0403", Outcome::Ok, "9 offsets")];
        let expected =
            "1970-01-01T00:00:02Z users: DP0101 the worker answers: ok -> failed: refused\n  next: mend it\n";
        assert_eq!(watch.told(&hurt, Output::Table, 2000), expected);
        let back = watch.told(&same, Output::Json, 3000);
        let change: serde_json::Value = serde_json::from_str(&back).unwrap();
        assert_eq!((&change["before"], &change["outcome"], back.lines().count()), (&"failed".into(), &"ok".into(), 1));
    }
}
