//! Reads a configuration key by key, collects every problem, and accounts for each key that was given.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use super::keys::{Plugin, Served};
use super::{ConfigProblem, ConfigSecret, nearest};
use crate::port::connect::ConfigMap;

/// Keys that were given and change nothing.
#[derive(Debug)]
pub(super) struct Unread {
    /// Known to have no effect here.
    pub(super) ignored: Vec<String>,
    /// Known to nobody.
    pub(super) unknown: Vec<String>,
}

pub(super) struct Reader<'a> {
    map: &'a ConfigMap,
    plugin: &'static Plugin,
    asked: BTreeSet<&'static str>,
    problems: Vec<ConfigProblem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(map: &'a ConfigMap, plugin: &'static Plugin) -> Self {
        Self { map, plugin, asked: BTreeSet::new(), problems: Vec::new() }
    }

    pub(super) fn problem(&mut self, key: &str, why: impl Into<String>, fix: impl Into<String>) {
        self.problems.push(ConfigProblem::new(key, why, fix));
    }

    /// What was found wrong so far.
    #[cfg(test)]
    pub(super) fn problems(&self) -> String {
        self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// The value if the key is there; an empty text counts as absent, as it does in Kafka Connect.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<&'a str> {
        debug_assert!(self.plugin.key(key).is_some(), "{key} is read and not declared");
        self.asked.insert(key);
        self.map.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&mut self, key: &'static str, example: &str) -> &'a str {
        self.optional(key).unwrap_or_else(|| {
            self.problem(key, "is missing", format!("set it, as in {example:?}"));
            ""
        })
    }

    /// Checks that `connector.class` names this connector.
    pub(super) fn class(&mut self) {
        const KEY: &str = "connector.class";
        let expected = self.plugin.class;
        match self.optional(KEY) {
            None => self.problem(KEY, "is missing", format!("set {expected:?}")),
            Some(class) if Plugin::named(class).is_none_or(|named| named.class != expected) => {
                let why = format!("{} is not served by the native worker", ConfigProblem::shown(KEY, class));
                self.problem(KEY, why, format!("set {expected:?}"));
            }
            Some(_) => {}
        }
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

    /// A number within bounds, where 0 means what an absent key means.
    pub(super) fn number_or_zero(
        &mut self,
        key: &'static str,
        absent: u64,
        bounds: std::ops::RangeInclusive<u64>,
        unit: &str,
    ) -> u64 {
        if self.optional(key) == Some("0") { absent } else { self.number(key, absent, bounds, unit) }
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

    /// One of the values that are served for a key. What an absent key means is refused like a written value if it is
    /// not served.
    pub(super) fn choice(&mut self, key: &'static str) -> &'static str {
        let declared = self.plugin.key(key).expect("keys that are asked for are declared");
        let absent = declared.without().unwrap_or_default();
        let Served::Only(served) = declared.served else { return absent };
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

    /// Whether a key is one that may be passed over under `datapipe.unknown.keys=ignore`: of no family that has known keys,
    /// as `value.converter.decimal.format` is, and no typing error of a served key.
    fn is_foreign(&self, key: &str) -> bool {
        let family = |key: &str| key.split('.').next().map(str::to_owned);
        !self.plugin.keys().any(|known| family(known.name) == family(key)) && nearest(self.plugin, key).is_none()
    }

    /// Checks the keys whose value matters to nobody but must be one that is served, and accounts for every key that
    /// was given: known to have no effect, or a problem. `dynamic` are keys that were read under computed names.
    pub(super) fn finish(mut self, dynamic: &BTreeSet<String>) -> Result<Unread, Vec<ConfigProblem>> {
        let passes_over = self.choice("datapipe.unknown.keys") == "ignore";
        for declared in self.plugin.keys() {
            if matches!(declared.served, Served::Only(_)) && !self.asked.contains(declared.name) {
                self.choice(declared.name);
            }
        }
        let (mut ignored, mut unknown) = (Vec::new(), Vec::new());
        for (key, value) in self.map {
            if self.asked.contains(key.as_str()) || dynamic.contains(key) {
                continue;
            }
            let says_nothing = self.plugin.key(key).is_some_and(|declared| {
                let value = value.trim();
                value == declared.without().unwrap_or_default() || Some(value) == self.plugin.default_of(declared)
            });
            if says_nothing || self.plugin.ignores(key) {
                ignored.push(key.clone());
            } else if passes_over && self.is_foreign(key) {
                unknown.push(key.clone());
            } else {
                let why = "is not served by the native worker, and may change what is written";
                let fix = match nearest(self.plugin, key) {
                    Some(nearest) => format!("did you mean {nearest}? Otherwise leave it out"),
                    None => "leave it out, or keep this table on a kafka-connect worker".to_owned(),
                };
                self.problems.push(ConfigProblem::new(key, why, fix));
            }
        }
        if self.problems.is_empty() { Ok(Unread { ignored, unknown }) } else { Err(self.problems) }
    }
}

fn quoted(values: &[&str]) -> String {
    values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(" or ")
}
