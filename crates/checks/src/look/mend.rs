//! Rows that are lost or differ, read again by their worker: a signal asks for an incremental snapshot of exactly these keys.
//! They come as they are now, under new positions, so no earlier image comes above a later one. Rows that only the objects
//! have get a delete in the same way, from a native worker, which looks itself whether they are missing. Only `--repair` asks
//! for it.

use datapipe_core::change::Relation;
use datapipe_core::connector::SourceConfig;
use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;
use datapipe_core::signal::{KEYS_BYTES_MAX, KEYS_MAX as KEYS_PER_SIGNAL, NamedKey, QUEUE_MAX, key_bytes};
use datapipe_core::value::ColumnType;
use datapipe_kafka::{KafkaConfig, send_signal};
use datapipe_reconcile::{Example, Report};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Keys that one repair asks for; another one does the rest.
pub(super) const KEYS_MAX: usize = KEYS_PER_SIGNAL * QUEUE_MAX;

/// What a worker was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Keys whose rows were to be read again.
    pub read: u64,
    /// Keys that were to be deleted if no row has them.
    pub removed: u64,
    /// What was left as it is, why, and what to do instead.
    pub left: Option<String>,
}

/// Asks for all rows that are wrong.
pub(super) async fn ask(
    kafka: &KafkaConfig,
    pipeline: &PipelinePlan,
    relation: &Relation,
    report: &Report,
) -> Result<Asked, String> {
    let Report { lost, differing, orphaned, surplus, .. } = report;
    let keys = |examples: &[&[Example]]| -> Result<Vec<Key>, String> {
        examples.iter().copied().flatten().map(|example| Key::of(relation, &example.key)).collect()
    };
    // Of a row whose events do not fit together it is not known here whether the table has it.
    let read = keys(&[&lost.examples, &differing.examples, &orphaned.examples])?;
    let reads_only = pipeline.worker.kind.runs_in_jvm(Role::Source);
    let removed = if reads_only { Vec::new() } else { keys(&[&surplus.examples, &orphaned.examples])? };
    let mut asked = Asked { left: (reads_only && surplus.count > 0).then(|| left(surplus.count)), ..Asked::default() };
    if read.is_empty() && removed.is_empty() {
        return Ok(asked);
    }
    let config = pipeline.connector(Role::Source).and_then(|source| SourceConfig::from_map(&source.config).ok());
    let place = config.and_then(|config| Some((config.signals.topic?, config.topic_prefix)));
    let (topic, prefix) =
        place.ok_or("the table takes no signals: set source.signals=true, let the worker have it, and repair then")?;
    let signals = pieces(&read).map(|keys| (false, keys)).chain(pieces(&removed).map(|keys| (true, keys)));
    for (number, (removes, keys)) in signals.take(QUEUE_MAX).enumerate() {
        let data = if removes { removal(relation, keys) } else { reading(relation, keys) };
        let id = format!("datapipe-verify-repair-{number}");
        let signal = json!({ "id": id, "type": "execute-snapshot", "data": data }).to_string();
        send_signal(kafka, &topic, &prefix, &signal).await.map_err(|error| error.report())?;
        *(if removes { &mut asked.removed } else { &mut asked.read }) += keys.len() as u64;
    }
    Ok(asked)
}

/// What a worker that can only read leaves.
fn left(surplus: u64) -> String {
    format!(
        "{surplus} rows that only the objects have: Debezium reads rows that are there, and no signal makes it write a delete. \
         Let a native worker have the table meanwhile (worker.kind=native goes on where this one stops, and this one where \
         that stops), and repair then"
    )
}

/// As many keys as one signal may name.
fn pieces(keys: &[Key]) -> impl Iterator<Item = &[Key]> {
    let mut left = keys;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |key: &&Key| {
            bytes += key_bytes(&key.named);
            bytes <= KEYS_BYTES_MAX
        };
        let count = left.iter().take(KEYS_PER_SIGNAL).take_while(fits).count().max(1);
        let (piece, rest) = left.split_at_checked(count)?;
        left = rest;
        Some(piece)
    })
}

/// The data of a signal that has rows read.
fn reading(relation: &Relation, keys: &[Key]) -> Value {
    let columns: Vec<String> = relation.key.iter().map(|at| ident(&relation.columns[*at].name)).collect();
    let keys: Vec<&str> = keys.iter().map(|key| key.sql.as_str()).collect();
    let filter = format!("({}) IN ({})", columns.join(", "), keys.join(", "));
    data(relation, &filter)
}

/// The data of a signal that has missing rows deleted. A worker that does not know `delete-if-missing` reads no row.
fn removal(relation: &Relation, keys: &[Key]) -> Value {
    let mut data = data(relation, "false");
    data["delete-if-missing"] = keys.iter().map(|key| json!(key.named)).collect();
    data
}

fn data(relation: &Relation, filter: &str) -> Value {
    let table = format!("{}.{}", relation.schema, relation.name);
    let condition = json!({ "data-collection": table, "filter": filter });
    json!({ "data-collections": [table], "type": "incremental", "additional-conditions": [condition] })
}

/// A key as signals name it.
#[derive(Debug)]
struct Key {
    /// As SQL compares it.
    sql: String,
    named: NamedKey,
}

impl Key {
    fn of(relation: &Relation, key: &str) -> Result<Self, String> {
        let values: Map<String, Value> = serde_json::from_str(key).map_err(|error| error.to_string())?;
        let (mut parts, mut named) = (Vec::new(), NamedKey::new());
        for column in relation.key.iter().map(|at| &relation.columns[*at]) {
            let value = values.get(&column.name);
            let part = value.and_then(|value| literal(&column.kind, value));
            let refused = || format!("its key column {} is of a type that keys cannot be asked for by", column.name);
            parts.push(part.ok_or_else(refused)?);
            let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            named.insert(column.name.clone(), text.unwrap_or_default());
        }
        Ok(Self { sql: format!("({})", parts.join(", ")), named })
    }
}

/// A value whose form in records is the one in SQL.
fn literal(kind: &ColumnType, value: &Value) -> Option<String> {
    match (kind, value) {
        (ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 | ColumnType::Oid, Value::Number(number)) => {
            Some(number.to_string())
        }
        (ColumnType::Bool, Value::Bool(value)) => Some(value.to_string()),
        (ColumnType::Chars(_) | ColumnType::Text | ColumnType::Enum(_) | ColumnType::Uuid, Value::String(text)) => {
            Some(format!("'{}'", text.replace('\'', "''")))
        }
        _ => None,
    }
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use datapipe_core::change::{Column, ReplicaIdentity};

    use super::*;

    #[test]
    fn keys_are_asked_for_in_sql() {
        let column = |name: &str, kind| Column::new(name, kind, false);
        let relation = Relation {
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: vec![
                column("n", ColumnType::Int8),
                column("name", ColumnType::Chars(None)),
                column("day", ColumnType::Date),
            ],
            key: vec![1, 0],
            identity: ReplicaIdentity::Default,
        };
        let key = Key::of(&relation, r#"{"name":"it's","n":-7}"#).unwrap();
        let reading = reading(&relation, std::slice::from_ref(&key));
        let filter = &reading["additional-conditions"][0]["filter"];
        assert_eq!(filter, r#"("name", "n") IN (('it''s', -7))"#);
        let removal = removal(&relation, &[key]);
        assert_eq!(removal["delete-if-missing"], json!([{ "name": "it's", "n": "-7" }]));
        assert_eq!(removal["additional-conditions"][0]["filter"], "false", "for a worker that does not know it");
        let by_day = Relation { key: vec![2], ..relation };
        assert!(Key::of(&by_day, r#"{"day":19000}"#).unwrap_err().contains("column day"));
    }

    #[test]
    fn a_signal_names_no_more_keys_than_are_served() {
        let key = |bytes| Key { sql: String::new(), named: [("k".to_owned(), "x".repeat(bytes))].into() };
        let sizes = |keys: Vec<Key>| pieces(&keys).map(<[Key]>::len).collect::<Vec<_>>();
        assert_eq!(sizes((0..1001).map(|_| key(1)).collect()), [500, 500, 1]);
        let wide = KEYS_BYTES_MAX / 2 - 1;
        assert_eq!(sizes(vec![key(wide), key(wide), key(1), key(KEYS_BYTES_MAX)]), [2, 1, 1]);
        assert!(sizes(Vec::new()).is_empty());
    }
}
