//! A table's schema: from the catalog now, or from the stream as it was when the rows were written.

use datapipe_core::change::{Column, Relation, ReplicaIdentity};
use datapipe_core::envelope::Columns;
use datapipe_core::value::{ColumnType, constant_default};

use crate::config::SourceSpec;
use crate::error::Error;
use crate::pgoutput::RelationMessage;
use crate::sql::Sql;
use crate::types::Types;

const TABLE: &str = "
    SELECT c.oid, c.relreplident::text
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2";

/// Generated columns are not published, unless a publication of PostgreSQL 18 says so. A default's expression that is longer
/// than 64 KiB counts as none.
const COLUMNS: &str = "
    SELECT a.attname::text, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '',
           CASE WHEN k.place < i.indnkeyatts THEN k.place::int4 END,
           CASE WHEN a.attgenerated = '' AND length(e.expression) <= 65536 THEN e.expression END
    FROM pg_catalog.pg_attribute a
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN LATERAL (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression) e ON true
    LEFT JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    LEFT JOIN LATERAL (SELECT pg_catalog.array_position(i.indkey::int2[], a.attnum) AS place) k ON true
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum";

/// The published columns by name (PostgreSQL 15 and later can tell).
const PUBLISHED: &str = "
    SELECT attnames::text[] FROM pg_catalog.pg_publication_tables
    WHERE pubname = $1 AND schemaname = $2 AND tablename = $3";

/// A column as the catalog has it now.
#[derive(Clone, Debug)]
pub(crate) struct CatalogColumn {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
    pub(crate) not_null: bool,
    pub(crate) published: bool,
    /// Its place in the primary key, from 0.
    pub(crate) key_place: Option<i32>,
    /// The expression of its default.
    pub(crate) default: Option<String>,
}

/// A table as the catalog has it now.
#[derive(Clone, Debug)]
pub(crate) struct CatalogTable {
    pub(crate) oid: u32,
    pub(crate) identity: ReplicaIdentity,
    pub(crate) columns: Vec<CatalogColumn>,
}

/// A column whose type no record can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnsupportedColumn {
    pub(crate) column: String,
    pub(crate) why: String,
}

impl CatalogTable {
    /// Looks the table up; none if there is no such table.
    pub(crate) async fn read(sql: &Sql, schema: &str, table: &str, publication: &str) -> Result<Option<Self>, Error> {
        let rows = sql.query(TABLE, &[&schema, &table]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let oid: u32 = row.get(0);
        let identity = match row.get::<_, &str>(1) {
            "f" => ReplicaIdentity::Full,
            "n" => ReplicaIdentity::Nothing,
            "i" => ReplicaIdentity::Index,
            _ => ReplicaIdentity::Default,
        };
        let published = published_columns(sql, schema, table, publication).await?;
        let columns = sql.query(COLUMNS, &[&oid]).await?;
        let columns = columns.iter().map(|row| {
            let name: String = row.get(0);
            let generated: bool = row.get(4);
            let listed = published.as_ref().map_or(!generated, |names| names.contains(&name));
            CatalogColumn {
                name,
                type_oid: row.get(1),
                modifier: row.get(2),
                not_null: row.get(3),
                published: listed,
                key_place: row.get(5),
                default: row.get(6),
            }
        });
        Ok(Some(Self { oid, identity, columns: columns.collect() }))
    }

    /// The names of the primary key's columns, in its order.
    pub(crate) fn key(&self) -> Vec<&str> {
        let mut key: Vec<_> =
            self.columns.iter().filter_map(|column| Some((column.key_place?, column.name.as_str()))).collect();
        key.sort_unstable();
        key.into_iter().map(|(_, name)| name).collect()
    }

    /// The columns that the stream carries.
    pub(crate) fn published(&self) -> impl Iterator<Item = &CatalogColumn> {
        self.columns.iter().filter(|column| column.published)
    }

    /// The schema of rows that are read now.
    pub(crate) fn relation(&self, spec: &SourceSpec, types: &Types) -> Result<Relation, Vec<UnsupportedColumn>> {
        let mut unsupported = Vec::new();
        let mut columns = Vec::new();
        for now in self.published() {
            let (column, why) = column(&now.name, types, (now.type_oid, now.modifier), Some(now));
            unsupported.extend(why.map(|why| UnsupportedColumn { column: now.name.clone(), why }));
            columns.push(column);
        }
        let key = places(&columns, &self.key());
        let (schema, name) = (spec.schema.clone(), spec.table.clone());
        let relation = Relation { schema, name, columns, key, identity: self.identity };
        served(relation, unsupported, &spec.columns)
    }
}

/// The schema of rows that follow a message in the stream. The catalog, which may be ahead of it, adds what the message
/// lacks: NOT NULL, defaults, and the order of the key's columns.
pub(crate) fn from_message(
    message: &RelationMessage,
    catalog: Option<&CatalogTable>,
    types: &Types,
    shown: &Columns,
) -> Result<Relation, Vec<UnsupportedColumn>> {
    let mut unsupported = Vec::new();
    let mut columns = Vec::with_capacity(message.columns.len());
    for of_message in &message.columns {
        let name = &of_message.name;
        let now = catalog.and_then(|table| table.columns.iter().find(|now| now.name == *name));
        let (column, why) = column(name, types, (of_message.type_oid, of_message.modifier), now);
        unsupported.extend(why.map(|why| UnsupportedColumn { column: name.clone(), why }));
        columns.push(column);
    }
    let mut key = places(&columns, &catalog.map(CatalogTable::key).unwrap_or_default());
    // The message marks the columns of the replica identity; by default these are the primary key's at that time.
    if message.identity == ReplicaIdentity::Default {
        let marked: Vec<usize> =
            message.columns.iter().enumerate().filter(|(_, column)| column.identity).map(|(at, _)| at).collect();
        let same = key.len() == marked.len() && marked.iter().all(|at| key.contains(at));
        if !same {
            key = marked;
        }
    }
    let (schema, name) = (message.schema.clone(), message.name.clone());
    served(Relation { schema, name, columns, key, identity: message.identity }, unsupported, shown)
}

/// The relation, unless a column has no form that some record would hold.
fn served(
    relation: Relation,
    mut unsupported: Vec<UnsupportedColumn>,
    shown: &Columns,
) -> Result<Relation, Vec<UnsupportedColumn>> {
    unsupported.retain(|found| !shown.leaves_out(&relation, &found.column));
    if unsupported.is_empty() { Ok(relation) } else { Err(unsupported) }
}

/// A column, and why its type has no form if it has none: then it stands there as text, for nobody to write.
fn column(
    name: &str,
    types: &Types,
    (type_oid, modifier): (u32, i32),
    now: Option<&CatalogColumn>,
) -> (Column, Option<String>) {
    let nullable = !now.is_some_and(|now| now.not_null);
    // A type that is gone from the catalog was a user's own, dropped since: its text is all that is left of it.
    // It counts as characters, so that a mask for such still hides it.
    let text = Column::new(name, ColumnType::Chars(None), nullable);
    let Some(pg) = types.describe(type_oid, modifier) else { return (text, None) };
    match datapipe_core::value::resolve(&pg) {
        Ok(kind) => {
            // A column whose type was changed since may have another default now.
            let default = now.filter(|now| now.type_oid == type_oid).and_then(|now| now.default.as_deref());
            let default = default.and_then(|expression| constant_default(&pg, expression));
            (Column { kind, default, loss: pg.loss(), ..text }, None)
        }
        Err(error) => (text, Some(error.to_string())),
    }
}

/// Where these columns stand; nothing if one is missing.
fn places(columns: &[Column], names: &[&str]) -> Vec<usize> {
    let place = |name: &&str| columns.iter().position(|column| column.name == *name);
    names.iter().map(place).collect::<Option<_>>().unwrap_or_default()
}

async fn published_columns(
    sql: &Sql,
    schema: &str,
    table: &str,
    publication: &str,
) -> Result<Option<Vec<String>>, Error> {
    match sql.query(PUBLISHED, &[&publication, &schema, &table]).await {
        Ok(rows) => Ok(rows.first().and_then(|row| row.get(0))),
        // PostgreSQL 14 has no such column.
        Err(error) if error.code() == Some("42703") => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgoutput::ColumnMessage;

    fn message(identity: ReplicaIdentity, columns: &[(&str, bool)]) -> RelationMessage {
        let column = |(name, identity): &(&str, bool)| ColumnMessage {
            identity: *identity,
            name: (*name).to_owned(),
            type_oid: 1,
            modifier: -1,
        };
        RelationMessage {
            oid: 7,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            identity,
            columns: columns.iter().map(column).collect(),
        }
    }

    fn catalog(columns: &[(&str, bool, Option<i32>)]) -> CatalogTable {
        let column = |(name, not_null, key_place): &(&str, bool, Option<i32>)| CatalogColumn {
            name: (*name).to_owned(),
            type_oid: 1,
            modifier: -1,
            not_null: *not_null,
            published: true,
            key_place: *key_place,
            default: None,
        };
        CatalogTable { oid: 7, identity: ReplicaIdentity::Full, columns: columns.iter().map(column).collect() }
    }

    #[test]
    fn the_keys_order_is_the_catalogs() {
        let now = catalog(&[("a", true, Some(1)), ("b", true, Some(0)), ("c", false, None)]);
        for (identity, marks) in [(ReplicaIdentity::Default, [true, true, false]), (ReplicaIdentity::Full, [true; 3])] {
            let message = message(identity, &[("a", marks[0]), ("b", marks[1]), ("c", marks[2])]);
            let relation = from_message(&message, Some(&now), &Types::default(), &Columns::all()).unwrap();
            assert_eq!(relation.key, [1, 0], "{identity:?}");
            assert!(!relation.columns[0].nullable && relation.columns[2].nullable);
        }
    }

    #[test]
    fn a_key_that_has_changed_since_is_the_one_that_the_message_marks() {
        let now = catalog(&[("a", true, None), ("new", true, Some(0))]);
        let message = message(ReplicaIdentity::Default, &[("a", true), ("gone", false)]);
        let relation = from_message(&message, Some(&now), &Types::default(), &Columns::all()).unwrap();
        assert_eq!(relation.key, [0]);
        assert!(relation.columns[1].nullable, "a vanished column");
        assert_eq!(from_message(&message, None, &Types::default(), &Columns::all()).unwrap().key, [0]);
    }
}
