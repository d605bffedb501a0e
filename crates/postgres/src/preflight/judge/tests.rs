use super::*;
use crate::config::PgConfig;

fn expected() -> Expected {
    let spec = SourceSpec::new(PgConfig::new("db", "cdc", "shop"), "public", "users", "slot_users", "pub_users");
    Expected { spec, key: vec!["id".to_owned()], keyless: false, debezium: false }
}

fn needed(slots: usize, streams: usize) -> Needed {
    Needed { slots, streams, snapshots: slots > 0 }
}

/// Recorded of PostgreSQL 15 with nothing to mend.
fn server() -> ObservedServer {
    ObservedServer {
        version: 150_018,
        wal_level: "logical".to_owned(),
        in_recovery: false,
        slots_max: 10,
        slots_used: 2,
        senders_max: 10,
        senders_used: 1,
        role: "cdc".to_owned(),
        may_replicate: true,
    }
}

fn table() -> TableFacts {
    TableFacts {
        kind: 'r',
        persistence: 'p',
        identity: 'd',
        identity_is_key: false,
        key: vec!["id".to_owned()],
        may_select: true,
        owned: false,
        rows_hidden: false,
        unsupported: Vec::new(),
    }
}

fn publication() -> ObservedPublication {
    ObservedPublication {
        tables: vec![("public".to_owned(), "users".to_owned())],
        columns: Some(vec!["id".to_owned(), "name".to_owned()]),
        ..ObservedPublication::default()
    }
}

fn slot() -> ObservedSlot {
    ObservedSlot {
        kind: "logical".to_owned(),
        plugin: Some("pgoutput".to_owned()),
        database: Some("shop".to_owned()),
        temporary: false,
        active: false,
        wal_status: Some("reserved".to_owned()),
        confirmed: Some(datapipe_core::Lsn(1)),
        retained_bytes: 0,
    }
}

fn observed() -> ObservedTable {
    ObservedTable {
        table: Some(table()),
        publication: Some(publication()),
        slot: Some(slot()),
        may_create_publication: false,
    }
}

fn fixes(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.fix.as_str()).collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(judge_server("shop", &server(), &needed(4, 4)), []);
    assert_eq!(judge_table(&expected(), &observed()), []);
    let missing = ObservedTable {
        publication: None,
        slot: None,
        may_create_publication: true,
        table: Some(TableFacts { owned: true, ..table() }),
    };
    assert_eq!(judge_table(&expected(), &missing), [], "what we make ourselves");
}

#[test]
fn a_servers_problems_come_all_at_once() {
    let server = ObservedServer {
        version: 130_000,
        wal_level: "replica".to_owned(),
        in_recovery: true,
        slots_used: 8,
        senders_used: 10,
        may_replicate: false,
        ..server()
    };
    let problems = judge_server("shop", &server, &needed(4, 4));
    let fixes = fixes(&problems);
    assert_eq!(fixes.len(), 6, "{problems:#?}");
    assert!(fixes[2].starts_with("ALTER SYSTEM SET wal_level"));
    assert_eq!(fixes[3], "ALTER ROLE \"cdc\" REPLICATION");
    assert!(fixes[4].starts_with("ALTER SYSTEM SET max_replication_slots = 13"));
    assert!(fixes[5].starts_with("ALTER SYSTEM SET max_wal_senders = 15"));
}

#[test]
fn a_first_snapshot_needs_one_more_slot_and_a_running_pipeline_none() {
    let full = |used| ObservedServer { slots_used: used, senders_used: 0, ..server() };
    assert_eq!(judge_server("shop", &full(5), &needed(4, 4)), []);
    let problems = judge_server("shop", &full(6), &needed(4, 4));
    assert!(problems[0].to_string().contains("4 of 10 replication slots are free, 5 are needed"), "{problems:?}");
    assert_eq!(judge_server("shop", &full(10), &needed(0, 4)), []);
}

#[test]
fn each_fault_of_a_table_has_its_statement() {
    let cases = [
        (TableFacts { key: vec![], ..table() }, "ALTER TABLE \"public\".\"users\" ADD PRIMARY KEY (\"id\")"),
        (TableFacts { key: vec!["uid".to_owned()], ..table() }, "correct the key"),
        (TableFacts { persistence: 'u', ..table() }, "ALTER TABLE \"public\".\"users\" SET LOGGED"),
        (TableFacts { kind: 'p', ..table() }, "declare the partitions"),
        (TableFacts { identity: 'n', ..table() }, "ALTER TABLE \"public\".\"users\" REPLICA IDENTITY DEFAULT"),
        (TableFacts { identity: 'i', ..table() }, "ALTER TABLE \"public\".\"users\" REPLICA IDENTITY DEFAULT"),
        (TableFacts { may_select: false, ..table() }, "GRANT USAGE ON SCHEMA \"public\" TO \"cdc\"; GRANT SELECT"),
        (TableFacts { rows_hidden: true, ..table() }, "ALTER ROLE \"cdc\" BYPASSRLS"),
        (TableFacts { unsupported: vec![("p".to_owned(), "no form".to_owned())], ..table() }, "leave it out"),
    ];
    for (table, fix) in cases {
        let problems = judge_table(&expected(), &ObservedTable { table: Some(table.clone()), ..observed() });
        assert!(problems.len() == 1 && problems[0].fix.starts_with(fix), "{table:?}: {problems:#?}");
    }
    let index_of_key = TableFacts { identity: 'i', identity_is_key: true, ..table() };
    assert_eq!(judge_table(&expected(), &ObservedTable { table: Some(index_of_key), ..observed() }), []);
    assert_eq!(judge_table(&expected(), &ObservedTable { table: None, ..observed() }).len(), 1);
}

#[test]
fn a_publication_must_publish_exactly_this_table_and_everything_of_it() {
    let other = ("public".to_owned(), "orders".to_owned());
    let ours = ("public".to_owned(), "users".to_owned());
    let set = "ALTER PUBLICATION \"pub_users\" SET TABLE ONLY \"public\".\"users\"";
    let cases = [
        (ObservedPublication { tables: vec![other, ours], ..publication() }, set),
        (ObservedPublication { tables: vec![], columns: None, ..publication() }, set),
        (ObservedPublication { row_filter: true, ..publication() }, set),
        (ObservedPublication { columns: Some(vec!["name".to_owned()]), ..publication() }, set),
        (ObservedPublication { all_tables: true, ..publication() }, "choose another name"),
        (
            ObservedPublication { missing_operations: vec!["truncate".to_owned()], ..publication() },
            "ALTER PUBLICATION \"pub_users\" SET (publish = 'insert, update, delete, truncate')",
        ),
    ];
    for (publication, fix) in cases {
        let observed = ObservedTable { publication: Some(publication.clone()), ..observed() };
        let problems = judge_table(&expected(), &observed);
        assert!(problems.len() == 1 && problems[0].fix.starts_with(fix), "{publication:?}: {problems:#?}");
    }
    let problems = judge_table(&expected(), &ObservedTable { publication: None, ..observed() });
    assert_eq!(fixes(&problems), ["CREATE PUBLICATION \"pub_users\" FOR TABLE ONLY \"public\".\"users\""]);
}

#[test]
fn a_lost_slot_is_named() {
    let lost = ObservedSlot { wal_status: Some("lost".to_owned()), ..slot() };
    let problems = judge_table(&expected(), &ObservedTable { slot: Some(lost), ..observed() });
    assert!(problems.len() == 1 && problems[0].fix.contains("pg_drop_replication_slot('slot_users')"), "{problems:#?}");
}

#[test]
fn a_table_without_a_key_needs_its_whole_rows_logged() {
    let expected = Expected { keyless: true, key: Vec::new(), ..expected() };
    let keyless =
        |identity| ObservedTable { table: Some(TableFacts { key: Vec::new(), identity, ..table() }), ..observed() };
    let problems = judge_table(&expected, &keyless('d'));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().contains("REPLICA IDENTITY FULL"), "{problems:?}");
    assert_eq!(judge_table(&expected, &keyless('f')), []);
    let refused = judge_table(&Expected { keyless: false, ..expected }, &keyless('f'));
    assert!(refused[0].to_string().contains("no primary key"), "{refused:?}");
}

#[test]
fn debezium_reads_what_the_native_capture_refuses_and_makes_no_publication() {
    let expected = Expected { debezium: true, ..expected() };
    let table = TableFacts {
        kind: 'p',
        identity: 'f',
        key: Vec::new(),
        owned: true,
        unsupported: vec![("t".to_owned(), "type tsquery is not supported".to_owned())],
        ..table()
    };
    let mut publication = publication();
    publication.tables.push(("public".to_owned(), "orders".to_owned()));
    let observed = ObservedTable {
        table: Some(table),
        publication: Some(publication),
        may_create_publication: true,
        ..observed()
    };
    assert_eq!(judge_table(&expected, &observed), []);
    let problems = judge_table(&expected, &ObservedTable { publication: None, ..observed.clone() });
    assert_eq!(problems, [], "it may be made before");
    let problems =
        judge_table(&expected, &ObservedTable { publication: None, may_create_publication: false, ..observed.clone() });
    assert!(fixes(&problems)[0].starts_with("CREATE PUBLICATION \"pub_users\""), "{problems:?}");
    let hidden = TableFacts { may_select: false, persistence: 'u', ..observed.table.clone().unwrap() };
    assert_eq!(judge_table(&expected, &ObservedTable { table: Some(hidden), ..observed }).len(), 2);
    // It needs no second slot for its snapshot.
    let full = ObservedServer { slots_used: 6, senders_used: 6, ..server() };
    assert_eq!(judge_server("shop", &full, &Needed { slots: 4, streams: 4, snapshots: false }), []);
}
