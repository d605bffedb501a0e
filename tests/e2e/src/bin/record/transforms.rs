//! The same changes through connectors with and without transforms.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use datapipe_e2e::Result;
use datapipe_embedded::CONNECT_VERSION;
use serde_json::json;
use tokio::time::sleep;

use crate::reference::{Kept, Reference};
use crate::shared::Schemas;

const TABLES: &str = "
    CREATE TABLE t_full (id int PRIMARY KEY, name text, secret text, n int, f float8, b boolean, doc jsonb);
    ALTER TABLE t_full REPLICA IDENTITY FULL;
    CREATE TABLE t_key (id int PRIMARY KEY, name text NOT NULL, secret text, n int);";

const CHANGES: &str = "
    INSERT INTO t_full VALUES (1, 'a', 's3cret', 5, 1.5, true, '{\"k\": [1]}');
    INSERT INTO t_full VALUES (2, NULL, NULL, NULL, NULL, NULL, NULL);
    UPDATE t_full SET name = 'b' WHERE id = 1;
    UPDATE t_full SET id = 3 WHERE id = 1;
    DELETE FROM t_full WHERE id = 2;
    INSERT INTO t_key VALUES (1, 'x', 'y', 7);
    UPDATE t_key SET n = 8 WHERE id = 1;
    DELETE FROM t_key WHERE id = 1;
    TRUNCATE t_full;
    INSERT INTO t_full VALUES (9, 'last', '', 0, -0.25, false, 'null');";

const UNWRAP: &str = "io.debezium.transforms.ExtractNewRecordState";
const ROUTE: &str = "org.apache.kafka.connect.transforms.RegexRouter";
const LOGICAL: &str = "io.debezium.transforms.ByLogicalTableRouter";
const REPLACE_VALUE: &str = "org.apache.kafka.connect.transforms.ReplaceField$Value";
const REPLACE_KEY: &str = "org.apache.kafka.connect.transforms.ReplaceField$Key";
const MASK_VALUE: &str = "org.apache.kafka.connect.transforms.MaskField$Value";
const FILTER: &str = "org.apache.kafka.connect.transforms.Filter";
const TOMBSTONE: &str = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone";
const TOPIC: &str = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";
const HEADER: &str = "org.apache.kafka.connect.transforms.predicates.HasHeaderKey";

/// The masks fail at a tombstone.
const DROP: (&str, &str) = ("a.delete.tombstone.handling.mode", "drop");

/// The transforms of one connector: `name.key=value` each, in order of the names.
const CASES: &[&[(&str, &str)]] = &[
    &[("unwrap.type", UNWRAP)],
    &[("unwrap.type", UNWRAP), ("unwrap.delete.tombstone.handling.mode", "drop")],
    &[("unwrap.type", UNWRAP), ("unwrap.delete.tombstone.handling.mode", "rewrite")],
    &[("unwrap.type", UNWRAP), ("unwrap.delete.tombstone.handling.mode", "rewrite-with-tombstone")],
    &[("unwrap.type", UNWRAP), ("unwrap.delete.tombstone.handling.mode", "delete-to-tombstone")],
    &[
        ("unwrap.type", UNWRAP),
        ("unwrap.delete.tombstone.handling.mode", "rewrite"),
        ("unwrap.add.fields", "op,table,source.txId,lsn:position,ts_ms"),
        ("unwrap.add.headers", "op,db,source.lsn:place"),
    ],
    &[
        ("unwrap.type", UNWRAP),
        ("unwrap.add.fields", "op,schema"),
        ("unwrap.add.fields.prefix", "meta_"),
        ("unwrap.add.headers", "table"),
        ("unwrap.add.headers.prefix", "h."),
    ],
    &[("unwrap.type", UNWRAP), ("unwrap.route.by.field", "name")],
    &[("route.type", ROUTE), ("route.regex", r"([^.]+)\.([^.]+)\.t_(.*)"), ("route.replacement", "$1.routed.$3")],
    &[("route.type", ROUTE), ("route.regex", "full"), ("route.replacement", "never")],
    &[("route.type", LOGICAL), ("route.topic.regex", r"(.*)\.t_.*"), ("route.topic.replacement", "$1.all")],
    &[
        ("route.type", LOGICAL),
        ("route.topic.regex", r"(.*)\.t_.*"),
        ("route.topic.replacement", "$1.all"),
        ("route.key.enforce.uniqueness", "false"),
    ],
    &[
        ("route.type", LOGICAL),
        ("route.topic.regex", r"(.*)\.t_.*"),
        ("route.topic.replacement", "$1.all"),
        ("route.key.field.name", "from"),
        ("route.key.field.regex", r".*\.t_(.*)"),
        ("route.key.field.replacement", "$1"),
    ],
    &[("drop.type", REPLACE_VALUE), ("drop.exclude", "before,transaction,nothing")],
    &[
        ("a.type", UNWRAP),
        ("b.type", REPLACE_VALUE),
        ("b.include", "id,name,n"),
        ("b.renames", "name:title,n:count"),
        ("c.type", REPLACE_KEY),
        ("c.renames", "id:key"),
    ],
    &[("a.type", UNWRAP), DROP, ("b.type", MASK_VALUE), ("b.fields", "secret,n,f,b,doc")],
    &[("a.type", UNWRAP), DROP, ("b.type", MASK_VALUE), ("b.fields", "secret,name"), ("b.replacement", "***")],
    &[("a.type", UNWRAP), DROP, ("b.type", MASK_VALUE), ("b.fields", "n"), ("b.replacement", "42")],
    &[("a.type", FILTER), ("a.predicate", "p"), ("predicates.p.type", TOMBSTONE)],
    &[("a.type", FILTER), ("a.predicate", "p"), ("a.negate", "true"), ("predicates.p.type", TOMBSTONE)],
    &[("a.type", FILTER), ("a.predicate", "p"), ("predicates.p.type", TOPIC), ("predicates.p.pattern", r".*\.t_key")],
    &[
        ("a.type", FILTER),
        ("a.predicate", "p"),
        ("predicates.p.type", HEADER),
        ("predicates.p.name", "__debezium.newkey"),
    ],
    &[("a.type", UNWRAP), ("a.predicate", "p"), ("predicates.p.type", TOPIC), ("predicates.p.pattern", r".*\.t_key")],
];

/// Schemas are those of these connectors' keys and values.
const SCHEMAS: [(&str, &str); 4] = [
    ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("key.converter.schemas.enable", "true"),
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter.schemas.enable", "true"),
];

/// What is changed for them: NULLs where a column has a default, a delete and a truncate among it.
const TYPED_TABLES: &str = "
    CREATE TABLE t_typed (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', secret varchar(9), n int DEFAULT 5, f float8,
        b boolean, price numeric(6,2), doc jsonb);
    ALTER TABLE t_typed REPLICA IDENTITY FULL;";

const TYPED_CHANGES: &str = "
    INSERT INTO t_typed VALUES (1, 'a', 's3cret', 7, 1.5, true, 1.5, '{\"k\": [1]}');
    INSERT INTO t_typed VALUES (2, 'b', NULL, NULL, NULL, NULL, NULL, NULL);
    UPDATE t_typed SET name = 'c' WHERE id = 1;
    UPDATE t_typed SET id = 3 WHERE id = 1;
    DELETE FROM t_typed WHERE id = 2;
    TRUNCATE t_typed;";

/// The keys of a connector with these transforms.
fn config(case: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut config = BTreeMap::new();
    let (mut transforms, mut predicates): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (key, value) in case {
        if let Some(rest) = key.strip_prefix("predicates.") {
            predicates.extend(rest.split('.').next());
            config.insert((*key).to_owned(), (*value).to_owned());
        } else {
            transforms.extend(key.split('.').next());
            config.insert(format!("transforms.{key}"), (*value).to_owned());
        }
    }
    transforms.dedup();
    predicates.dedup();
    for (key, names) in [("transforms", transforms), ("predicates", predicates)] {
        if !names.is_empty() {
            config.insert(key.to_owned(), names.join(","));
        }
    }
    config
}

/// Records all cases in one run, and returns the file.
pub(crate) async fn record(reference: &Reference) -> Result<String> {
    reference.db.batch_execute(TABLES).await?;
    reference.db.batch_execute(TYPED_TABLES).await?;
    let plain = std::iter::once(BTreeMap::new()).chain(CASES.iter().map(|case| config(case)));
    let typed = plain.clone().map(|mut config| {
        config.extend(SCHEMAS.map(|(key, value)| (key.to_owned(), value.to_owned())));
        config
    });
    let (mut recorded, mut schemas) = (Vec::new(), Schemas::default());
    for (at, config) in plain.enumerate() {
        let case = (format!("tr{at:02}"), config, r"public\.t_(full|key)", CHANGES);
        recorded.push(record_case(reference, case).await?);
    }
    for (at, config) in typed.enumerate() {
        let case = (format!("ts{at:02}"), config, r"public\.t_typed", TYPED_CHANGES);
        let (config, records) = record_case(reference, case).await?;
        recorded.push((config, schemas.shorten(records)));
    }
    let about = json!({
        "what": "What the same changes become through transforms; the first case has none",
        "versions": {
            "debezium-connector-postgres": reference.debezium.version(),
            "kafka-connect": CONNECT_VERSION,
        },
        "made_by": "cargo run -p datapipe-e2e --bin record",
        "order": "by topic, then by offset",
        "short": "<schema 0> stands for the first of schemas",
    });
    let mut out = format!("{{\"about\":{about},\n\"schemas\":{},\n\"cases\":[", schemas.file());
    for (at, (config, records)) in recorded.iter().enumerate() {
        let _ = write!(out, "{}\n{{\"config\":{},\"records\":[", if at > 0 { "," } else { "" }, json!(config));
        for (at, record) in records.iter().enumerate() {
            let _ = write!(out, "{}\n{}", if at > 0 { "," } else { "" }, json!(record));
        }
        out.push_str("]}");
    }
    out.push_str("\n]}\n");
    Ok(out)
}

/// What one connector makes of the changes; as many connectors as the server has slots for would not do.
async fn record_case(
    reference: &Reference,
    (name, config, tables, changes): (String, BTreeMap<String, String>, &str, &str),
) -> Result<(BTreeMap<String, String>, Vec<Kept>)> {
    let publication = format!("pub_{name}");
    let fixed = [
        ("publication.name", publication.as_str()),
        ("publication.autocreate.mode", "filtered"),
        ("table.include.list", tables),
        ("snapshot.mode", "no_data"),
        ("skipped.operations", "none"),
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "isostring"),
    ];
    let own = config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    reference.connector(&name, &fixed.into_iter().chain(own).collect::<Vec<_>>()).await?;
    for change in changes.split(';').map(str::trim).filter(|change| !change.is_empty()) {
        reference.db.batch_execute(change).await?;
    }
    // Where a filter drops the heartbeats too, nothing is ever confirmed; what there is comes at once.
    if config.contains_key("transforms.a.negate") {
        sleep(Duration::from_secs(5)).await;
    } else {
        reference.settled(&name).await?;
    }
    let records: Vec<Kept> = reference.records(&format!("{name}."))?;
    reference.remove(&name).await?;
    reference.db.batch_execute("TRUNCATE t_full, t_key, t_typed").await?;
    eprintln!("  {name}: {} records", records.len());
    Ok((config, records))
}
