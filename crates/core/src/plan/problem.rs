use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::CatalogError;
use crate::convention::NameError;

/// One thing that keeps settings from becoming a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which setting or declaration, as `postgres.url`.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// Why that matters; empty if it goes without saying.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

/// Everything that keeps settings from becoming a plan, at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A problem whose importance goes without saying.
    pub fn new(object: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { object: object.into(), what: what.into(), why: String::new(), fix: fix.into() }
    }

    /// Says why it matters.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)?;
        if !self.why.is_empty() {
            write!(f, "; {}", self.why)?;
        }
        write!(f, "; {}", self.fix)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(format!("{} {:?}", error.object, error.name), error.rule, error.remedy)
    }
}

impl From<Vec<CatalogError>> for Problems {
    fn from(errors: Vec<CatalogError>) -> Self {
        let problem = |error: &CatalogError| Problem::new("tables", error.to_string(), "see docs/adding-a-table.md");
        Self(errors.iter().map(problem).collect())
    }
}
