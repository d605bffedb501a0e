//! Reads a configuration key by key, collects every problem, and accounts for each key that was given.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use super::known::Known;
use super::{ConfigProblem, ConfigSecret};
use crate::port::connect::ConfigMap;

pub(super) struct Reader<'a> {
    map: &'a ConfigMap,
    asked: BTreeSet<&'static str>,
    problems: Vec<ConfigProblem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(map: &'a ConfigMap) -> Self {
        Self { map, asked: BTreeSet::new(), problems: Vec::new() }
    }

    pub(super) fn problem(&mut self, key: &str, why: impl Into<String>, fix: impl Into<String>) {
        self.problems.push(ConfigProblem::new(key, why, fix));
    }

    /// The value if the key is there; an empty text counts as absent, as it does in Kafka Connect.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<&'a str> {
        self.asked.insert(key);
        self.map.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&mut self, key: &'static str, example: &str) -> &'a str {
        self.optional(key).unwrap_or_else(|| {
            self.problem(key, "is missing", format!("set it, as in {example:?}"));
            ""
        })
    }

    pub(super) fn secret(&mut self, key: &'static str) -> ConfigSecret {
        ConfigSecret::from_text(self.required(key, "${env:NAME}"))
    }

    /// A number within bounds, or `absent` if it is not given.
    pub(super) fn number<T>(
        &mut self,
        key: &'static str,
        absent: T,
        bounds: std::ops::RangeInclusive<T>,
        unit: &str,
    ) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.optional(key) else { return absent };
        if let Ok(number) = text.parse::<T>()
            && bounds.contains(&number)
        {
            return number;
        }
        let why = format!(
            "{} is no whole number from {} to {} ({unit})",
            ConfigProblem::shown(key, text),
            bounds.start(),
            bounds.end()
        );
        self.problem(key, why, format!("leave it out for {absent} or set one"));
        absent
    }

    pub(super) fn boolean(&mut self, key: &'static str, absent: bool) -> bool {
        match self.optional(key) {
            None => absent,
            Some("true") => true,
            Some("false") => false,
            Some(text) => {
                let why = format!("{} is neither true nor false", ConfigProblem::shown(key, text));
                self.problem(key, why, format!("set true or false, or leave it out for {absent}"));
                absent
            }
        }
    }

    /// One of the values that are served. `absent` is what the reference connector takes if the key is not there;
    /// it is refused like a written one if it is not served.
    pub(super) fn one_of(&mut self, key: &'static str, absent: &'static str, served: &[&'static str]) -> &'static str {
        let given = self.optional(key);
        let value = given.unwrap_or(absent);
        if let Some(found) = served.iter().find(|candidate| **candidate == value) {
            return found;
        }
        let why = match given {
            Some(value) => format!("{} is not served by the native worker", ConfigProblem::shown(key, value)),
            None if absent.is_empty() => "is missing".to_owned(),
            None => format!("is missing, which means {absent:?}, and that is not served by the native worker"),
        };
        let fix = if served == [""] { "leave it out".to_owned() } else { format!("set {}", quoted(served)) };
        self.problem(key, why, fix);
        served[0]
    }

    /// Takes a key whose name is only known from other values, as a transform's.
    pub(super) fn dynamic(&self, key: &str) -> Option<&'a str> {
        self.map.get(key).map(|value| value.trim())
    }

    /// Accounts for the keys that nobody asked for: known to be harmless, or a problem. `dynamic` are keys that were
    /// read under computed names.
    pub(super) fn finish(
        mut self,
        known: &Known,
        dynamic: &BTreeSet<String>,
    ) -> Result<Vec<String>, Vec<ConfigProblem>> {
        let mut ignored = Vec::new();
        for key in self.map.keys() {
            if self.asked.contains(key.as_str()) || dynamic.contains(key) {
                continue;
            }
            if known.is_harmless(key) {
                ignored.push(key.clone());
            } else {
                let fix = match known.nearest(key, &self.asked) {
                    Some(nearest) => format!("did you mean {nearest}? Otherwise leave it out"),
                    None => "leave it out, or keep this table on a kafka-connect worker".to_owned(),
                };
                self.problems.push(ConfigProblem::new(
                    key,
                    "is not served by the native worker, and may change what is written",
                    fix,
                ));
            }
        }
        if self.problems.is_empty() { Ok(ignored) } else { Err(self.problems) }
    }
}

fn quoted(values: &[&str]) -> String {
    values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(" or ")
}
