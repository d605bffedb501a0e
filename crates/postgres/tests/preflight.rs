//! Preflight, publications and figures on a real server.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use datapipe_core::Secret;
use datapipe_core::plan::SlotUse;
use datapipe_core::port::ErrorKind;
use datapipe_core::port::source::ChangeSource;
use datapipe_postgres::preflight::{Expected, preflight};
use datapipe_postgres::publication::ensure_publication;
use datapipe_postgres::wal::WalMonitor;
use datapipe_postgres::{PgSource, slot_uses};
use support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn all_problems_come_at_once_and_what_can_be_made_is_none() {
    let server = Server::start(&["wal_level=replica", "max_replication_slots=1", "max_wal_senders=1"]);
    let client = server.client().await;
    client
        .batch_execute(
            "CREATE ROLE cdc LOGIN PASSWORD 'pw'; CREATE TABLE a (id int PRIMARY KEY, p tsquery); \
             CREATE UNLOGGED TABLE b (id int); CREATE PUBLICATION pub_b FOR TABLE a WITH (publish = 'insert')",
        )
        .await
        .unwrap();
    let expected = |table: &str, role: Option<&str>| {
        let mut spec = server.spec(table);
        if let Some(role) = role {
            spec.config.user = role.to_owned();
            spec.config.password = Some(Secret::new("pw"));
        }
        Expected { spec, key: vec!["id".to_owned()], keyless: false, debezium: false }
    };
    let tables: Vec<Expected> = ["a", "b", "c"].iter().map(|table| expected(table, Some("cdc"))).collect();
    let problems = preflight(&tables).await.unwrap().problems;
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    for part in [
        "wal_level is replica",
        "ALTER ROLE \"cdc\" REPLICATION",
        "1 of 1 replication slots are free, 4 are needed",
        "1 of 1 walsenders are free, 4 are needed",
        "column public.a.p: type tsquery is not supported",
        "GRANT SELECT ON \"public\".\"a\"",
        "CREATE PUBLICATION \"pub_a\" FOR TABLE ONLY \"public\".\"a\"",
        "it is unlogged",
        "ADD PRIMARY KEY (\"id\")",
        "it publishes public.a, not public.b alone",
        "it leaves out update, delete, truncate",
        "table public.c: it does not exist",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_is_made_once_and_where_the_role_may() {
    let server = Server::start(&[]);
    let client = server.client().await;
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE cdc LOGIN REPLICATION PASSWORD 'pw'")
        .await
        .unwrap();
    let expected = Expected { spec: server.spec("t"), key: vec!["id".to_owned()], keyless: false, debezium: false };
    let found = preflight(std::slice::from_ref(&expected)).await.unwrap();
    assert_eq!((found.problems, found.slots.into_values().collect()), (vec![], vec![SlotUse::Missing]));
    let mut poor = expected.spec.clone();
    poor.config.user = "cdc".to_owned();
    poor.config.password = Some(Secret::new("pw"));
    let error = ensure_publication(&poor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.report().contains("CREATE PUBLICATION \"pub_t\""), "{}", error.report());
    assert!(ensure_publication(&expected.spec).await.unwrap());
    assert!(!ensure_publication(&expected.spec).await.unwrap());
    let mut source = PgSource::new(expected.spec.clone());
    source.create_slot().await.unwrap();
    assert_eq!(preflight(std::slice::from_ref(&expected)).await.unwrap().problems, []);
    let idle = slot_uses(&[expected.spec]).await.unwrap();
    assert_eq!(idle.into_values().collect::<Vec<_>>(), [SlotUse::Idle]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_follow_the_log() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "t", "id int PRIMARY KEY").await;
    let mut monitor = WalMonitor::new(server.spec("t"));
    let before = monitor.state().await.unwrap();
    client.batch_execute("INSERT INTO t SELECT generate_series(1, 10000)").await.unwrap();
    let beat = monitor.heartbeat().await.unwrap();
    let after = monitor.state().await.unwrap();
    assert!(before.confirmed.is_some() && before.current < beat && beat <= after.current);
    assert!(after.retained_bytes > before.retained_bytes + 100_000, "{before:?} {after:?}");
    assert_eq!(source.inspect().await.unwrap().timeline, 1);
}
