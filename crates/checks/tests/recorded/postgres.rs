//! PostgreSQL.

use serde_json::{Value, json};

use super::{Case, change, one};

pub(super) fn cases() -> Vec<Case> {
    vec![
        one("PostgreSQL is away", "/postgres", json!({ "silent": "no answer within 10 s" })),
        one("no logical log", "/postgres/seen/wal_level", json!("replica")),
        one("no slot", "/postgres/seen/slot", Value::Null),
        one("a slot of another plugin", "/postgres/seen/slot/plugin", json!("wal2json")),
        one("nobody holds the slot", "/postgres/seen/slot/active_pid", Value::Null),
        one("a lost slot", "/postgres/seen/slot/wal_status", json!("lost")),
        (
            "a slot near its end",
            vec![
                change("/postgres/seen/slot/retained_bytes", json!(7_000_000_000_u64)),
                change("/postgres/seen/slot/safe_bytes", json!(1_000_000_000)),
            ],
        ),
        (
            "much log without a bound",
            vec![
                change("/postgres/seen/slot/retained_bytes", json!(7_000_000_000_u64)),
                change("/postgres/seen/slot/safe_bytes", Value::Null),
                change("/postgres/seen/slot_wal_mib", Value::Null),
            ],
        ),
        one("no publication", "/postgres/seen/publication", Value::Null),
        one("a publication of another table", "/postgres/seen/publication/tables", json!(["public.orders"])),
        one("a publication of more", "/postgres/seen/publication/tables", json!(["public.orders", "public.users"])),
        one("an operation left out", "/postgres/seen/publication/left_out", json!(["delete"])),
        one("no table", "/postgres/seen/relation", Value::Null),
        one("a partitioned table", "/postgres/seen/relation/kind", json!("p")),
        one("an unlogged table", "/postgres/seen/relation/persistence", json!("u")),
        one("no replica identity", "/postgres/seen/relation/identity", json!("n")),
        one("no key", "/postgres/seen/relation/has_key", json!(false)),
        one("no room for a slot", "/postgres/seen/slots", json!([8, 8])),
        one("no right to replicate", "/postgres/seen/replication", json!(false)),
        one("no right to read", "/postgres/seen/relation/readable", json!(false)),
        one("a slot left over", "/postgres/seen/orphans", json!(["debezium_slot_carts"])),
        one("a silent gap", "/postgres/seen/slot/confirmed", json!(2000)),
        (
            "a slot that nobody holds is lost today",
            vec![
                change("/postgres/seen/slot/active_pid", Value::Null),
                change("/postgres/seen/wal_bytes_per_s", json!(1_000_000)),
            ],
        ),
        one("another server", "/postgres/seen/system_id", json!("9999")),
        one("another database", "/postgres/seen/slot/own_database", json!("staging")),
        one("a promoted standby", "/postgres/seen/timeline", json!(2)),
        one("a publication left over", "/postgres/seen/left_publications", json!(["dbz_publication_carts"])),
    ]
}
