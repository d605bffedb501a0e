//! Types as the catalog describes them, cached.

use std::collections::HashMap;

use datapipe_core::value::PgType;

use crate::error::Error;
use crate::sql::Sql;

/// Domains over arrays of domains and so on: deeper than this is no sensible schema.
const DEPTH_MAX: usize = 8;

const QUERY: &str = "
    SELECT t.oid, n.nspname::text, t.typname::text, t.typtype::text, t.typcategory::text, t.typelem, t.typbasetype,
           t.typtypmod,
           ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid
                 ORDER BY e.enumsortorder LIMIT 10000)
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
    labels: Vec<String>,
}

/// The types seen so far. An OID is never given to another type while it is in use, so nothing here grows stale but
/// names, which decide nothing for types of users, and an enum's labels, which are asked for anew each time.
#[derive(Debug, Default)]
pub(crate) struct Types {
    known: HashMap<u32, TypeRow>,
}

impl Types {
    /// Makes sure that these types are known, if they exist, with what they are made of.
    pub(crate) async fn fetch(&mut self, sql: &Sql, oids: impl IntoIterator<Item = u32>) -> Result<(), Error> {
        let mut wanted: Vec<u32> = oids.into_iter().collect();
        // An enum may have got labels since.
        self.known.retain(|_, known| known.kind != 'e');
        for _ in 0..DEPTH_MAX {
            wanted = self.unknown(wanted);
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
                    labels: row.get(8),
                };
                wanted.extend([found.element, found.base]);
                self.known.insert(row.get(0), found);
            }
        }
        Ok(())
    }

    /// Of these types and what they are made of, those that are not known.
    fn unknown(&self, mut oids: Vec<u32>) -> Vec<u32> {
        let mut unknown = Vec::new();
        while let Some(oid) = oids.pop() {
            match self.known.get(&oid) {
                _ if oid == 0 => {}
                None => unknown.push(oid),
                Some(known) => oids.extend([known.element, known.base]),
            }
        }
        unknown
    }

    /// A type as the catalog describes it; none if it is not known.
    pub(crate) fn describe(&self, oid: u32, modifier: i32) -> Option<PgType> {
        self.describe_to(oid, modifier, DEPTH_MAX)
    }

    fn describe_to(&self, oid: u32, modifier: i32, depth: usize) -> Option<PgType> {
        let row = self.known.get(&oid)?;
        let part = |oid: u32, modifier: i32| {
            let depth = depth.checked_sub(1)?;
            self.describe_to(oid, modifier, depth).map(Box::new)
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
            labels: row.labels.clone(),
        })
    }
}
