//! The schemas that Kafka Connect's JSON converter puts into records, for every type under every mode.

use std::collections::BTreeMap;

use datapipe_core::value::resolve;
use datapipe_e2e::Result;
use datapipe_e2e::recorded::{Recorded, definitions, quoted, types};
use datapipe_embedded::CONNECT_VERSION;
use serde_json::json;

use crate::modes::{KEYS, SETS};
use crate::reference::{Kept, Reference};

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
    for (name, modes) in SETS {
        let (name, publication, topic) = (format!("s{name}"), format!("pub_s{name}"), format!("all.s{name}"));
        let fixed = [
            ("publication.name", publication.as_str()),
            ("publication.autocreate.mode", "filtered"),
            ("table.include.list", r"public\.q[0-9]+"),
            ("snapshot.mode", "no_data"),
            ("event.processing.failure.handling.mode", "warn"),
            ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("key.converter.schemas.enable", "true"),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("value.converter.schemas.enable", "true"),
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
    let mut sets = Vec::new();
    for (name, modes) in SETS {
        let name = format!("s{name}");
        reference.settled(&name).await?;
        let records = reference.records(&format!("all.{name}"))?;
        reference.remove(&name).await?;
        let of = |number: usize| records.iter().find_map(|record| fields(record, &name, number));
        let fields: Vec<_> = (0..columns.len()).map(of).collect();
        let first = records.iter().find(|record| self::fields(record, &name, 0).is_some()).ok_or("no record came")?;
        let whole = json!([schema(first.key.as_ref())?, schema(first.value.as_ref())?]);
        let modes: BTreeMap<_, _> = KEYS.into_iter().zip(modes).collect();
        sets.push(json!({ "prefix": name, "modes": modes, "whole": whole, "fields": fields }).to_string());
    }
    let columns: Vec<_> = columns.iter().map(|recorded| recorded.sql.clone()).collect();
    let about = json!({
        "what": "The schemas of tables q0.. (id int8 PRIMARY KEY, a TYPE, b TYPE NOT NULL), as text: of the first one those of \
                 key and value, of each one the fields a and b; null where no record came",
        "versions": { "debezium-connector-postgres": reference.debezium.version(), "kafka-connect": CONNECT_VERSION },
        "made_by": "cargo run -p datapipe-e2e --bin record schemas",
    });
    let sets = sets.join(",\n");
    Ok(format!("{{\"about\":{about},\n\"columns\":{},\n\"sets\":[\n{sets}\n]}}\n", json!(columns)))
}

/// The fields after `id` in the image's schema, as they were written.
fn fields(record: &Kept, prefix: &str, number: usize) -> Option<String> {
    let end = format!("],\"optional\":true,\"name\":\"{prefix}.public.q{number}.Value\"");
    let (before, _) = record.value.as_ref()?.split_once(&end)?;
    let (_, fields) = before.split_once("\"field\":\"id\"}")?;
    Some(fields.trim_start_matches(',').to_owned())
}

fn schema(record: Option<&String>) -> Result<String> {
    let text = record.and_then(|text| text.strip_prefix("{\"schema\":")?.split_once(",\"payload\":"));
    Ok(text.ok_or("a record without a schema")?.0.to_owned())
}
