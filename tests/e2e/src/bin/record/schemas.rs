//! The schemas that Kafka Connect's JSON converter puts into records, for every type under every mode.

use std::collections::BTreeMap;

use datapipe_core::value::resolve;
use datapipe_e2e::Result;
use datapipe_e2e::recorded::{Recorded, definitions, quoted, types};
use datapipe_embedded::CONNECT_VERSION;
use serde_json::json;

use crate::catalog;
use crate::modes::{KEYS, SETS};
use crate::reference::{Kept, Reference};

/// Columns with a default: the type, and the expression.
const DEFAULTS: &str = include_str!("schemas/defaults.txt");

/// Two tables with all defaults, the columns of `c_need` being NOT NULL.
fn defaulted() -> String {
    let columns = |need: &str| -> String {
        let column = |(at, line): (usize, &str)| match line.split_once(" = ") {
            // A NULL as the default of a NOT NULL column lets nothing be inserted.
            Some((sql, "NULL")) => format!(", c{at} {sql} DEFAULT NULL"),
            Some((sql, default)) => format!(", c{at} {sql}{need} DEFAULT {default}"),
            None => format!(", c{at} {line}{need}"),
        };
        DEFAULTS.lines().enumerate().map(column).collect()
    };
    format!(
        "CREATE TABLE c_null (id int8 PRIMARY KEY{}); CREATE TABLE c_need (id int8 PRIMARY KEY{});",
        columns(""),
        columns(" NOT NULL")
    )
}

/// Records all sets in one run, and returns the file.
pub(crate) async fn record(reference: &Reference) -> Result<String> {
    let all = types()?;
    let served = |recorded: &&Recorded| resolve(&recorded.pg).is_ok() && !recorded.cases.is_empty();
    let columns: Vec<&Recorded> = all.iter().filter(served).collect();
    // Beside the other recordings the definitions are there already.
    let _ = reference.db.batch_execute(&definitions(&all)).await;
    for (number, recorded) in columns.iter().enumerate() {
        let sql = &recorded.sql;
        let table = format!("CREATE TABLE q{number} (id int8 PRIMARY KEY, a {sql}, b {sql} NOT NULL)");
        reference.db.batch_execute(&table).await?;
    }
    reference.db.batch_execute("CREATE SEQUENCE c_sequence").await?;
    reference.db.batch_execute(&defaulted()).await?;
    let defaults = catalog::tables(&reference.db, "^c_(null|need)$").await?;
    for (name, modes) in SETS {
        let (name, publication, topic) = (format!("s{name}"), format!("pub_s{name}"), format!("all.s{name}"));
        let fixed = [
            ("publication.name", publication.as_str()),
            ("publication.autocreate.mode", "filtered"),
            ("table.include.list", r"public\.(q[0-9]+|c_.*)"),
            ("snapshot.mode", "no_data"),
            ("event.processing.failure.handling.mode", "warn"),
            ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("key.converter.schemas.enable", "true"),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("value.converter.schemas.enable", "true"),
            // So that a default is seen in the place of NULL.
            ("value.converter.replace.null.with.default", "true"),
            // A topic per table would take minutes to make.
            ("transforms", "one"),
            ("transforms.one.type", "org.apache.kafka.connect.transforms.RegexRouter"),
            ("transforms.one.regex", ".*"),
            ("transforms.one.replacement", &topic),
        ];
        let settings: Vec<_> = fixed.into_iter().chain(KEYS.into_iter().zip(modes)).collect();
        reference.connector(&name, &settings).await?;
    }
    for (number, recorded) in columns.iter().enumerate() {
        let value = quoted(&recorded.cases[0].0);
        reference.db.batch_execute(&format!("INSERT INTO q{number} VALUES (1, {value}, {value})")).await?;
    }
    // Columns of a serial type are NOT NULL.
    let null = |line: &str| if line.contains(" = ") { "NULL" } else { "DEFAULT" };
    let nulls: Vec<_> = DEFAULTS.lines().map(null).collect();
    reference.db.batch_execute(&format!("INSERT INTO c_null VALUES (1, {})", nulls.join(", "))).await?;
    reference.db.batch_execute("INSERT INTO c_need (id) VALUES (1)").await?;
    reference.db.batch_execute("DELETE FROM c_need").await?;
    let mut sets = Vec::new();
    for (name, modes) in SETS {
        let name = format!("s{name}");
        reference.settled(&name).await?;
        let records = reference.records(&format!("all.{name}"))?;
        reference.remove(&name).await?;
        let of = |number: usize| records.iter().find_map(|record| fields(record, &name, &format!("q{number}")));
        let of_defaults = |table: &str| records.iter().find_map(|record| fields(record, &name, table));
        let image = |table: &str, op: &str, image: &str| {
            let mut values = records.iter().filter_map(|record| record.value.as_ref());
            let is = |value: &&String| {
                value.contains(&format!("\"table\":\"{table}\"")) && value.contains(&format!("\"op\":\"{op}\""))
            };
            let (_, payload) = values.find(is)?.split_once(",\"payload\":")?;
            let (_, rest) = payload.split_once(&format!("\"{image}\":{{"))?;
            let end = if image == "before" { "},\"after\":" } else { "},\"source\":" };
            rest.split_once(end).map(|(fields, _)| fields.to_owned())
        };
        let fields: Vec<_> = (0..columns.len()).map(of).collect();
        let first =
            records.iter().find(|record| self::fields(record, &name, "q0").is_some()).ok_or("no record came")?;
        let whole = json!([schema(first.key.as_ref())?, schema(first.value.as_ref())?]);
        let modes: BTreeMap<_, _> = KEYS.into_iter().zip(modes).collect();
        sets.push(
            json!({ "prefix": name, "modes": modes, "whole": whole, "fields": fields,
            "c_null": [of_defaults("c_null"), image("c_null", "c", "after")],
            "c_need": [of_defaults("c_need"), image("c_need", "d", "before")] })
            .to_string(),
        );
    }
    let columns: Vec<_> = columns.iter().map(|recorded| recorded.sql.clone()).collect();
    let about = json!({
        "what": "The schemas of tables q0.. (id int8 PRIMARY KEY, a TYPE, b TYPE NOT NULL), as text: of the first one those of \
                 key and value, of each one the fields a and b; null where no record came. Tables c_null and c_need have \
                 columns with defaults: the fields, and an image that has no value of any",
        "versions": { "debezium-connector-postgres": reference.debezium.version(), "kafka-connect": CONNECT_VERSION },
        "made_by": "cargo run -p datapipe-e2e --bin record schemas",
    });
    let sets = sets.join(",\n");
    Ok(format!(
        "{{\"about\":{about},\n\"columns\":{},\n\"defaults\":{},\n\"sets\":[\n{sets}\n]}}\n",
        json!(columns),
        json!(defaults)
    ))
}

/// The fields after `id` in the image's schema, as they were written.
fn fields(record: &Kept, prefix: &str, table: &str) -> Option<String> {
    let end = format!("],\"optional\":true,\"name\":\"{prefix}.public.{table}.Value\"");
    let (before, _) = record.value.as_ref()?.split_once(&end)?;
    let (_, fields) = before.split_once("\"field\":\"id\"}")?;
    Some(fields.trim_start_matches(',').to_owned())
}

fn schema(record: Option<&String>) -> Result<String> {
    let text = record.and_then(|text| text.strip_prefix("{\"schema\":")?.split_once(",\"payload\":"));
    Ok(text.ok_or("a record without a schema")?.0.to_owned())
}
