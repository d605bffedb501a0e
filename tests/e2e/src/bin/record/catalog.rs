//! Tables as the catalog describes them, for the tests that know no server.

use std::collections::BTreeMap;

use datapipe_e2e::Result;
use serde_json::Value;
use tokio_postgres::Client;

/// What of a table the messages do not say.
const TABLES: &str = "
    SELECT c.relname::text, json_build_object(
        'columns', (SELECT json_agg(json_build_object('name', a.attname, 'nullable', NOT a.attnotnull,
            'default', pg_get_expr(d.adbin, d.adrelid), 'type',
            json_build_object('oid', t.oid::int8, 'schema', n.nspname, 'name', t.typname, 'kind', t.typtype,
                'category', t.typcategory, 'modifier', a.atttypmod, 'labels', l.labels,
                'element', (SELECT json_build_object('oid', e.oid::int8, 'schema', 'pg_catalog', 'name', e.typname,
                    'kind', e.typtype, 'category', e.typcategory, 'modifier', -1, 'labels', el.labels, 'element', NULL,
                    'base', NULL)
                    FROM pg_type e, LATERAL (SELECT coalesce(json_agg(enumlabel ORDER BY enumsortorder), '[]') AS labels
                        FROM pg_enum WHERE enumtypid = e.oid) el
                    WHERE t.typcategory = 'A' AND e.oid = t.typelem),
                'base', (SELECT json_build_object('oid', b.oid::int8, 'schema', 'pg_catalog', 'name', b.typname,
                    'kind', b.typtype, 'category', b.typcategory, 'modifier', t.typtypmod, 'element', NULL,
                    'base', NULL) FROM pg_type b WHERE b.oid = t.typbasetype))) ORDER BY a.attnum)
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum,
            LATERAL (SELECT coalesce(json_agg(enumlabel ORDER BY enumsortorder), '[]') AS labels
                FROM pg_enum WHERE enumtypid = t.oid) l
            WHERE a.attrelid = c.oid AND a.attnum > 0),
        'key', coalesce((SELECT json_agg(a.attname ORDER BY k.place) FROM pg_index i,
            unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place), pg_attribute a
            WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum), '[]'))::text
    FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname ~ $1 ORDER BY 1";

/// The tables whose names match a pattern.
pub(crate) async fn tables(db: &Client, pattern: &str) -> Result<BTreeMap<String, Value>> {
    db.batch_execute("SET TimeZone = 'UTC'").await?;
    let tables = db.query(TABLES, &[&pattern]).await?;
    tables.iter().map(|row| Ok((row.get(0), serde_json::from_str(row.get(1))?))).collect()
}
