//! Rows that are lost or differ, read again by their worker: a signal asks for an incremental snapshot of exactly these keys.
//! They come as they are now, under new positions, so no earlier image comes above a later one. Only `--repair` asks for it.

use datapipe_core::change::Relation;
use datapipe_core::connector::SourceConfig;
use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;
use datapipe_core::value::ColumnType;
use datapipe_kafka::{KafkaConfig, send_signal};
use datapipe_reconcile::Report;
use serde_json::{Map, Value, json};

/// Keys in one signal, and signals that a source lets wait at once.
const KEYS_PER_SIGNAL: usize = 500;
const SIGNALS_MAX: usize = 16;
/// Keys that one repair asks for; another one does the rest.
pub(super) const KEYS_MAX: usize = KEYS_PER_SIGNAL * SIGNALS_MAX;

/// Asks for all lost and differing rows; returns how many there are, none if there is no such row.
pub(super) async fn ask(
    kafka: &KafkaConfig,
    pipeline: &PipelinePlan,
    relation: &Relation,
    report: &Report,
) -> Result<u64, String> {
    let wrong = report.lost.examples.iter().chain(&report.differing.examples);
    let keys: Vec<String> = wrong.map(|example| key_in_sql(relation, &example.key)).collect::<Result<_, String>>()?;
    if keys.is_empty() {
        return Ok(0);
    }
    let config = pipeline.connector(Role::Source).and_then(|source| SourceConfig::from_map(&source.config).ok());
    let place = config.and_then(|config| Some((config.signals.topic?, config.topic_prefix)));
    let (topic, prefix) =
        place.ok_or("the table takes no signals: set source.signals=true, let the worker have it, and repair then")?;
    let table = format!("{}.{}", relation.schema, relation.name);
    for (number, keys) in keys.chunks(KEYS_PER_SIGNAL).enumerate() {
        let columns: Vec<String> = relation.key.iter().map(|at| ident(&relation.columns[*at].name)).collect();
        let filter = format!("({}) IN ({})", columns.join(", "), keys.join(", "));
        let condition = json!({ "data-collection": table, "filter": filter });
        let data = json!({ "data-collections": [table], "type": "incremental", "additional-conditions": [condition] });
        let id = format!("datapipe-verify-repair-{number}");
        let signal = json!({ "id": id, "type": "execute-snapshot", "data": data }).to_string();
        send_signal(kafka, &topic, &prefix, &signal).await.map_err(|error| error.report())?;
    }
    Ok(keys.len() as u64)
}

/// A key as SQL compares it.
fn key_in_sql(relation: &Relation, key: &str) -> Result<String, String> {
    let values: Map<String, Value> = serde_json::from_str(key).map_err(|error| error.to_string())?;
    let part = |at: &usize| {
        let column = &relation.columns[*at];
        let value = values.get(&column.name).and_then(|value| literal(&column.kind, value));
        value.ok_or_else(|| format!("its key column {} is of a type that keys cannot be asked for by", column.name))
    };
    Ok(format!("({})", relation.key.iter().map(part).collect::<Result<Vec<_>, _>>()?.join(", ")))
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
        assert_eq!(key_in_sql(&relation, r#"{"name":"it's","n":-7}"#).unwrap(), "('it''s', -7)");
        let by_day = Relation { key: vec![2], ..relation };
        assert!(key_in_sql(&by_day, r#"{"day":19000}"#).unwrap_err().contains("column day"));
    }
}
