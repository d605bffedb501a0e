//! Types as the catalog describes them, cached.

use std::collections::HashMap;

use datapipe_core::value::{ColumnType, PgType, UnsupportedType, resolve};

use crate::error::Error;
use crate::sql::Sql;

/// Domains over arrays of domains and so on: deeper than this is no sensible schema.
const DEPTH_MAX: usize = 8;

const QUERY: &str = "
    SELECT t.oid, n.nspname::text, t.typname::text, t.typtype::text, t.typcategory::text, t.typelem, t.typbasetype,
           t.typtypmod
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid = ANY($1)";

#[derive(Clone, Debug)]
struct TypeRow {
    schema: String,
    name: String,
    kind: char,
    category: char,
    element: u32,
    base: u32,
    modifier: i32,
}

/// The types seen so far. An OID is never given to another type while it is in use, so nothing here grows stale but
/// names, which decide nothing for types of users.
#[derive(Debug, Default)]
pub(crate) struct Types {
    known: HashMap<u32, TypeRow>,
}

impl Types {
    /// Makes sure that these types are known, if they exist, with what they are made of.
    pub(crate) async fn fetch(&mut self, sql: &Sql, oids: impl IntoIterator<Item = u32>) -> Result<(), Error> {
        let mut wanted: Vec<u32> = oids.into_iter().collect();
        for _ in 0..DEPTH_MAX {
            wanted.retain(|oid| *oid != 0 && !self.known.contains_key(oid));
            if wanted.is_empty() {
                break;
            }
            let rows = sql.query(QUERY, &[&wanted]).await?;
            wanted.clear();
            for row in rows {
                let letter = |index: usize| row.get::<_, &str>(index).chars().next().unwrap_or(' ');
                let found = TypeRow {
                    schema: row.get(1),
                    name: row.get(2),
                    kind: letter(3),
                    category: letter(4),
                    element: row.get(5),
                    base: row.get(6),
                    modifier: row.get(7),
                };
                wanted.extend([found.element, found.base]);
                self.known.insert(row.get(0), found);
            }
        }
        Ok(())
    }

    /// The form of a column of this type; none if the type is not known.
    pub(crate) fn resolve(&self, oid: u32, modifier: i32) -> Option<Result<ColumnType, UnsupportedType>> {
        self.describe(oid, modifier, DEPTH_MAX).map(|pg| resolve(&pg))
    }

    fn describe(&self, oid: u32, modifier: i32, depth: usize) -> Option<PgType> {
        let row = self.known.get(&oid)?;
        let part = |oid: u32, modifier: i32| {
            let depth = depth.checked_sub(1)?;
            self.describe(oid, modifier, depth).map(Box::new)
        };
        Some(PgType {
            oid,
            schema: row.schema.clone(),
            name: row.name.clone(),
            kind: row.kind,
            category: row.category,
            // Types such as point have elements too, but are no arrays.
            element: if row.category == 'A' { part(row.element, -1) } else { None },
            base: part(row.base, row.modifier),
            modifier,
        })
    }
}
