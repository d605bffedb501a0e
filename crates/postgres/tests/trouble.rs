//! Shutdowns, slow consumers, wrong settings, and things that are not there.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use datapipe_core::change::Event;
use datapipe_core::port::source::ChangeSource;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::{Lsn, Secret};
use datapipe_postgres::PgSource;
use support::{Server, changes, drain_snapshot};

/// The error that ends the stream within ten seconds.
async fn fails(source: &mut PgSource) -> PortError {
    let mut events = Vec::new();
    for _ in 0..100 {
        if let Err(error) = source.next(Duration::from_millis(100), &mut events).await {
            return error;
        }
    }
    panic!("no error in ten seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_authentication_works_and_a_wrong_password_is_refused() {
    for method in ["md5", "password", "scram-sha-256"] {
        let settings = if method == "md5" { &["password_encryption=md5"][..] } else { &[] };
        let server = Server::start_with(method, settings);
        let mut source = server.streaming(&server.client().await, "t", "id int PRIMARY KEY").await;
        source.stop().await.unwrap();
        let mut spec = server.spec("t");
        spec.config.password = Some(Secret::new("hunter2"));
        let error = PgSource::new(spec.clone()).inspect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{method}");
        let report = error.report();
        assert!(report.contains("check user and password") && !report.contains("hunter2"), "{method}: {report}");
        spec.config.password = None;
        let error = PgSource::new(spec).inspect().await.unwrap_err();
        assert!(error.kind() == ErrorKind::Refused && error.report().contains("none is set"), "{}", error.report());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_may_come_back() {
    let mut server = Server::start(&[]);
    let mut source = PgSource::new(server.spec("t"));
    server.stop_fast();
    let error = source.inspect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(error.report().contains(&format!("127.0.0.1:{}", server.port)), "{}", error.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_with_the_way_out() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = PgSource::new(server.spec("t"));
    let error = source.inspect().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.report().contains("public.t does not exist"));
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY)").await.unwrap();
    assert_eq!(source.inspect().await.unwrap().slot, None);
    let error = source.start(Lsn::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.report().contains("pg_create_logical_replication_slot('slot_t'"), "{}", error.report());
    // The publication comes after the slot, and after a transaction that the slot has yet to decode.
    let point = source.create_slot().await.unwrap();
    drain_snapshot(&mut source).await;
    client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    client.batch_execute("CREATE PUBLICATION pub_t FOR TABLE t").await.unwrap();
    source.start(point).await.unwrap();
    let error = fails(&mut source).await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.report());
    assert!(error.report().contains("older than the slot"), "{}", error.report());
    client.batch_execute("SELECT pg_create_logical_replication_slot('slot_u', 'test_decoding')").await.unwrap();
    let mut spec = server.spec("t");
    spec.slot = "slot_u".to_owned();
    let error = PgSource::new(spec).inspect().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.report().contains("test_decoding"), "{}", error.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_in_use_is_waited_for_and_its_holder_named() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut holder = server.streaming(&client, "t", "id int PRIMARY KEY").await;
    let mut spec = server.spec("t");
    spec.slot_wait = Duration::from_millis(700);
    let start = Instant::now();
    let error = PgSource::new(spec.clone()).start(Lsn::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    let report = error.report();
    let parts = ["active_pid", "application datapipe slot_t", "client 127.0.0.1", "user postgres"];
    assert!(parts.iter().all(|part| report.contains(part)), "{report}");
    assert!(start.elapsed() >= Duration::from_millis(700));
    spec.slot_wait = Duration::from_secs(20);
    let mut waiting = PgSource::new(spec);
    let wait = tokio::spawn(async move {
        waiting.start(Lsn::ZERO).await.unwrap();
        waiting
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!wait.is_finished());
    holder.stop().await.unwrap();
    let mut source = wait.await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(changes(&mut source, 1).await, ["I 1", "--"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_moved_after_the_look_says_so_once_it_is_held() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "t", "id int PRIMARY KEY").await;
    source.stop().await.unwrap();
    let seen = source.inspect().await.unwrap().slot.unwrap().confirmed;
    assert_eq!(source.start(seen).await.unwrap(), seen);
    source.stop().await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    let moved = "SELECT end_lsn::text FROM pg_replication_slot_advance('slot_t', pg_current_wal_lsn())";
    let moved: Lsn = client.query_one(moved, &[]).await.unwrap().get::<_, &str>(0).parse().unwrap();
    assert!(moved > seen);
    assert_eq!(source.start(seen).await.unwrap(), moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_slower_than_the_servers_patience_is_not_cut_off() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut spec = server.spec("t");
    spec.config.sender_timeout = Duration::from_secs(2);
    let mut source = server.streaming_by(&client, spec, "id int PRIMARY KEY, pad text").await;
    // More than fits into our queue and the socket's buffers.
    client.batch_execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 60000) i").await.unwrap();
    let mut events = Vec::new();
    while events.iter().filter(|event| matches!(event, Event::Change(_))).count() == 0 {
        source.next(Duration::from_millis(100), &mut events).await.unwrap();
    }
    // Stuck, then idle.
    tokio::time::sleep(Duration::from_secs(6)).await;
    while !events.iter().any(|event| matches!(event, Event::Commit { .. })) {
        source.next(Duration::from_secs(1), &mut events).await.unwrap();
    }
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Change(_))).count(), 60_000);
    events.clear();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        source.next(Duration::from_secs(1), &mut events).await.unwrap();
    }
    assert!(!server.log().contains("terminating walsender process due to replication timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_shutdown_is_not_held_up_by_a_client_that_confirms() {
    let mut server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "t", "id int PRIMARY KEY").await;
    client.batch_execute("INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    changes(&mut source, 1).await;
    let consumer = tokio::spawn(async move {
        let mut events = Vec::new();
        loop {
            if let Err(error) = source.next(Duration::from_secs(1), &mut events).await {
                return error;
            }
            for event in events.drain(..) {
                if let Event::Keepalive { position: end, .. } | Event::Commit { end } = event {
                    source.confirm(end);
                }
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (server, took) = tokio::task::spawn_blocking(move || {
        let took = server.stop_fast();
        (server, took)
    })
    .await
    .unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}: {}", server.log());
    let error = consumer.await.unwrap();
    assert_eq!(error.kind(), ErrorKind::Retry, "{}", error.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_walsender_is_an_error_that_may_pass() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "t", "id int PRIMARY KEY").await;
    client.batch_execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots").await.unwrap();
    let error = fails(&mut source).await;
    assert_eq!(error.kind(), ErrorKind::Retry, "{}", error.report());
    client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    source.start(Lsn::ZERO).await.unwrap();
    assert_eq!(changes(&mut source, 1).await, ["I 1", "--"]);
}
