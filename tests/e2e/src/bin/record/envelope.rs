//! Whole records of every kind of change, with the replication messages of the same changes: under each replica
//! identity, of columns that are left out, masked or cut off, with other keys, and with their transactions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use datapipe_e2e::Result;
use datapipe_embedded::CONNECT_VERSION;
use serde_json::{Value, json};

use crate::catalog;
use crate::reference::{Kept, Reference};
use crate::shared::Schemas;

/// Statements before the connectors are made, one or several a line.
const SETUP: &str = include_str!("envelope/setup.sql");
/// Statements while they stream, each line a transaction of its own.
const CHANGES: &str = include_str!("envelope/changes.sql");

/// Keys of a connector, with their values.
type Keys = &'static [(&'static str, &'static str)];

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const KEYS: (&str, &str) = ("key.converter.schemas.enable", "true");
const VALUES: (&str, &str) = ("value.converter.schemas.enable", "true");

/// The connectors: a name, which is the prefix of its topics too, the tables, and its keys.
const CASES: &[(&str, &str, Keys)] = &[
    ("plain", r"public\.e_.*", &[("extended.headers.enabled", "true")]),
    ("one", r"public\.e_default", &[("provide.transaction.metadata", "true")]),
    (
        "masked",
        r"public\.[mx]_.*",
        &[
            ("column.truncate.to.3.chars", r"public\.m_truncate\..*,public\.m_both\.v,public\.m_large\.t"),
            ("column.mask.with.5.chars", r"public\.m_mask\..*,public\.m_both\.v,PUBLIC\.m_KEY\..*"),
            ("column.mask.with.0.chars", r"public\.m_none\..*"),
            ("column.mask.hash.SHA-256.with.salt.sa.lt", r"public\.m_hash\..*,public\.m_both\.v,public\.m_large\.h"),
            ("column.mask.hash.v2.SHA-256.with.salt.sa.lt", r"public\.m_v2\..*"),
            ("column.mask.hash.v2.MD5.with.salt.s", r"public\.m_md5\..*"),
            ("column.mask.hash.v2.SHA-1.with.salt.s", r"public\.m_sha1\..*"),
            ("column.mask.hash.SHA-512.with.salt.s", r"public\.m_sha512\..*"),
            ("column.exclude.list", r"public\.x_one\.(k2|secret), PUBLIC\.x_two\.ID"),
        ],
    ),
    ("listed", r"public\.x_.*", &[("column.include.list", r"public\.x_one\.(k1|rest),public\.X_two\.a")]),
    (
        "keyed",
        r"public\.k_.*",
        &[("message.key.columns", r"public\.k_none:b,a;public\.k_pk:code;(.*)\.K_FULL:note,code")],
    ),
    (
        "typed",
        r"public\.(e_(default|given|composite|nopk)|m_(truncate|mask|hash|key|both)|x_.*)",
        &[
            KEYS,
            VALUES,
            ("column.truncate.to.3.chars", r"public\.m_truncate\..*,public\.m_both\.v"),
            ("column.mask.with.5.chars", r"public\.m_mask\..*,public\.m_both\.v,PUBLIC\.m_KEY\..*"),
            ("column.mask.hash.SHA-256.with.salt.sa.lt", r"public\.m_hash\..*,public\.m_both\.v"),
            ("column.exclude.list", r"public\.x_one\.(k2|secret), PUBLIC\.x_two\.ID"),
        ],
    ),
    ("told", r"public\.e_given", &[KEYS, VALUES, ("provide.transaction.metadata", "true")]),
    (
        "typedkeys",
        r"public\.k_.*",
        &[KEYS, VALUES, ("message.key.columns", r"public\.k_none:b,a;public\.k_pk:code;(.*)\.K_FULL:note,code")],
    ),
    ("s1", r"public\.s_1", &[]),
    ("s2", r"public\.s_2", &[]),
    ("s4", r"public\.s_4", &[]),
];

/// Records all cases in one run, and returns the file.
pub(crate) async fn record(reference: &Reference) -> Result<String> {
    let db = &reference.db;
    for line in SETUP.lines() {
        db.batch_execute(line).await.map_err(|error| format!("{line}: {error:?}"))?;
    }
    let tables = catalog::tables(db, "^[emxks]_").await?;
    let mut rows = BTreeMap::new();
    for (name, table) in &tables {
        let snapshot = snapshot_rows(reference, name, table).await?;
        if !snapshot.is_empty() {
            rows.insert(name, snapshot);
        }
    }
    let list = tables.keys().cloned().collect::<Vec<_>>().join(", ");
    db.batch_execute(&format!("CREATE PUBLICATION all_tables FOR TABLE {list}")).await?;
    db.batch_execute("CREATE PUBLICATION one_table FOR TABLE e_default").await?;
    db.batch_execute("CREATE PUBLICATION told_table FOR TABLE e_given").await?;
    for (name, tables, own) in CASES {
        let fixed = [
            ("publication.name", publication(name)),
            ("publication.autocreate.mode", "disabled"),
            ("table.include.list", tables),
            ("snapshot.mode", "initial"),
            ("skipped.operations", "none"),
            ("decimal.handling.mode", "string"),
            ("time.precision.mode", "isostring"),
            ("message.prefix.exclude.list", ".*"),
        ];
        // The keys of a converter count only beside the converter itself.
        let converter = [
            ("key.converter", JSON),
            ("key.converter.schemas.enable", "false"),
            ("value.converter", JSON),
            ("value.converter.schemas.enable", "false"),
        ];
        let converter = converter.into_iter().filter(|_| *name != "plain");
        let settings: Vec<_> = fixed.into_iter().chain(converter).chain(own.iter().copied()).collect();
        reference.connector(name, &settings).await?;
        eprintln!("  {name} streams");
    }
    db.batch_execute("SELECT pg_create_logical_replication_slot('messages', 'pgoutput')").await?;
    for line in CHANGES.lines() {
        db.batch_execute(line).await.map_err(|error| format!("{line}: {error:?}"))?;
    }
    let messages = messages(reference).await?;
    let (mut cases, mut schemas) = (Vec::new(), Schemas::default());
    for (name, _, own) in CASES {
        reference.settled(name).await?;
        let mut records = reference.records(&format!("{name}."))?;
        let heartbeats = reference.records(&format!("__debezium-heartbeat.{name}"))?;
        records.extend(heartbeats.into_iter().take(1));
        reference.remove(name).await?;
        eprintln!("  {name}: {} records", records.len());
        cases.push((name, own, schemas.shorten(records)));
    }
    Ok(shortened(&file(reference, &tables, &rows, &messages, &cases, &schemas)))
}

fn publication(name: &str) -> &'static str {
    match name {
        "one" => "one_table",
        "told" => "told_table",
        _ => "all_tables",
    }
}

/// The rows as PostgreSQL's text.
async fn snapshot_rows(reference: &Reference, name: &str, table: &Value) -> Result<Vec<Vec<Option<String>>>> {
    let columns: Vec<_> = table["columns"].as_array().into_iter().flatten().map(|column| &column["name"]).collect();
    let texts: Vec<_> = columns
        .iter()
        .map(|name| format!("\"{}\"::text", name.as_str().unwrap_or_default().replace('"', "\"\"")))
        .collect();
    let rows = reference.db.query(&format!("SELECT {} FROM {name} ORDER BY 1", texts.join(", ")), &[]).await?;
    Ok(rows.iter().map(|row| (0..texts.len()).map(|at| row.get(at)).collect()).collect())
}

async fn messages(reference: &Reference) -> Result<Vec<[String; 2]>> {
    let peek = "SELECT lsn::text, encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('messages', NULL, NULL,
        'proto_version', '1', 'publication_names', 'all_tables')";
    let rows = reference.db.query(peek, &[]).await?;
    let messages = rows.iter().map(|row| [row.get(0), row.get(1)]).collect();
    reference.db.batch_execute("SELECT pg_drop_replication_slot('messages')").await?;
    Ok(messages)
}

/// A connector's name, its keys, and what it wrote.
type Case<'a> = (&'a &'static str, &'a Keys, Vec<Kept>);

fn file(
    reference: &Reference,
    tables: &BTreeMap<String, Value>,
    rows: &BTreeMap<&String, Vec<Vec<Option<String>>>>,
    messages: &[[String; 2]],
    cases: &[Case<'_>],
    schemas: &Schemas,
) -> String {
    let about = json!({
        "what": "Whole records as Debezium wrote them, and the replication messages of the same changes",
        "versions": {
            "debezium-connector-postgres": reference.debezium.version(),
            "kafka-connect": CONNECT_VERSION,
        },
        "made_by": "cargo run -p datapipe-e2e --bin record envelope",
        "messages": "lsn and data of a slot of its own, proto_version 1; what they do not say of a table is in tables",
        "cases": "by topic, then by offset; of the heartbeats the first one; connectors are named as their topic.prefix",
        "short": "<2500 x> stands for 2,500 times x, so that values are TOASTed, and <schema 0> for the first of schemas",
    });
    let lines = |lines: Vec<String>| lines.join(",\n");
    let table = |(name, table): (&String, &Value)| format!("{}:{table}", json!(name));
    let row = |(name, rows): (&&String, &Vec<_>)| format!("{}:{}", json!(name), json!(rows));
    let mut out = format!("{{\"about\":{about},\n\"tables\":{{\n{}}},\n", lines(tables.iter().map(table).collect()));
    let _ = write!(out, "\"snapshot_rows\":{{\n{}}},\n", lines(rows.iter().map(row).collect()));
    let _ = write!(
        out,
        "\"messages\":[\n{}],\n",
        lines(messages.iter().map(|message| json!(message).to_string()).collect())
    );
    let _ = writeln!(out, "\"schemas\":{},", schemas.file());
    let case = |(name, own, records): &Case<'_>| {
        let own: BTreeMap<_, _> = own.iter().copied().collect();
        let records = lines(records.iter().map(|record| json!(record).to_string()).collect());
        format!("{{\"prefix\":{},\"config\":{},\"records\":[\n{records}]}}", json!(name), json!(own))
    };
    let _ = write!(out, "\"cases\":[\n{}]}}\n", lines(cases.iter().map(case).collect()));
    out
}

fn shortened(text: &str) -> String {
    let mut text = text.to_owned();
    for part in ["78", "79", "x", "y"] {
        text = text.replace(&part.repeat(2500), &format!("<2500 {part}>"));
    }
    text
}
