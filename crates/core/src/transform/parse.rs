//! Transforms from a connector's configuration.

use regex_lite::Regex;

use super::fields::{Mask, Replace};
use super::predicate::{Condition, Predicate};
use super::route::{LogicalRoute, Route, replacement, whole};
use super::schema::{Memo, Seen};
use super::unwrap::{Addition, Deletes, Unwrap};
use super::{Kind, Part, Step, Transforms};
use crate::port::connect::ConfigMap;

const CONNECT: &str = "org.apache.kafka.connect.transforms.";
const PREDICATES: &str = "org.apache.kafka.connect.transforms.predicates.";
/// Whether a null becomes its field's default.
const NULLS: &str = "replace.null.with.default";
const DEBEZIUM: &str = "io.debezium.transforms.";

/// A key of a transform that cannot be served as written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct TransformProblem {
    /// The key.
    pub key: String,
    /// Why it cannot be served, and what to write instead.
    pub why: String,
}

impl Transforms {
    /// Reads `transforms`, `predicates` and the keys under their names; all problems at once.
    pub fn from_config(config: &ConfigMap) -> Result<Self, Vec<TransformProblem>> {
        let mut problems = Vec::new();
        let mut steps = Vec::new();
        for name in list(config.get("transforms")) {
            let mut keys = Keys::new(config, &format!("transforms.{name}."), &mut problems);
            let condition = condition(config, &mut keys);
            let kind = kind(&mut keys);
            keys.finish();
            if let Some(kind) = kind {
                steps.push(Step { name, condition, kind });
            }
        }
        let used: Vec<String> = list(config.get("transforms"))
            .iter()
            .filter_map(|name| config.get(&format!("transforms.{name}.predicate")).cloned())
            .collect();
        for name in list(config.get("predicates")) {
            if !used.contains(&name) {
                let why = "no transform names this predicate: remove it".to_owned();
                problems.push(TransformProblem { key: format!("predicates.{name}"), why });
            }
        }
        let keys = config
            .iter()
            .filter(|(key, _)| Self::reads(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let is_true = |key: &str| config.get(key).is_some_and(|value| value.trim() == "true");
        let typed = [is_true("key.converter.schemas.enable"), is_true("value.converter.schemas.enable")];
        if problems.is_empty() { Ok(Self { steps, keys, typed, seen: Seen::default() }) } else { Err(problems) }
    }

    /// True for the keys that transforms are read from.
    pub fn reads(key: &str) -> bool {
        let names = ["transforms", "predicates"];
        names.iter().any(|name| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}

/// The keys of one transform or predicate, each accounted for.
struct Keys<'a> {
    config: &'a ConfigMap,
    prefix: String,
    asked: Vec<&'static str>,
    problems: &'a mut Vec<TransformProblem>,
}

impl<'a> Keys<'a> {
    fn new(config: &'a ConfigMap, prefix: &str, problems: &'a mut Vec<TransformProblem>) -> Self {
        Self { config, prefix: prefix.to_owned(), asked: Vec::new(), problems }
    }

    fn problem(&mut self, key: &str, why: impl Into<String>) {
        self.problems.push(TransformProblem { key: format!("{}{key}", self.prefix), why: why.into() });
    }

    fn optional(&mut self, key: &'static str) -> Option<&'a str> {
        self.asked.push(key);
        self.config.get(&format!("{}{key}", self.prefix)).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn required(&mut self, key: &'static str) -> &'a str {
        self.optional(key).unwrap_or_else(|| {
            self.problem(key, "is missing: set it");
            ""
        })
    }

    fn list(&mut self, key: &'static str) -> Vec<String> {
        split(self.optional(key).unwrap_or_default())
    }

    fn boolean(&mut self, key: &'static str, absent: bool) -> bool {
        match self.optional(key) {
            None => absent,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                self.problem(key, format!("{other:?} is neither true nor false"));
                absent
            }
        }
    }

    fn regex(&mut self, key: &'static str, pattern: &str) -> Option<Regex> {
        match whole(pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let why = format!(
                    "{pattern:?} is no regular expression that is served: {error} (no look-around, no back references)"
                );
                self.problem(key, why);
                None
            }
        }
    }

    /// A pattern and what stands for what it matches.
    fn route(&mut self, regex: &'static str, to: &'static str) -> Option<Route> {
        let (pattern, to) = (self.required(regex), self.required(to));
        Some(Route { regex: self.regex(regex, pattern)?, replacement: replacement(to) })
    }

    fn finish(self) {
        let Self { config, prefix, asked, problems } = self;
        for key in config.keys().filter_map(|key| key.strip_prefix(&prefix)) {
            if !asked.contains(&key) {
                let why = "is not served by the native worker, and may change what is written: leave it out".to_owned();
                problems.push(TransformProblem { key: format!("{prefix}{key}"), why });
            }
        }
    }
}

fn list(value: Option<&String>) -> Vec<String> {
    split(value.map(String::as_str).unwrap_or_default())
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn condition(config: &ConfigMap, keys: &mut Keys<'_>) -> Option<Condition> {
    let negate = keys.boolean("negate", false);
    let name = keys.optional("predicate")?;
    if !list(config.get("predicates")).iter().any(|declared| declared == name) {
        keys.problem("predicate", format!("{name:?} is not in predicates: add it there"));
        return None;
    }
    let mut own = Keys::new(config, &format!("predicates.{name}."), keys.problems);
    let class = own.required("type");
    let predicate = match class.strip_prefix(PREDICATES) {
        Some("RecordIsTombstone") => Some(Predicate::Tombstone),
        Some("TopicNameMatches") => {
            let pattern = own.required("pattern");
            own.regex("pattern", pattern).map(Predicate::Topic)
        }
        Some("HasHeaderKey") => Some(Predicate::Header(own.required("name").to_owned())),
        _ => {
            own.problem(
                "type",
                format!(
                    "{class:?} is not served: use RecordIsTombstone, TopicNameMatches or HasHeaderKey of {PREDICATES}*"
                ),
            );
            None
        }
    };
    own.finish();
    predicate.map(|predicate| Condition { predicate, negate })
}

fn kind(keys: &mut Keys<'_>) -> Option<Kind> {
    let class = keys.required("type");
    if class.is_empty() {
        return None;
    }
    let connect = class.strip_prefix(CONNECT).unwrap_or_default();
    let debezium = class.strip_prefix(DEBEZIUM).unwrap_or_default();
    match (connect, debezium) {
        ("Filter", _) => Some(Kind::Filter),
        ("RegexRouter", _) => keys.route("regex", "replacement").map(Kind::Route),
        ("ReplaceField$Key", _) => Some(Kind::Replace(Part::Key, replace(keys))),
        ("ReplaceField$Value", _) => Some(Kind::Replace(Part::Value, replace(keys))),
        ("MaskField$Key", _) => Some(Kind::Mask(Part::Key, mask(keys))),
        ("MaskField$Value", _) => Some(Kind::Mask(Part::Value, mask(keys))),
        (_, "ByLogicalTableRouter") => logical_route(keys).map(Kind::LogicalRoute),
        (_, "ExtractNewRecordState") => Some(Kind::Unwrap(Box::new(unwrap(keys)))),
        _ => {
            let served = "Filter, RegexRouter, ReplaceField, MaskField, ByLogicalTableRouter and ExtractNewRecordState";
            keys.problem("type", format!("{class:?} is not served by the native worker: it has {served}"));
            None
        }
    }
}

fn replace(keys: &mut Keys<'_>) -> Replace {
    let mut renames = Vec::new();
    for pair in keys.list("renames") {
        match pair.split_once(':') {
            Some((old, new)) => renames.push((old.trim().to_owned(), new.trim().to_owned())),
            None => keys.problem("renames", format!("{pair:?} is no pair old:new")),
        }
    }
    Replace {
        exclude: keys.list("exclude"),
        include: keys.list("include"),
        renames,
        nulls: keys.boolean(NULLS, true),
        schemas: Memo::default(),
    }
}

fn mask(keys: &mut Keys<'_>) -> Mask {
    let fields = keys.list("fields");
    if fields.is_empty() {
        keys.problem("fields", "is missing: name the fields that are masked");
    }
    Mask {
        fields,
        replacement: keys.optional("replacement").map(str::to_owned),
        nulls: keys.boolean(NULLS, true),
        schemas: Memo::default(),
    }
}

fn logical_route(keys: &mut Keys<'_>) -> Option<LogicalRoute> {
    let topic = keys.route("topic.regex", "topic.replacement");
    let unique = keys.boolean("key.enforce.uniqueness", true);
    let field = keys.optional("key.field.name").unwrap_or("__dbz__physicalTableIdentifier");
    let key_value = match (keys.optional("key.field.regex"), keys.optional("key.field.replacement")) {
        (None, None) => None,
        _ => keys.route("key.field.regex", "key.field.replacement"),
    };
    let key_field = unique.then(|| field.to_owned());
    Some(LogicalRoute { topic: topic?, key_field, key_value, schemas: Memo::default() })
}

fn unwrap(keys: &mut Keys<'_>) -> Unwrap {
    let deletes = match keys.optional("delete.tombstone.handling.mode") {
        None | Some("tombstone") => Deletes::Tombstone,
        Some("drop") => Deletes::Drop,
        Some("rewrite") => Deletes::Rewrite,
        Some("rewrite-with-tombstone") => Deletes::RewriteWithTombstone,
        Some("delete-to-tombstone") => Deletes::DeleteToTombstone,
        Some(other) => {
            let modes = "drop, tombstone, rewrite, rewrite-with-tombstone or delete-to-tombstone";
            keys.problem("delete.tombstone.handling.mode", format!("{other:?} is none of {modes}"));
            Deletes::Tombstone
        }
    };
    Unwrap {
        deletes,
        fields: additions(keys, "add.fields", "add.fields.prefix"),
        headers: additions(keys, "add.headers", "add.headers.prefix"),
        route_by: keys.optional("route.by.field").map(str::to_owned),
        nulls: keys.boolean(NULLS, true),
        schemas: Memo::default(),
    }
}

/// `op,source.lsn,table:from`: where a value is taken from, and the name that it gets behind the prefix.
fn additions(keys: &mut Keys<'_>, key: &'static str, prefix: &'static str) -> Vec<Addition> {
    let prefix = keys.optional(prefix).unwrap_or("__").to_owned();
    let parse = |text: String| {
        let (place, renamed) = match text.split_once(':') {
            Some((place, name)) => (place, Some(name)),
            None => (text.as_str(), None),
        };
        let (structure, field) = match place.split_once('.') {
            Some((structure, field)) => (Some(structure.to_owned()), field.to_owned()),
            None => (None, place.to_owned()),
        };
        let own = renamed.map_or_else(|| place.replace('.', "_"), str::to_owned);
        Addition { structure, field, name: format!("{prefix}{own}") }
    };
    keys.list(key).into_iter().map(parse).collect()
}
