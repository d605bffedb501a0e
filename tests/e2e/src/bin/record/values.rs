//! Every type, and what becomes of each of its values, in a stream and in a snapshot. What is recorded is said by the file
//! itself: the types and the texts of their values are taken from it, all else is written anew.

use std::collections::BTreeMap;

use datapipe_core::value::resolve;
use datapipe_e2e::Result;
use datapipe_e2e::recorded::{Recorded, definitions, folder, types};
use datapipe_embedded::CONNECT_VERSION;
use serde_json::{Value, json};

use crate::modes::{Column, Values};
use crate::reference::Reference;

/// The forms that the plan asks for.
const FORMS: [(&str, &str); 2] = [("decimal.handling.mode", "string"), ("time.precision.mode", "isostring")];

/// Records the types in two runs, and returns the file.
pub(crate) async fn record(reference: &Reference) -> Result<String> {
    let all = types()?;
    let _ = reference.db.batch_execute(&definitions(&all)).await;
    let column = |(at, recorded): (usize, &Recorded)| Column {
        recorded: recorded.clone(),
        kind: resolve(&recorded.pg).ok(),
        number: format!("t{at}"),
        mode: 0,
    };
    let columns: Vec<Column> = all.iter().enumerate().map(column).collect();
    for column in &columns {
        let made = reference.db.batch_execute(&column.tables()).await;
        made.map_err(|error| format!("{}: {error:?}", column.recorded.sql))?;
    }
    let connector = async |name: &str, tables: &str, snapshot: &str| {
        let (publication, topic) = (format!("pub_{name}"), format!("all.{name}"));
        let fixed = [
            ("publication.name", publication.as_str()),
            ("publication.autocreate.mode", "filtered"),
            ("table.include.list", tables),
            ("snapshot.mode", snapshot),
            ("event.processing.failure.handling.mode", "warn"),
            ("tombstones.on.delete", "false"),
            ("transforms", "one"),
            ("transforms.one.type", "org.apache.kafka.connect.transforms.RegexRouter"),
            ("transforms.one.regex", ".*"),
            ("transforms.one.replacement", &topic),
        ];
        reference.connector(name, &fixed.into_iter().chain(FORMS).collect::<Vec<_>>()).await
    };
    connector("vstream", r"public\.[vnu]t[0-9]+", "no_data").await?;
    for column in &columns {
        let changes = (!column.recorded.cases.is_empty()).then(|| column.changes());
        for change in changes.into_iter().chain(toasted(column)) {
            let done = reference.db.batch_execute(&change).await;
            done.map_err(|error| format!("{}: {error:?}\n{change}", column.recorded.sql))?;
        }
    }
    reference.settled("vstream").await?;
    let streamed = Values::of(&reference.records("all.vstream")?);
    reference.remove("vstream").await?;
    connector("vsnapshot", r"public\.vt[0-9]+", "initial").await?;
    reference.settled("vsnapshot").await?;
    let snapshot = Values::of(&reference.records("all.vsnapshot")?);
    reference.remove("vsnapshot").await?;
    let postgres: String = reference.db.query_one("SHOW server_version", &[]).await?.get(0);
    file(reference, &postgres, &columns, &streamed, &snapshot)
}

/// The change of a row whose value is TOASTed, of types that the modes do not concern.
fn toasted(column: &Column) -> Option<String> {
    let long = match column.recorded.sql.as_str() {
        "text" | "varchar" | "bpchar" | "citext" | "d_text" => "repeat('x', 9000)",
        "json" | "jsonb" => "('\"' || repeat('x', 9000) || '\"')",
        "xml" => "('<a>' || repeat('x', 9000) || '</a>')",
        "varbit" => "repeat('1', 80000)",
        "numrange" => "('[1,' || repeat('9', 9000) || ')')",
        "tsvector" => "(SELECT string_agg(md5(n::text), ' ') FROM generate_series(1, 600) n)",
        "ltree" => "(SELECT string_agg(repeat('a', 200), '.') FROM generate_series(1, 60))",
        _ => return None,
    };
    let (number, sql) = (&column.number, &column.recorded.sql);
    Some(format!("INSERT INTO u{number} VALUES (0, 0, {long}::{sql}); UPDATE u{number} SET n = 1;"))
}

fn file(
    reference: &Reference,
    postgres: &str,
    columns: &[Column],
    streamed: &Values,
    snapshot: &Values,
) -> Result<String> {
    let about = json!({
        "what": "PostgreSQL's text of values, and the JSON that Debezium wrote for them",
        "versions": {
            "debezium-connector-postgres": reference.debezium.version(),
            "kafka-connect": CONNECT_VERSION,
            "postgresql": postgres,
        },
        "made_by": "cargo run -p datapipe-e2e --bin record values",
        "connector": BTreeMap::from(FORMS),
        "text": "COPY TO STDOUT in a session with TimeZone=UTC, DateStyle=ISO, IntervalStyle=postgres, extra_float_digits=3, \
                 bytea_output=hex, unescaped",
        "cases": "text, and the JSON of after.v of a streamed INSERT; null where the field is missing, MISSING where no record came",
        "snapshot": "where the snapshot's JSON differed",
        "fallback": "before.v of a DELETE where the column is NOT NULL and not part of the replica identity",
        "unchanged": "after.v of an UPDATE that leaves a TOASTed v alone",
        "floats": "digits are those of the JDK: since 19 they are the shortest ones",
    });
    let before: Value = serde_json::from_str(&std::fs::read_to_string(folder().join("values.json"))?)?;
    let mut lines = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let Column { recorded, kind, number, .. } = column;
        let table = format!("v{number}");
        let json = |id: usize| match streamed.inserted.get(&(table.clone(), id)) {
            Some(json) => json!(lasting(json)),
            None if streamed.seen.contains(&(table.clone(), id, "c".to_owned())) => Value::Null,
            None => json!("MISSING"),
        };
        let texts = recorded.cases.iter().map(|(text, _)| text).enumerate();
        let cases: Vec<_> = texts.clone().map(|(id, text)| json!([text, json(id)])).collect();
        let other = |(id, text): (usize, &String)| {
            let found = lasting(snapshot.read.get(&(table.clone(), id))?);
            let same = streamed.inserted.get(&(table.clone(), id)).is_some_and(|json| lasting(json) == found);
            (!same).then(|| (text.clone(), json!(found)))
        };
        let others: serde_json::Map<_, _> = texts.filter_map(other).collect();
        let fallback = streamed.deleted.get(&format!("n{number}")).map(|json| json!(lasting(json)));
        let came = streamed.seen.contains(&(format!("n{number}"), 0, "d".to_owned()));
        let missing = || if came || kind.is_none() { Value::Null } else { json!("MISSING") };
        lines.push(format!(
            "{{\"sql\":{},\"pg\":{},\"cases\":{},\"snapshot\":{},\"unchanged\":{},\"fallback\":{}}}",
            json!(recorded.sql),
            described(&before["types"][at]["pg"]),
            json!(cases),
            json!(others),
            json!(streamed.updated.get(&format!("u{number}"))),
            fallback.unwrap_or_else(missing),
        ));
    }
    Ok(format!("{{\"about\":{about},\n\"types\":[\n{}\n]}}\n", lines.join(",\n")))
}

/// Without what each run has its own of (the identities that Java shows of arrays), and without thousands of zeros.
fn lasting(json: &str) -> String {
    const ZEROS: usize = 100;
    if let Some(at) = json.find(&"0".repeat(ZEROS)) {
        return format!("{}...\"", &json[..at + 40]);
    }
    let mut parts = json.split(";@");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out += ";@";
        out += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out
}

/// A type's description in the order in which it is read.
fn described(pg: &Value) -> String {
    if pg.is_null() {
        return "null".to_owned();
    }
    let mut parts: Vec<String> =
        ["oid", "schema", "name", "kind", "category"].map(|key| format!("\"{key}\":{}", pg[key])).to_vec();
    parts.extend(["element", "base"].map(|key| format!("\"{key}\":{}", described(&pg[key]))));
    parts.push(format!("\"modifier\":{}", pg["modifier"]));
    parts.extend(pg.get("labels").map(|labels| format!("\"labels\":{labels}")));
    format!("{{{}}}", parts.join(","))
}
