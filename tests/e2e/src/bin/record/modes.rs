//! Every type that a mode concerns, under sets of modes that together name each mode once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use datapipe_core::value::{ColumnType, resolve};
use datapipe_e2e::Result;
use datapipe_e2e::recorded::{Recorded, definitions, quoted, types};
use datapipe_embedded::CONNECT_VERSION;
use serde_json::{Value, json};

use crate::reference::{Kept, Reference};

/// The sets: a name, and the five modes of numbers, times, intervals, bytes and hstore.
pub(crate) const SETS: [(&str, [&str; 5]); 6] = [
    ("m1", ["precise", "adaptive", "numeric", "bytes", "json"]),
    ("m2", ["double", "adaptive_time_microseconds", "string", "base64", "map"]),
    ("m3", ["string", "connect", "numeric", "hex", "json"]),
    ("m4", ["string", "isostring", "numeric", "base64-url-safe", "json"]),
    ("m5", ["string", "microseconds", "numeric", "bytes", "json"]),
    ("m6", ["string", "nanoseconds", "numeric", "bytes", "json"]),
];
pub(crate) const KEYS: [&str; 5] = [
    "decimal.handling.mode",
    "time.precision.mode",
    "interval.handling.mode",
    "binary.handling.mode",
    "hstore.handling.mode",
];

/// A type that is recorded, and the tables that are for it: `v{n}` for its values, `n{n}` where it is NOT NULL, `u{n}` for
/// a value that is TOASTed.
pub(crate) struct Column {
    pub(crate) recorded: Recorded,
    /// None if no record holds it.
    pub(crate) kind: Option<ColumnType>,
    /// The end of its tables' names.
    pub(crate) number: String,
    /// Its mode's place in [`KEYS`].
    pub(crate) mode: usize,
}

/// The place in [`KEYS`] of the mode that concerns a type, if one does.
fn mode_of(kind: &ColumnType) -> Option<usize> {
    match kind {
        ColumnType::Array(element) => mode_of(element),
        ColumnType::Numeric(_) | ColumnType::Money => Some(0),
        ColumnType::Date
        | ColumnType::Time(_)
        | ColumnType::TimeTz
        | ColumnType::Timestamp(_)
        | ColumnType::TimestampTz(_) => Some(1),
        ColumnType::Interval => Some(2),
        ColumnType::Bytea | ColumnType::Bit | ColumnType::Bits(_) => Some(3),
        ColumnType::Hstore => Some(4),
        _ => None,
    }
}

impl Column {
    /// The tables' definitions.
    pub(crate) fn tables(&self) -> String {
        let (number, sql) = (&self.number, &self.recorded.sql);
        format!(
            "CREATE TABLE v{number} (id int PRIMARY KEY, v {sql});
             CREATE TABLE n{number} (id int PRIMARY KEY, v {sql} NOT NULL);
             CREATE TABLE u{number} (id int PRIMARY KEY, n int, v {sql});
             DO $$ BEGIN ALTER TABLE u{number} ALTER v SET STORAGE EXTERNAL;
             EXCEPTION WHEN feature_not_supported THEN NULL; END $$;"
        )
    }

    /// The changes that are recorded.
    pub(crate) fn changes(&self) -> String {
        let (number, sql) = (&self.number, &self.recorded.sql);
        let mut out = String::new();
        for (at, (text, _)) in self.recorded.cases.iter().enumerate() {
            let _ = writeln!(out, "INSERT INTO v{number} VALUES ({at}, {});", quoted(text));
        }
        let first = quoted(&self.recorded.cases[0].0);
        let _ = writeln!(out, "INSERT INTO n{number} VALUES (0, {first}); DELETE FROM n{number};");
        if let Some(large) = self.large() {
            let _ = writeln!(out, "INSERT INTO u{number} VALUES (0, 0, ({large})::{sql}); UPDATE u{number} SET n = 1;");
        }
        out
    }

    /// A value that does not fit into a page, if the type has such.
    fn large(&self) -> Option<String> {
        Some(match self.kind.as_ref()? {
            ColumnType::Bytea => "decode(repeat('ab', 9000), 'hex')".to_owned(),
            ColumnType::Hstore => "hstore('k', repeat('x', 9000))".to_owned(),
            ColumnType::Numeric(None) if self.recorded.sql == "numeric" => {
                "('1' || repeat('3', 30000))::numeric".to_owned()
            }
            ColumnType::Array(_) => {
                let sql = &self.recorded.sql;
                let cases: Vec<_> = self.recorded.cases.iter().map(|(text, _)| quoted(text)).collect();
                format!(
                    "SELECT array_agg(e) FROM generate_series(1, 6000), (SELECT e FROM unnest(ARRAY[{}]) c, \
                     unnest(c::{sql}) e WHERE e IS NOT NULL LIMIT 1) one",
                    cases.join(", ")
                )
            }
            _ => return None,
        })
    }
}

fn columns() -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for (number, recorded) in types()?.into_iter().enumerate() {
        let Ok(kind) = resolve(&recorded.pg) else { continue };
        if let Some(mode) = mode_of(&kind).filter(|_| !recorded.cases.is_empty()) {
            columns.push(Column { recorded, kind: Some(kind), number: number.to_string(), mode });
        }
    }
    Ok(columns)
}

/// Records all sets in one run, and returns the file.
pub(crate) async fn record(reference: &Reference) -> Result<String> {
    let columns = columns()?;
    // Beside the other recordings the definitions are there already.
    let _ = reference.db.batch_execute(&definitions(&types()?)).await;
    for column in &columns {
        reference.db.batch_execute(&column.tables()).await?;
    }
    for (name, modes) in SETS {
        let topic = format!("all.{name}");
        let publication = format!("pub_{name}");
        let fixed = [
            ("publication.name", publication.as_str()),
            ("publication.autocreate.mode", "filtered"),
            ("table.include.list", r"public\.[vnu][0-9]+"),
            ("snapshot.mode", "no_data"),
            ("event.processing.failure.handling.mode", "warn"),
            ("tombstones.on.delete", "false"),
            ("transforms", "one"),
            ("transforms.one.type", "org.apache.kafka.connect.transforms.RegexRouter"),
            ("transforms.one.regex", ".*"),
            ("transforms.one.replacement", &topic),
        ];
        let settings: Vec<_> = fixed.into_iter().chain(KEYS.into_iter().zip(modes)).collect();
        reference.connector(name, &settings).await?;
        eprintln!("  {name} streams");
    }
    for column in &columns {
        let changes = column.changes();
        let done = reference.db.batch_execute(&changes).await;
        done.map_err(|error| format!("{}: {error:?}\n{changes}", column.recorded.sql))?;
    }
    let mut sets = Vec::new();
    for (name, modes) in SETS {
        reference.settled(name).await?;
        let values = Values::of(&reference.records(&format!("all.{name}"))?);
        reference.remove(name).await?;
        sets.push((modes, values));
    }
    Ok(file(reference, &columns, &sets))
}

/// The JSON texts of column `v`, by table and id; of inserts, of deletes, and of updates.
#[derive(Default)]
pub(crate) struct Values {
    pub(crate) inserted: BTreeMap<(String, usize), String>,
    /// Rows of a snapshot.
    pub(crate) read: BTreeMap<(String, usize), String>,
    pub(crate) deleted: BTreeMap<String, String>,
    pub(crate) updated: BTreeMap<String, String>,
    /// The rows that came, with the column or without: table, id, and operation.
    pub(crate) seen: BTreeSet<(String, usize, String)>,
}

impl Values {
    pub(crate) fn of(records: &[Kept]) -> Self {
        let mut values = Self::default();
        for record in records.iter().filter_map(|record| record.value.as_ref()) {
            let Ok(parsed) = serde_json::from_str::<Value>(record) else { continue };
            let table = parsed["source"]["table"].as_str().unwrap_or_default().to_owned();
            let op = parsed["op"].as_str().unwrap_or_default();
            let image = if op == "d" { "before" } else { "after" };
            let id = parsed[image]["id"].as_u64().and_then(|id| usize::try_from(id).ok()).unwrap_or_default();
            values.seen.insert((table.clone(), id, op.to_owned()));
            let Some(raw) = raw_value(record, image) else { continue };
            match op {
                "r" => drop(values.read.insert((table, id), raw)),
                "c" => drop(values.inserted.insert((table, id), raw)),
                "d" => drop(values.deleted.insert(table, raw)),
                _ => drop(values.updated.insert(table, raw)),
            }
        }
        values
    }
}

/// The text of `v` in an image, as it was written: it is the image's last field, and another image or `source` follows.
fn raw_value(record: &str, image: &str) -> Option<String> {
    let (_, rest) = record.split_once(&format!("\"{image}\":{{\"id\":"))?;
    let (_, rest) = rest.split_once("\"v\":")?;
    let end = if image == "before" { "},\"after\":" } else { "},\"source\":" };
    rest.split_once(end).map(|(raw, _)| raw.to_owned())
}

fn file(reference: &Reference, columns: &[Column], sets: &[([&str; 5], Values)]) -> String {
    let about = json!({
        "what": "The JSON that Debezium wrote for the values of values.json, under its modes",
        "versions": {
            "debezium-connector-postgres": reference.debezium.version(),
            "kafka-connect": CONNECT_VERSION,
        },
        "made_by": "cargo run -p datapipe-e2e --bin record",
        "cases": "after.v of an INSERT, streamed, in the order of values.json; null where the field is missing",
        "fallback": "before.v of a DELETE where the column is NOT NULL and not part of the replica identity",
        "unchanged": "after.v of an UPDATE that leaves a TOASTed v alone",
    });
    let mut out = format!("{{\"about\":{about},\n\"sets\":[\n");
    let mut seen: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); KEYS.len()];
    for (at, (modes, values)) in sets.iter().enumerate() {
        // A type is recorded once under each value of its mode.
        let new: Vec<bool> = seen.iter_mut().zip(modes).map(|(seen, mode)| seen.insert(mode)).collect();
        let columns = columns.iter().filter(|column| new[column.mode]);
        let modes: BTreeMap<_, _> = KEYS.into_iter().zip(modes).collect();
        let _ = writeln!(out, "{}{{\"modes\":{},\"types\":[", if at > 0 { ",\n" } else { "" }, json!(modes));
        for (at, column) in columns.enumerate() {
            let number = &column.number;
            let cases: Vec<_> =
                (0..column.recorded.cases.len()).map(|id| values.inserted.get(&(format!("v{number}"), id))).collect();
            let line = json!({
                "sql": column.recorded.sql,
                "cases": cases,
                "fallback": values.deleted.get(&format!("n{number}")),
                "unchanged": values.updated.get(&format!("u{number}")),
            });
            let _ = write!(out, "{}{line}", if at > 0 { ",\n" } else { "" });
        }
        out.push_str("\n]}");
    }
    out.push_str("\n]}\n");
    out
}
