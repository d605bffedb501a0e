//! What was seen, for the eyes of others: without secrets, and without values of rows.
//!
//! Two rules, because neither is enough. Fields that hold secrets or rows are masked or left out by what they are. And in
//! every text that is left, each known secret is replaced, whatever the field; of words that somebody else wrote (traces,
//! log lines) what stands in quotes, in braces or as `(column)=(value)` is replaced too, unless it is a name of the plan.
//! Of a JVM worker's exceptions only the classes are kept: their messages quote rows without a mark.

use std::collections::BTreeSet;

use datapipe_core::Secret;
use datapipe_core::connector::{MASK, is_secret_key, masked};
use datapipe_core::plan::{PipelinePlan, Plan};
use datapipe_core::port::connect::ConfigMap;
use serde_json::Value;

use crate::finding::{Finding, Outcome};
use crate::seen::{Looked, Seen, WorkerSeen};

/// What stands in the place of a value.
const LEFT_OUT: &str = "..";
/// So many lines of a trace are kept.
const TRACE_LINES_MAX: usize = 60;
/// A longer line of a log is cut, in characters.
const LINE_CHARS_MAX: usize = 2000;

/// Takes secrets and rows out.
pub struct Clean {
    secrets: Vec<Secret>,
    names: BTreeSet<String>,
}

impl Clean {
    /// Knows the plan's names, and the values of these secrets.
    pub fn new(plan: &Plan, secrets: Vec<Secret>) -> Self {
        let mut names: BTreeSet<String> =
            [&plan.postgres.user, &plan.postgres.database, &plan.s3.bucket].into_iter().cloned().collect();
        for pipeline in &plan.tables {
            names.extend([pipeline.schema.clone(), pipeline.qualified()]);
            if let Ok(Value::Object(own)) = serde_json::to_value(&pipeline.names) {
                names.extend(own.values().filter_map(Value::as_str).map(str::to_owned));
            }
        }
        let mut clean = Self { secrets: Vec::new(), names };
        clean.add(secrets);
        clean
    }

    /// The same, and the secrets that the live configurations hold in clear.
    pub fn learn(&mut self, seen: &Seen) {
        let Looked::Seen(worker) = &seen.worker else { return };
        let configs = worker.connectors.values().filter_map(|live| Some(&live.info.as_ref()?.config));
        let in_clear = |(key, value): (&String, &String)| {
            let reference = value.starts_with("${") && value.ends_with('}');
            (is_secret_key(key) && !reference && value != MASK).then(|| Secret::new(value.clone()))
        };
        self.add(configs.flatten().filter_map(in_clear).collect());
    }

    fn add(&mut self, secrets: Vec<Secret>) {
        self.secrets.extend(secrets.into_iter().filter(|secret| !secret.expose().is_empty()));
        // One that is part of another must not leave the other's rest behind.
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    }

    /// Any text without the known secrets, and without passwords in addresses.
    pub fn text(&self, text: &str) -> String {
        let text = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), MASK));
        without_logins(&text)
    }

    /// A document without them, in its keys as well.
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(all) => all.into_iter().map(|one| self.json(one)).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (self.text(&key), self.json(value))).collect(),
            plain => plain,
        }
    }

    /// What was seen of a table.
    pub fn seen(&self, pipeline: &PipelinePlan, seen: &Seen) -> Seen {
        let mut seen = seen.clone();
        if let Looked::Seen(worker) = &mut seen.worker {
            self.worker(pipeline, worker);
        }
        if let Looked::Seen(cluster) = &mut seen.kafka
            && let Some(letter) = &mut cluster.last_letter
        {
            letter.message = None;
        }
        self.why(&mut seen.worker);
        self.why(&mut seen.postgres);
        self.why(&mut seen.kafka);
        self.why(&mut seen.store);
        let document = serde_json::to_value(&seen).map(|document| self.json(document));
        document.and_then(serde_json::from_value).unwrap_or_else(|_| {
            // A secret that is a word of the form itself: nothing is better than half of it.
            let nothing = || LEFT_OUT.to_owned();
            Seen {
                worker: Looked::Left(nothing()),
                postgres: Looked::Left(nothing()),
                kafka: Looked::Left(nothing()),
                store: Looked::Left(nothing()),
                edges: Looked::Left(nothing()),
                rest: None,
            }
        })
    }

    fn why<T>(&self, looked: &mut Looked<T>) {
        if let Looked::Silent(why) = looked {
            *why = self.words(why);
        }
    }

    fn worker(&self, pipeline: &PipelinePlan, worker: &mut WorkerSeen) {
        worker.health_message = self.words(&worker.health_message);
        for (name, live) in &mut worker.connectors {
            let role = pipeline.connectors.iter().find(|planned| planned.name == *name).map(|planned| planned.role);
            let jvm = role.is_none_or(|role| pipeline.worker.kind.runs_in_jvm(role));
            if let Some(info) = &mut live.info {
                info.config = without_statements(masked(&info.config));
            }
            if let Some(status) = &mut live.status {
                let traces = status.tasks.iter_mut().map(|task| &mut task.trace).chain([&mut status.connector.trace]);
                for trace in traces.flatten() {
                    *trace = self.trace(trace, jvm);
                }
            }
        }
    }

    fn trace(&self, trace: &str, jvm: bool) -> String {
        // Whoever wrote it.
        let jvm = jvm || trace.lines().any(|line| line.trim_start().starts_with("at "));
        let line = |line: &str| if jvm { exception(line) } else { self.words(line) };
        trace.lines().take(TRACE_LINES_MAX).map(line).collect::<Vec<_>>().join("\n")
    }

    /// A finding about rows: it names keys.
    pub fn about_rows(&self, finding: &Finding) -> Finding {
        let mut finding = finding.clone();
        if finding.outcome >= Outcome::Warning {
            "left out here, because it names rows: datapipe-verify --data tells it".clone_into(&mut finding.seen);
        }
        finding
    }

    /// A finding that is made of somebody's words.
    pub fn in_words(&self, finding: &Finding) -> Finding {
        Finding { seen: self.words(&finding.seen), ..finding.clone() }
    }

    /// A line of a worker's log.
    pub fn line(&self, line: &str) -> String {
        let line: String = line.chars().take(LINE_CHARS_MAX).collect();
        let Ok(Value::Object(record)) = serde_json::from_str(&line) else { return self.words(&line) };
        let plain = ["timestamp", "level", "target"];
        let told = record.into_iter().filter_map(|(key, value)| match value {
            Value::String(text) if plain.contains(&key.as_str()) => Some((key, Value::String(text))),
            Value::String(text) => Some((key, Value::String(self.words(&text)))),
            Value::Object(fields) => {
                let words = |value: Value| match value {
                    Value::String(text) => Value::String(self.words(&text)),
                    Value::Object(_) | Value::Array(_) => Value::String(LEFT_OUT.to_owned()),
                    plain => plain,
                };
                Some((key, Value::Object(fields.into_iter().map(|(key, value)| (key, words(value))).collect())))
            }
            Value::Array(_) => None,
            plain => Some((key, plain)),
        });
        self.json(Value::Object(told.collect())).to_string()
    }

    /// Somebody's words without what may be a value. Secrets go first: one with a quote in it would be cut in two.
    fn words(&self, text: &str) -> String {
        let text = self.text(text);
        let mut kept = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['"', '\'', '{', '=']) {
            let (before, from) = rest.split_at(at);
            kept.push_str(before);
            let (sign, after) = from.split_at(1);
            let in_word = kept.chars().next_back().is_some_and(char::is_alphanumeric);
            let passed = match sign {
                "=" if kept.ends_with(')') && after.starts_with('(') => after.rfind(')').map(|end| ("=(", end, ")")),
                "{" if !kept.ends_with('$') => Some(("{", after.rfind('}').unwrap_or(after.len()), "}")),
                "\"" => Some(("\"", closing(after, '"'), "\"")),
                "'" if !in_word => Some(("'", closing(after, '\''), "'")),
                _ => None,
            };
            let Some((open, end, close)) = passed else {
                kept.push_str(sign);
                rest = after;
                continue;
            };
            let value = &after[..end];
            kept.push_str(open);
            kept.push_str(if self.names.contains(value) { value } else { LEFT_OUT });
            kept.push_str(close);
            rest = after.get(end + 1..).unwrap_or_default();
        }
        kept.push_str(rest);
        kept
    }
}

/// A statement may hold values; its key says that it is there.
fn without_statements(mut config: ConfigMap) -> ConfigMap {
    let statements = config.iter_mut().filter(|(key, _)| key.contains("query") || key.contains("select.statement"));
    statements.for_each(|(_, value)| LEFT_OUT.clone_into(value));
    config
}

/// Where a quoted value ends: at the quote that is not escaped and not inside a word; otherwise at the end.
fn closing(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        let next = text[at + letter.len_utf8()..].chars().next();
        if letter == quote && !escaped && !next.is_some_and(char::is_alphanumeric) {
            return at;
        }
        escaped = letter == '\\' && !escaped;
    }
    text.len()
}

/// A line of a Java exception: a frame as it is, of a message the class alone.
fn exception(line: &str) -> String {
    let bare = line.trim_start();
    if bare.starts_with("at ") || bare.starts_with("... ") {
        return line.to_owned();
    }
    let (cause, bare) = bare.strip_prefix("Caused by: ").map_or(("", bare), |rest| ("Caused by: ", rest));
    let class = bare.split(':').next().unwrap_or_default();
    let is_class = class.contains('.') && class.chars().all(|c| c.is_ascii_alphanumeric() || ".$_".contains(c));
    if is_class { format!("{cause}{class}: {LEFT_OUT}") } else { LEFT_OUT.to_owned() }
}

/// Addresses without user and password: `scheme://user:password@host`.
fn without_logins(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        kept.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/\"'".contains(c)).unwrap_or(after.len());
        rest = after;
        if let Some(login) = after[..end].rfind('@') {
            kept.push_str(MASK);
            rest = &after[login..];
        }
    }
    kept + rest
}
