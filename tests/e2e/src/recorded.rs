//! The recorded values of `crates/core/tests/values.json`: every type, and what Debezium wrote for each value.

use std::path::PathBuf;

use datapipe_core::value::PgType;
use serde::Deserialize;

use crate::Result;

/// What the recorded types are made of, but for the enum `mood`.
const TYPES: &str = "
    CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
    CREATE DOMAIN d_int AS int; CREATE DOMAIN d_text AS text; CREATE DOMAIN d_num AS numeric(10,2);
    CREATE DOMAIN d_numv AS numeric; CREATE DOMAIN d_d AS d_int; CREATE DOMAIN d_tstz3 AS timestamptz(3);
    CREATE DOMAIN d_bit AS bit(1); CREATE DOMAIN d_bit3 AS bit(3); CREATE DOMAIN d_char5 AS char(5);
    CREATE DOMAIN d_uuid AS uuid; CREATE DOMAIN d_jsonb AS jsonb; CREATE DOMAIN d_bytea AS bytea;
    CREATE DOMAIN d_date AS date; CREATE DOMAIN d_ints AS int[];
    CREATE TYPE comp AS (a int, b text); CREATE TYPE myrange AS RANGE (subtype = int4);";

/// A type with its values.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// The column's type as SQL has it.
    pub sql: String,
    /// The type as the catalog describes it.
    pub pg: PgType,
    /// PostgreSQL's text, and the JSON of the streamed record.
    pub cases: Vec<(String, Option<String>)>,
}

/// The folder of the pure tests' recordings.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crates/core/tests")
}

/// All recorded types.
pub fn types() -> Result<Vec<Recorded>> {
    #[derive(Deserialize)]
    struct File {
        types: Vec<Recorded>,
    }
    let file: File = serde_json::from_str(&std::fs::read_to_string(folder().join("values.json"))?)?;
    Ok(file.types)
}

/// The statements that create extensions, domains and the enum, whose labels are its recorded values.
pub fn definitions(types: &[Recorded]) -> String {
    let labels = types.iter().find(|recorded| recorded.sql == "mood").map(|recorded| &recorded.cases);
    let labels: Vec<_> = labels.into_iter().flatten().map(|(text, _)| quoted(text)).collect();
    format!("{TYPES} CREATE TYPE mood AS ENUM ({});", labels.join(", "))
}

/// A text as an SQL literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
