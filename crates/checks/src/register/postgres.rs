use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 13] = [
    check(
        "DP0301",
        Category::Postgres,
        [
            "PostgreSQL answers",
            "A session as the pipeline's role.",
            "The source needs the same server, role and password.",
            "The message says what failed: the address, the network, the role or the password.",
        ],
    ),
    check(
        "DP0302",
        Category::Postgres,
        [
            "wal_level is logical",
            "`SHOW wal_level`.",
            "Without it the log does not hold what logical decoding needs.",
            "`ALTER SYSTEM SET wal_level = logical`, and restart the server.",
        ],
    ),
    check(
        "DP0303",
        Category::Postgres,
        [
            "the slot exists and is the pipeline's",
            "`pg_replication_slots`: the slot's plugin and database.",
            "The slot keeps the log that the source has not read yet. Without it changes are gone.",
            "If the table was never started: start it. If the slot was dropped, rows may be missing downstream: start anew with a snapshot (the worker's error says how).",
        ],
    ),
    check(
        "DP0304",
        Category::Postgres,
        [
            "the slot is held by the source",
            "`active_pid` of the slot.",
            "A slot that nobody reads holds back the log of the whole server, until the disk is full or the slot is lost.",
            "See why the source does not run (DP0202). If the table is not to be captured any more, stop its worker and drop the slot.",
        ],
    ),
    check(
        "DP0305",
        Category::Postgres,
        [
            "the slot has the log that it needs, and holds back little",
            "`wal_status`, `safe_wal_size` and the bytes from `restart_lsn` to the log's end.",
            "A slot that is `lost` has missed changes for good. One that is `unreserved` is about to.",
            "Let the source catch up. Raise `max_slot_wal_keep_size` if the disk has room. A lost slot needs a new snapshot.",
        ],
    ),
    check(
        "DP0306",
        Category::Postgres,
        [
            "the publication publishes exactly this table, and everything",
            "`pg_publication_tables`, and the operations of `pg_publication`.",
            "A publication that lacks the table gives silence without an error; one with more tables costs every worker their traffic; an operation that is left out is lost.",
            "`ALTER PUBLICATION .. SET TABLE ..`, `ALTER PUBLICATION .. SET (publish = 'insert, update, delete, truncate')`.",
        ],
    ),
    check(
        "DP0307",
        Category::Postgres,
        [
            "the table says enough about old rows",
            "`relkind`, `relpersistence`, `relreplident`, the primary key, and columns whose values may be stored out of line.",
            "Without a replica identity UPDATE and DELETE are refused by the server. Large values that an update leaves alone are in the log under FULL only.",
            "`ALTER TABLE .. REPLICA IDENTITY FULL`, or add a primary key. Unlogged tables are in no log; of partitioned ones each partition is a table.",
        ],
    ),
    check(
        "DP0308",
        Category::Postgres,
        [
            "slots and senders are left",
            "`max_replication_slots`, `max_wal_senders`, and how many of each there are.",
            "A resumed snapshot needs one more of each for a moment, and so does the next table.",
            "Raise both, and restart the server; or drop slots that nobody needs (DP0310).",
        ],
    ),
    check(
        "DP0309",
        Category::Postgres,
        [
            "the role has its rights",
            "REPLICATION, and SELECT on the table.",
            "Without the first there is no stream, without the second no snapshot.",
            "`ALTER ROLE .. REPLICATION`, `GRANT SELECT ON .. TO ..`.",
        ],
    ),
    check(
        "DP0310",
        Category::Postgres,
        [
            "no slot is left over",
            "Slots named like ours (`debezium_slot_..`) that belong to no table of the plan and are held by nobody.",
            "Each one holds back the log of the whole server.",
            "If it is of no use any more: `SELECT pg_drop_replication_slot('..')`.",
        ],
    ),
    check(
        "DP0311",
        Category::Postgres,
        [
            "the server is the one that the stored position belongs to",
            "The system identifier, database and timeline of the server beside what a native worker has stored with its position. Kafka Connect stores nothing of the kind.",
            "A position means nothing on another server: a restored backup, a promoted standby or a changed address may lack changes, or have others, at the same place in the log.",
            "If the server is meant to be this one, start anew with a snapshot (the worker's error says how); otherwise correct `postgres.url`.",
        ],
    ),
    check(
        "DP0312",
        Category::Postgres,
        [
            "no publication is left over",
            "Publications named like ours (`dbz_publication_..`) that belong to no table of the plan.",
            "It costs nothing but is taken for one in use; without a replica identity its table's updates fail.",
            "If it is of no use any more: `DROP PUBLICATION ..`.",
        ],
    ),
    check(
        "DP0313",
        Category::Postgres,
        [
            "what becomes of the slot when a standby is promoted",
            "`failover` of the slot, from PostgreSQL 17 on.",
            "A slot that no standby has a copy of is gone after a failover, and with it the changes that were not read.",
            "On PostgreSQL 17 and later: make the slot with `failover`, and set `sync_replication_slots` on the standby. Otherwise a failover needs a new snapshot.",
        ],
    ),
];
