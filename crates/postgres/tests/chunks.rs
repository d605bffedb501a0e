//! What is asked beside the stream, and signals that come with it, on a real server.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use datapipe_core::change::Event;
use datapipe_core::lsn::Lsn;
use datapipe_core::port::source::{ChangeSource, ChunkRequest, KeyBound};
use datapipe_core::signal::Signal;
use datapipe_postgres::{PgSource, SourceSpec};
use support::{PASSWORD, Server, show};

/// The first event that is wanted; none of the others is kept.
async fn wait_for<T>(source: &mut PgSource, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let begun = Instant::now();
    let mut events = Vec::new();
    loop {
        source.next(Duration::from_millis(200), &mut events).await.unwrap();
        if let Some(found) = events.drain(..).find_map(&mut wanted) {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it did not come in 20 s");
    }
}

/// Reads a chunk, and waits until the stream has come to its watermark.
async fn chunk(source: &mut PgSource, after: Option<&str>, filter: Option<&str>) -> Vec<String> {
    let bound = |key: &str| KeyBound(vec![key.to_owned()]);
    let (after, upto, filter) = (after.map(bound), bound("9"), filter.map(str::to_owned));
    ask(source, ChunkRequest::Rows { after, upto, filter, rows_max: 3 }).await
}

async fn ask(source: &mut PgSource, request: ChunkRequest) -> Vec<String> {
    source.request_chunk(request);
    let chunk = wait_for(source, |event| if let Event::Chunk(chunk) = event { Some(chunk) } else { None }).await;
    let begun = Instant::now();
    let reached = |position: Lsn| (position >= chunk.watermark).then_some(());
    wait_for(source, |event| match event {
        Event::Keepalive { position, .. } | Event::Commit { end: position } => reached(position),
        _ => None,
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(5), "the stream came to the watermark after {:?}", begun.elapsed());
    chunk.rows.iter().map(show).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_read_in_chunks_beside_its_stream() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "t", "id int PRIMARY KEY, v text").await;
    client.batch_execute("INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 5) n").await.unwrap();
    let open = server.client().await;
    open.batch_execute("BEGIN; INSERT INTO t VALUES (9, 'open')").await.unwrap();
    let xid: i64 = open.query_one("SELECT pg_current_xact_id()::text::int8", &[]).await.unwrap().get(0);

    source.request_chunk(ChunkRequest::Bounds { filter: None });
    let bounds =
        wait_for(&mut source, |event| if let Event::Bounds(bounds) = event { Some(bounds) } else { None }).await;
    assert_eq!(bounds.last, Some(KeyBound(vec!["5".to_owned()])));
    assert!(bounds.horizon > xid.unsigned_abs());
    assert!(!bounds.visible.is_past(bounds.horizon), "a transaction is open that began before");
    assert!(!bounds.visible.sees(u32::try_from(xid).unwrap()));

    assert_eq!(chunk(&mut source, None, None).await, ["1,v1", "2,v2", "3,v3"]);
    open.batch_execute("COMMIT").await.unwrap();
    assert_eq!(chunk(&mut source, Some("3"), None).await, ["4,v4", "5,v5", "9,open"]);
    assert_eq!(chunk(&mut source, Some("9"), None).await, Vec::<String>::new());
    assert_eq!(chunk(&mut source, None, Some("id % 2 = 0 -- even")).await, ["2,v2", "4,v4"]);

    for (filter, why) in [
        ("no_column = 1", "no_column"),
        ("TRUE)) TO PROGRAM 'touch /tmp/datapipe-was-here' --", "syntax error"),
        ("id = 'x'", "invalid input syntax"),
    ] {
        source.request_chunk(ChunkRequest::Bounds { filter: Some(filter.to_owned()) });
        let told = wait_for(&mut source, |event| if let Event::Refused(why) = event { Some(why) } else { None }).await;
        assert!(told.contains(why), "{filter}: {told}");
    }
    // The stream is as it was.
    client.batch_execute("INSERT INTO t VALUES (6, 'later')").await.unwrap();
    wait_for(&mut source, |event| matches!(event, Event::Change(_)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_no_row_has_come_as_the_stream_would_send_them() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let form = "n numeric(8,2), v text NOT NULL, c char(3), id int, PRIMARY KEY (c, n, id)";
    let role = format!("CREATE ROLE reader LOGIN REPLICATION PASSWORD '{PASSWORD}'");
    client.batch_execute(&format!("{role}; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader")).await.unwrap();
    let mut spec = server.spec("t");
    spec.config.user = "reader".to_owned();
    let mut source = server.streaming_by(&client, spec, form).await;
    client.batch_execute("INSERT INTO t VALUES (7, 'v', 'a', 1), (8, 'v', 'i''s', 1)").await.unwrap();
    let missing = |keys: &[[&str; 3]]| {
        let parts = |parts: &[&str; 3]| ["c", "n", "id"].map(str::to_owned).into_iter().zip(parts.map(str::to_owned));
        ChunkRequest::Missing { keys: keys.iter().map(|key| parts(key).collect()).collect() }
    };
    let open = server.client().await;
    open.batch_execute("BEGIN; INSERT INTO t VALUES (9, 'open', 'o', 1)").await.unwrap();
    let keys = missing(&[
        ["a", "7", "1"],
        ["i's", "8.00", "1"],
        ["b", "7.5", "01"],
        ["b  ", "7.50", "1"],
        ["\\\"", "-1", "1"],
        ["o", "9", "1"],
    ]);
    // As a snapshot begins: a commit, so that the open transaction's part of the log is written out.
    source.request_chunk(ChunkRequest::Bounds { filter: None });
    wait_for(&mut source, |event| matches!(event, Event::Bounds(_)).then_some(())).await;
    let mut found = ask(&mut source, keys.clone()).await;
    found.sort();
    assert_eq!(found, ["-1.00,-,\\\" ,1", "7.50,-,b  ,1", "9.00,-,o  ,1"], "an open transaction's row is not there");
    open.batch_execute("COMMIT").await.unwrap();
    assert_eq!(ask(&mut source, keys).await.len(), 2);

    let cut = |mut request: ChunkRequest| {
        if let ChunkRequest::Missing { keys } = &mut request {
            keys[0].remove("id");
        }
        request
    };
    for (request, why) in [
        (missing(&[["a", "x", "1"]]), "invalid input syntax"),
        (missing(&[["abcd", "1", "1"]]), "too long"),
        (cut(missing(&[["a", "7", "1"]])), "a key names (c, n), the primary key is (c, n, id)"),
    ] {
        source.request_chunk(request);
        let told = wait_for(&mut source, |event| if let Event::Refused(why) = event { Some(why) } else { None }).await;
        assert!(told.contains(why), "{told}");
    }
    // A row that is there and hidden is not missing.
    client.batch_execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY").await.unwrap();
    source.request_chunk(missing(&[["a", "7", "1"]]));
    let told = wait_for(&mut source, |event| if let Event::Refused(why) = event { Some(why) } else { None }).await;
    assert!(told.contains("row-level security"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_signaling_table_are_signals() {
    let server = Server::start(&[]);
    let client = server.client().await;
    client.batch_execute("CREATE TABLE signals (id text PRIMARY KEY, type text, data text)").await.unwrap();
    let signal_table = Some(("public".to_owned(), "signals".to_owned()));
    let spec = SourceSpec { signal_table, ..server.spec("t") };
    let mut source = server.streaming_by(&client, spec, "id int PRIMARY KEY").await;
    client.batch_execute("ALTER PUBLICATION pub_t ADD TABLE signals").await.unwrap();
    client
        .batch_execute("BEGIN; INSERT INTO t VALUES (1); INSERT INTO signals VALUES ('a', 'log', '{}'); DELETE FROM signals; COMMIT")
        .await
        .unwrap();
    let mut changes = 0;
    let signal = wait_for(&mut source, |event| match event {
        Event::Change(_) => {
            changes += 1;
            None
        }
        Event::Signal(signal) => Some(signal),
        _ => None,
    })
    .await;
    assert_eq!(signal, Signal { id: "a".to_owned(), kind: "log".to_owned(), data: Some("{}".to_owned()) });
    assert_eq!(changes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heartbeats_statement_runs_beside_the_stream() {
    let server = Server::start(&[]);
    let client = server.client().await;
    client.batch_execute("CREATE TABLE beats (at timestamptz)").await.unwrap();
    let heartbeat_query = Some("INSERT INTO beats SELECT now() FROM pg_sleep(1)".to_owned());
    let spec = SourceSpec { heartbeat_query, ..server.spec("t") };
    let mut source = server.streaming_by(&client, spec, "id int PRIMARY KEY").await;
    let begun = Instant::now();
    source.beat();
    source.beat();
    assert!(begun.elapsed() < Duration::from_millis(500), "nobody waits for it");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let beats: i64 = client.query_one("SELECT count(*) FROM beats", &[]).await.unwrap().get(0);
    assert_eq!(beats, 1, "one at a time");
}
