//! What a check came to.

use serde::{Deserialize, Serialize};

/// How a check ended, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It could not be looked at, or there is nothing to look at; the finding says why.
    Skipped,
    /// Rows flow, and something will go wrong or is not as planned.
    Warning,
    /// Rows do not flow, or are not right.
    Failed,
}

impl Outcome {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What a check came to for one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's code.
    pub code: String,
    /// The table, by its SQL name.
    pub table: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
    /// What to do next: a command or a statement to paste where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The codes of the findings that it follows from, of the same table; none if it stands for itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caused_by: Vec<String>,
}

/// The worst outcome of all.
pub fn worst(findings: &[Finding]) -> Outcome {
    findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::Ok)
}

/// The findings of one table, as they come.
pub(crate) struct Findings<'a> {
    table: &'a str,
    all: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(crate) const fn of(table: &'a str) -> Self {
        Self { table, all: Vec::new() }
    }

    pub(crate) fn into_inner(self) -> Vec<Finding> {
        self.all
    }

    fn put(&mut self, code: &str, outcome: Outcome, seen: impl Into<String>, next: Option<String>) {
        let table = self.table.to_owned();
        self.all.push(Finding {
            code: code.to_owned(),
            table,
            outcome,
            seen: seen.into(),
            next,
            caused_by: Vec::new(),
        });
    }

    pub(crate) fn ok(&mut self, code: &str, seen: impl Into<String>) {
        self.put(code, Outcome::Ok, seen, None);
    }

    pub(crate) fn skip(&mut self, code: &str, why: impl Into<String>) {
        self.put(code, Outcome::Skipped, why, None);
    }

    pub(crate) fn warn(&mut self, code: &str, seen: impl Into<String>, next: impl Into<String>) {
        self.put(code, Outcome::Warning, seen, Some(next.into()));
    }

    pub(crate) fn fail(&mut self, code: &str, seen: impl Into<String>, next: impl Into<String>) {
        self.put(code, Outcome::Failed, seen, Some(next.into()));
    }
}
