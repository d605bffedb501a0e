//! What a real server streams, and what we make of it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use datapipe_core::Lsn;
use datapipe_core::change::Event;
use datapipe_core::port::source::ChangeSource;
use datapipe_core::value::ColumnType;
use support::{Server, changes, transactions};
use tokio_postgres::Client;

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_arrives_in_order() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "users", "id int PRIMARY KEY, name text, note text").await;
    run(&client, "INSERT INTO users VALUES (1, 'a', NULL), (2, E'b\\tc', '')").await;
    run(
        &client,
        "BEGIN; INSERT INTO users VALUES (3, 'x', 'x'); SAVEPOINT s; INSERT INTO users VALUES (4, 'y', 'y'); \
                  ROLLBACK TO s; INSERT INTO users VALUES (5, 'z', 'z'); COMMIT",
    )
    .await;
    run(&client, "BEGIN; INSERT INTO users VALUES (6, 'gone', ''); ROLLBACK").await;
    run(&client, "UPDATE users SET name = 'A' WHERE id = 1").await;
    run(&client, "UPDATE users SET id = 20 WHERE id = 2").await;
    run(&client, "DELETE FROM users WHERE id = 3").await;
    run(
        &client,
        "DO $$ BEGIN EXECUTE format('COPY (SELECT 100 + i, ''copied'', NULL FROM generate_series(0, 2) i) TO %L \
         (FORMAT csv)', current_setting('data_directory') || '/rows.csv'); END $$",
    )
    .await;
    run(&client, "COPY users FROM 'rows.csv' (FORMAT csv)").await;
    run(&client, "TRUNCATE users").await;
    let expected = [
        "I 1,a,-",
        "I 2,b\tc,",
        "--",
        "I 3,x,x",
        "I 5,z,z",
        "--",
        "U 1,A,-",
        "--",
        "U key(2,-,-) 20,b\tc,",
        "--",
        "D key(3,-,-)",
        "--",
        "I 100,copied,-",
        "I 101,copied,-",
        "I 102,copied,-",
        "--",
        "T",
        "--",
    ];
    assert_eq!(changes(&mut source, 7).await, expected);
    run(&client, "ALTER TABLE users REPLICA IDENTITY FULL").await;
    run(&client, "INSERT INTO users VALUES (1, 'a', NULL)").await;
    run(&client, "UPDATE users SET id = 2").await;
    run(&client, "DELETE FROM users").await;
    let expected = ["I 1,a,-", "--", "U full(1,a,-) 2,a,-", "--", "D full(2,a,-)", "--"];
    assert_eq!(changes(&mut source, 3).await, expected);
    source.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_those_of_the_server() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "users", "id int PRIMARY KEY").await;
    let before: String = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.unwrap().get(0);
    run(&client, "INSERT INTO users SELECT generate_series(1, 3)").await;
    let xid: i64 = client.query_one("SELECT xmin::text::bigint FROM users LIMIT 1", &[]).await.unwrap().get(0);
    let events = transactions(&mut source, 1, Duration::from_secs(10)).await;
    let events: Vec<&Event> = events.iter().filter(|event| !matches!(event, Event::Keepalive { .. })).collect();
    let [Event::Begin(begin), Event::Change(first), _, Event::Change(third), Event::Commit { end }] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(i64::from(begin.xid), xid);
    let before: Lsn = before.parse().unwrap();
    assert!(before <= first.lsn && first.lsn < third.lsn && third.lsn < begin.commit && begin.commit < *end);
    let now = client.query_one("SELECT (extract(epoch FROM now()) * 1000000)::bigint", &[]).await.unwrap();
    assert!((now.get::<_, i64>(0) - begin.commit_time_us).abs() < 60_000_000, "{}", begin.commit_time_us);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toasted_value_left_alone_is_told_from_null() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let columns = "id text PRIMARY KEY, n int, big text, nothing text";
    let mut source = server.streaming(&client, "docs", columns).await;
    run(&client, "ALTER TABLE docs ALTER big SET STORAGE EXTERNAL, ALTER id SET STORAGE EXTERNAL").await;
    // A key long enough to be stored outside of the row, yet short enough for its index.
    run(&client, "INSERT INTO docs VALUES (repeat('k', 2500), 1, repeat('x', 100000), NULL)").await;
    run(&client, "UPDATE docs SET n = 2").await;
    let lines = changes(&mut source, 2).await;
    let key = "k".repeat(2500);
    assert_eq!(lines[0].len(), "I ".len() + 2500 + ",1,".len() + 100_000 + ",-".len());
    assert!(lines[2].ends_with(&format!(" {key},2,~,-")), "{:.100}", lines[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_read_under_the_schema_they_were_written_under() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "users", "id int PRIMARY KEY, name varchar(20) NOT NULL").await;
    run(&client, "INSERT INTO users VALUES (1, 'a')").await;
    run(&client, "BEGIN; ALTER TABLE users ADD age int DEFAULT 7; INSERT INTO users VALUES (2, 'b'); COMMIT").await;
    run(&client, "ALTER TABLE users DROP name").await;
    run(&client, "INSERT INTO users VALUES (3, 9)").await;
    run(&client, "CREATE TYPE mood AS ENUM ('sad', 'happy'); ALTER TABLE users ADD mood mood").await;
    run(&client, "INSERT INTO users VALUES (4, 1, 'sad')").await;
    run(&client, "ALTER TYPE mood ADD VALUE 'angry'").await;
    run(&client, "INSERT INTO users VALUES (5, 1, 'angry')").await;
    run(&client, "ALTER TABLE users ALTER age TYPE numeric(10, 2)").await;
    run(&client, "INSERT INTO users VALUES (6, 1.5, 'angry')").await;
    run(&client, "ALTER TABLE users DROP mood; DROP TYPE mood").await;
    run(&client, "ALTER TABLE users RENAME TO people; INSERT INTO people VALUES (7, 2)").await;
    let mut events = Vec::new();
    for _ in 0..100 {
        source.next(Duration::from_millis(100), &mut events).await.unwrap();
        if support::lines(&events).iter().any(|line| line == "I 7,2.00") {
            break;
        }
    }
    let seen: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Change(change) => {
                let columns = change.relation.columns.iter();
                let columns = columns.map(|column| {
                    let kind = format!("{:?}", column.kind);
                    format!("{}:{}", column.name, kind.split('(').next().unwrap_or_default())
                });
                assert_eq!(change.relation.key, [0]);
                Some(format!("{} [{}]", support::show_action(&change.action), columns.collect::<Vec<_>>().join(" ")))
            }
            _ => None,
        })
        .collect();
    let expected = [
        "I 1,a [id:Int4 name:Chars]",
        "I 2,b,7 [id:Int4 name:Chars age:Int4]",
        "I 3,9 [id:Int4 age:Int4]",
        "I 4,1,sad [id:Int4 age:Int4 mood:Chars]",
        "I 5,1,angry [id:Int4 age:Int4 mood:Chars]",
        "I 6,1.50,angry [id:Int4 age:Numeric mood:Chars]",
        "I 7,2.00 [id:Int4 age:Numeric]",
    ];
    assert_eq!(seen, expected);
    let Some(Event::Change(first)) = events.iter().find(|event| matches!(event, Event::Change(_))) else { panic!() };
    assert_eq!(first.relation.columns[1].kind, ColumnType::Chars(Some(20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_position_advances_the_slot_and_is_not_sent_again() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "users", "id int PRIMARY KEY").await;
    run(&client, "INSERT INTO users VALUES (1)").await;
    run(&client, "INSERT INTO users VALUES (2)").await;
    let events = transactions(&mut source, 2, Duration::from_secs(10)).await;
    let ends: Vec<Lsn> =
        events.iter().filter_map(|event| if let Event::Commit { end } = event { Some(*end) } else { None }).collect();
    source.confirm(ends[0]);
    // Never back.
    source.confirm(Lsn(1));
    source.stop().await.unwrap();
    let state = source.inspect().await.unwrap();
    assert_eq!(state.slot.unwrap().confirmed, ends[0]);
    source.start(ends[0]).await.unwrap();
    assert_eq!(changes(&mut source, 1).await, ["I 2", "--"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_reports_how_far_the_server_has_come() {
    let server = Server::start(&[]);
    let client = server.client().await;
    let mut source = server.streaming(&client, "users", "id int PRIMARY KEY").await;
    run(&client, "CREATE TABLE other (id int); INSERT INTO other VALUES (1)").await;
    let now: String = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let now: Lsn = now.parse().unwrap();
    let start = std::time::Instant::now();
    let mut reached = Lsn::ZERO;
    while reached < now {
        assert!(start.elapsed() < Duration::from_secs(5), "only {reached} of {now}");
        let mut events = Vec::new();
        source.next(Duration::from_secs(1), &mut events).await.unwrap();
        for event in events {
            if let Event::Keepalive { position, .. } = event {
                reached = position;
            }
        }
    }
    source.confirm(reached);
    source.stop().await.unwrap();
    assert_eq!(source.inspect().await.unwrap().slot.unwrap().confirmed, reached);
}
