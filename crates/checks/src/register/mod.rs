//! The checks and their codes. A code is never given to another check.

mod canary;
mod connector;
mod data;
mod kafka;
mod network;
mod pods;
mod postgres;
mod store;
mod worker;

use std::str::FromStr;

use serde::Serialize;

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The worker process.
    Worker,
    /// Its connectors and tasks.
    Connector,
    /// The server that rows come from.
    Postgres,
    /// Topics and groups.
    Kafka,
    /// Objects.
    S3,
    /// The rows themselves.
    Data,
    /// What is sent through and waited for.
    Canary,
    /// The pods of a deployment.
    Kubernetes,
    /// The ways between a worker, its servers and whoever asks it.
    Network,
}

impl FromStr for Category {
    type Err = String;

    /// Its word; or which words there are.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|category| category.word() == text);
        known.ok_or_else(|| format!("{text:?} is none of {}", Self::ALL.map(Self::word).join(", ")))
    }
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Worker,
        Self::Connector,
        Self::Postgres,
        Self::Kafka,
        Self::S3,
        Self::Data,
        Self::Canary,
        Self::Kubernetes,
        Self::Network,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Connector => "connector",
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::S3 => "s3",
            Self::Data => "data",
            Self::Canary => "canary",
            Self::Kubernetes => "kubernetes",
            Self::Network => "network",
        }
    }
}

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its code.
    pub code: &'static str,
    /// What it is about.
    pub category: Category,
    /// What should be.
    pub title: &'static str,
    /// What is looked at.
    pub looks: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do if it is not so.
    pub remedy: &'static str,
}

const fn check(code: &'static str, category: Category, [title, looks, why, remedy]: [&'static str; 4]) -> Check {
    Check { code, category, title, looks, why, remedy }
}

const GROUPS: [&[Check]; 9] = [
    &worker::CHECKS,
    &connector::CHECKS,
    &postgres::CHECKS,
    &kafka::CHECKS,
    &store::CHECKS,
    &data::CHECKS,
    &canary::CHECKS,
    &pods::CHECKS,
    &network::CHECKS,
];

const COUNT: usize = {
    let (mut count, mut group) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
};

const ALL: [Check; COUNT] = {
    let mut all = [worker::CHECKS[0]; COUNT];
    let (mut count, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut at = 0;
        while at < GROUPS[group].len() {
            all[count] = GROUPS[group][at];
            (count, at) = (count + 1, at + 1);
        }
        group += 1;
    }
    all
};

/// All checks, in the order of their codes.
pub const CHECKS: &[Check] = &ALL;

/// A check's page in the documentation.
pub fn page(check: &Check) -> String {
    let Check { code, title, looks, why, remedy, .. } = check;
    let category = check.category.word();
    format!(
        "# {code}: {title}\n\nCategory: {category}.\n\n**What is looked at.** {looks}\n\n**Why it matters.** {why}\n\n**What to do.** \
         {remedy}\n"
    )
}

/// The page that leads to all pages.
pub fn index() -> String {
    let head = "# Checks\n\nWhat [`datapipe-verify`](../verify.md) looks at. A code is never given to another check.\n\n| code | about | what should be |\n|---|---|---|\n";
    let line = |check: &Check| {
        let Check { code, category, title, .. } = check;
        format!("| [{code}]({code}.md) | {} | {title} |\n", category.word())
    };
    CHECKS.iter().map(line).fold(head.to_owned(), |text, line| text + &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_their_own() {
        assert!(CHECKS.is_sorted_by(|one, next| one.code < next.code));
        for check in CHECKS {
            let hundred = [1, 2, 3, 4, 5, 6, 7, 8, 9][check.category as usize];
            assert!(check.code.starts_with(&format!("DP0{hundred}")), "{}", check.code);
            assert!([check.title, check.looks, check.why, check.remedy].iter().all(|text| !text.is_empty()));
        }
    }
}
