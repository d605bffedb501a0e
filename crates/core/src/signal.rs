//! Signals: what a person asks of a running source, in Debezium's form (its page "Sending signals to a Debezium
//! connector"). Pure.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::port::source::KeyBound;

/// More snapshots than this cannot wait.
pub const QUEUE_MAX: usize = 16;

/// More keys than this cannot be named by one signal.
pub const KEYS_MAX: usize = 500;
/// Nor keys of more bytes, names and values: they travel with every progress until they are done.
pub const KEYS_BYTES_MAX: usize = 32 * 1024;

/// A key by the names of its columns, each with its value's text.
pub type NamedKey = BTreeMap<String, String>;

/// A signal as it came: the columns of the signaling table, or the fields of a record of the signaling topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// `id`: a name for the log lines about it.
    pub id: String,
    /// `type`
    pub kind: String,
    /// `data`: a JSON object as text, if there is any.
    pub data: Option<String>,
}

/// What a signal asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `execute-snapshot` of type `incremental`: read the rows again in pieces, beside the stream.
    Incremental {
        /// `additional-conditions`: a condition in SQL on the rows.
        filter: Option<String>,
    },
    /// `execute-snapshot` of type `incremental` with `delete-if-missing`, which is datapipe's own: of these keys, those that
    /// the table does not have get a delete. No row is read.
    DeleteMissing(Vec<NamedKey>),
    /// `execute-snapshot` of type `blocking`: read all rows again, and stream afterwards.
    Blocking,
    /// `stop-snapshot`
    Stop,
    /// `pause-snapshot`
    Pause,
    /// `resume-snapshot`
    Resume,
    /// `log`
    Log(String),
    /// It speaks of other tables only.
    Elsewhere,
}

/// A signal that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signal {id} of type {kind} is passed over: {why}")]
pub struct SignalError {
    id: String,
    kind: String,
    why: String,
}

#[derive(Deserialize)]
struct SnapshotData {
    #[serde(default, rename = "data-collections")]
    collections: Option<Vec<String>>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default, rename = "additional-conditions")]
    conditions: Vec<Condition>,
    #[serde(default, rename = "surrogate-key")]
    surrogate_key: Option<String>,
    #[serde(default, rename = "delete-if-missing")]
    missing: Option<Vec<BTreeMap<String, Value>>>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "data-collection")]
    collection: String,
    filter: String,
}

impl Signal {
    /// Reads a record of the signaling topic.
    ///
    /// # Errors
    /// If the value is no JSON object with a text `type`.
    pub fn from_record(value: &[u8]) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(value).map_err(|error| format!("it is no JSON: {error}"))?;
        let kind = json["type"].as_str().ok_or("it has no type")?.to_owned();
        let id = json["id"].as_str().unwrap_or("without id").to_owned();
        let data = match &json["data"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            data => Some(data.to_string()),
        };
        Ok(Self { id, kind, data })
    }

    /// What it asks of the source of one table, `schema.table`.
    ///
    /// # Errors
    /// If its type is not served, or its data is malformed.
    pub fn ask(&self, table: &str) -> Result<Ask, SignalError> {
        let refuse = |why: String| SignalError { id: self.id.clone(), kind: self.kind.clone(), why };
        let data = self.data.as_deref().filter(|data| !data.trim().is_empty()).unwrap_or("{}");
        match self.kind.as_str() {
            "execute-snapshot" | "stop-snapshot" => {
                let data: SnapshotData = serde_json::from_str(data).map_err(|error| refuse(error.to_string()))?;
                self.snapshot(data, table).map_err(refuse)
            }
            "pause-snapshot" => Ok(Ask::Pause),
            "resume-snapshot" => Ok(Ask::Resume),
            "log" => {
                let json: Value = serde_json::from_str(data).map_err(|error| refuse(error.to_string()))?;
                Ok(Ask::Log(json["message"].as_str().unwrap_or_default().to_owned()))
            }
            _ => Err(refuse(
                "only execute-snapshot, stop-snapshot, pause-snapshot, resume-snapshot and log are served".to_owned(),
            )),
        }
    }

    fn snapshot(&self, data: SnapshotData, table: &str) -> Result<Ask, String> {
        let stops = self.kind == "stop-snapshot";
        let named = match &data.collections {
            None if stops => true,
            None => return Err("it names no data-collections".to_owned()),
            Some(collections) => any_names(collections, table)?,
        };
        if !named {
            return Ok(Ask::Elsewhere);
        }
        let kind = data.kind.as_deref().unwrap_or("incremental").to_ascii_lowercase();
        if data.surrogate_key.is_some_and(|key| !key.is_empty()) {
            return Err("a surrogate-key is not served: rows are read by their primary key".to_owned());
        }
        match (kind.as_str(), data.missing) {
            ("incremental", Some(keys)) if !stops => return named_keys(&keys).map(Ask::DeleteMissing),
            ("blocking", Some(_)) if !stops => {
                return Err("delete-if-missing needs a snapshot of type incremental".to_owned());
            }
            _ => {}
        }
        let mut filters = Vec::new();
        for Condition { collection, filter } in data.conditions {
            if any_names(&[collection], table)? {
                filters.push(filter);
            }
        }
        let filter = filters.into_iter().next();
        match (kind.as_str(), filter) {
            ("incremental", _) if stops => Ok(Ask::Stop),
            ("incremental", filter) => Ok(Ask::Incremental { filter }),
            ("blocking", None) if !stops => Ok(Ask::Blocking),
            ("blocking", Some(_)) => Err("a blocking snapshot reads all rows: leave additional-conditions out, or \
                                          ask for an incremental one"
                .to_owned()),
            (kind, _) => Err(format!("its data has type {kind:?}; served are incremental and blocking")),
        }
    }
}

/// Reads `delete-if-missing`. Which columns make the key is known where the table is.
fn named_keys(keys: &[BTreeMap<String, Value>]) -> Result<Vec<NamedKey>, String> {
    if keys.is_empty() || keys.len() > KEYS_MAX {
        return Err(format!("delete-if-missing has {} keys; served are 1 to {KEYS_MAX}", keys.len()));
    }
    let part = |(column, value): (&String, &Value)| match value {
        Value::String(text) => Ok((column.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((column.clone(), value.to_string())),
        _ => Err(format!("delete-if-missing: column {column} is {value}; served are texts, numbers and booleans")),
    };
    let keys: Vec<NamedKey> = keys.iter().map(|key| key.iter().map(part).collect()).collect::<Result<_, _>>()?;
    let bytes: usize = keys.iter().map(key_bytes).sum();
    if bytes > KEYS_BYTES_MAX {
        return Err(format!(
            "delete-if-missing has keys of {bytes} bytes; served are {KEYS_BYTES_MAX}: send several signals"
        ));
    }
    Ok(keys)
}

/// What a key counts towards [`KEYS_BYTES_MAX`].
pub fn key_bytes(key: &NamedKey) -> usize {
    key.iter().map(|(column, text)| column.len() + text.len()).sum()
}

/// Whether one of the expressions is the whole of the table's name.
fn any_names(expressions: &[String], table: &str) -> Result<bool, String> {
    let mut named = false;
    for expression in expressions {
        let whole = Regex::new(&format!("^(?:{expression})$"))
            .map_err(|error| format!("data-collection {expression:?} is no regular expression: {error}"))?;
        named |= whole.is_match(table);
    }
    Ok(named)
}

/// What signals have asked for and is not done yet; part of the progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Signals {
    /// The next record of the signaling topic to be read; none before the first start with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_record: Option<i64>,
    /// Incremental snapshots, the first of them under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Incremental>,
    /// They wait until a signal says to go on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// An incremental snapshot: the rows up to `upper` are in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incremental {
    /// The signal's id.
    pub id: String,
    /// The condition on the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// If there are any, only these keys are looked for, and no row is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<NamedKey>,
    /// The last key that the table had when the first rows were read; none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<KeyBound>,
    /// The key of the last row that is done; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<KeyBound>,
    /// Rows written so far.
    #[serde(default)]
    pub rows: u64,
}

impl Signals {
    /// True if there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The snapshot that is under way.
    pub fn current(&self) -> Option<&Incremental> {
        self.snapshots.first().filter(|_| !self.paused)
    }

    /// Takes note of what a signal asks. True if all rows are to be read again at once.
    ///
    /// # Errors
    /// If too many snapshots wait.
    pub fn accept(&mut self, id: &str, ask: Ask) -> Result<bool, SignalError> {
        match ask {
            Ask::Incremental { .. } | Ask::DeleteMissing(_) if self.snapshots.len() >= QUEUE_MAX => {
                let why = format!("{QUEUE_MAX} snapshots wait already");
                return Err(SignalError { id: id.to_owned(), kind: "execute-snapshot".to_owned(), why });
            }
            Ask::Incremental { filter } => {
                self.snapshots.push(Incremental { id: id.to_owned(), filter, ..Incremental::default() });
            }
            Ask::DeleteMissing(missing) => {
                self.snapshots.push(Incremental { id: id.to_owned(), missing, ..Incremental::default() });
            }
            Ask::Blocking => return Ok(true),
            Ask::Stop => {
                self.snapshots.clear();
                self.paused = false;
            }
            Ask::Pause => self.paused = !self.snapshots.is_empty(),
            Ask::Resume => self.paused = false,
            Ask::Log(_) | Ask::Elsewhere => {}
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "public.users";

    fn ask(kind: &str, data: &str) -> Result<Ask, String> {
        let signal = Signal { id: "1".to_owned(), kind: kind.to_owned(), data: Some(data.to_owned()) };
        signal.ask(TABLE).map_err(|error| error.to_string())
    }

    #[test]
    fn signals_are_read_as_debezium_documents_them() {
        let incremental = |filter: Option<&str>| Ok(Ask::Incremental { filter: filter.map(str::to_owned) });
        let execute = |data: &str| ask("execute-snapshot", data);
        assert_eq!(execute(r#"{"data-collections":["public.users"],"type":"incremental"}"#), incremental(None));
        assert_eq!(execute(r#"{"data-collections":["public\\.u.*"],"type":"INCREMENTAL"}"#), incremental(None));
        assert_eq!(execute(r#"{"data-collections":["public.user"]}"#), Ok(Ask::Elsewhere));
        let filtered = r#"{"data-collections":["public.users","public.orders"],"type":"incremental",
            "additional-conditions":[{"data-collection":"public.orders","filter":"a"},
                                     {"data-collection":"public.users","filter":"color='blue'"}]}"#;
        assert_eq!(execute(filtered), incremental(Some("color='blue'")));
        assert_eq!(execute(r#"{"data-collections":["public.users"],"type":"blocking"}"#), Ok(Ask::Blocking));
        let named = r#"{"data-collections":["public.users"],"delete-if-missing":[{"id":7,"name":"it's"},{"id":true}]}"#;
        let key = |parts: &[(&str, &str)]| parts.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let keys = vec![key(&[("id", "7"), ("name", "it's")]), key(&[("id", "true")])];
        assert_eq!(execute(named), Ok(Ask::DeleteMissing(keys)));
        assert_eq!(ask("stop-snapshot", named), Ok(Ask::Stop));
        assert_eq!(ask("stop-snapshot", r#"{"type":"incremental"}"#), Ok(Ask::Stop));
        assert_eq!(ask("stop-snapshot", r#"{"data-collections":["public.orders"]}"#), Ok(Ask::Elsewhere));
        assert_eq!((ask("pause-snapshot", ""), ask("resume-snapshot", "{}")), (Ok(Ask::Pause), Ok(Ask::Resume)));
        assert_eq!(ask("log", r#"{"message":"at {}"}"#), Ok(Ask::Log("at {}".to_owned())));
    }

    #[test]
    fn what_cannot_be_followed_says_why() {
        for (kind, data, why) in [
            ("schema-changes", "{}", "only execute-snapshot"),
            ("execute-snapshot", "{", "EOF"),
            ("execute-snapshot", "{}", "names no data-collections"),
            ("execute-snapshot", r#"{"data-collections":["("]}"#, "no regular expression"),
            ("execute-snapshot", r#"{"data-collections":["public.users"],"type":"other"}"#, "served are incremental"),
            ("execute-snapshot", r#"{"data-collections":["public.users"],"delete-if-missing":[]}"#, "has 0 keys"),
            (
                "execute-snapshot",
                r#"{"data-collections":["public.users"],"delete-if-missing":[{"id":null}]}"#,
                "column id is null",
            ),
            (
                "execute-snapshot",
                r#"{"data-collections":["public.users"],"type":"blocking","delete-if-missing":[{"id":1}]}"#,
                "of type incremental",
            ),
            ("execute-snapshot", r#"{"data-collections":["public.users"],"surrogate-key":"a"}"#, "surrogate-key"),
            (
                "execute-snapshot",
                r#"{"data-collections":["public.users"],"type":"blocking",
                    "additional-conditions":[{"data-collection":"public.users","filter":"a"}]}"#,
                "reads all rows",
            ),
        ] {
            let error = ask(kind, data).unwrap_err();
            assert!(error.contains(why) && error.contains("signal 1"), "{kind} {data}: {error}");
        }
    }

    #[test]
    fn a_record_is_a_signal_whatever_form_its_data_has() {
        let read = |text: &str| Signal::from_record(text.as_bytes());
        let object = read(r#"{"id":"a","type":"log","data":{"message":"x"}}"#).unwrap();
        let text = read(r#"{"id":"a","type":"log","data":"{\"message\":\"x\"}"}"#).unwrap();
        assert_eq!(object, text);
        assert_eq!(read(r#"{"type":"pause-snapshot"}"#).unwrap().data, None);
        assert!(read("[]").is_err() && read("{").is_err());
    }

    #[test]
    fn snapshots_wait_in_order_and_their_number_is_bounded() {
        let mut signals = Signals::default();
        for count in 0..QUEUE_MAX {
            assert_eq!(signals.accept(&count.to_string(), Ask::Incremental { filter: None }), Ok(false));
        }
        assert!(signals.accept("more", Ask::Incremental { filter: None }).is_err());
        assert_eq!(signals.current().map(|snapshot| snapshot.id.as_str()), Some("0"));
        signals.accept("p", Ask::Pause).unwrap();
        assert_eq!(signals.current(), None);
        signals.accept("r", Ask::Resume).unwrap();
        assert!(signals.current().is_some());
        signals.accept("s", Ask::Stop).unwrap();
        assert!(signals.is_empty());
        signals.accept("p", Ask::Pause).unwrap();
        assert!(!signals.paused, "nothing is there to be paused");
        assert_eq!(signals.accept("b", Ask::Blocking), Ok(true));
    }
}
