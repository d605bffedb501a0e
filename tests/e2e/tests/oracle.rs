//! The oracle finds what it is there to find.
#![allow(clippy::unwrap_used, clippy::panic)]

use datapipe_e2e::oracle::{Oracle, Verdict};
use datapipe_e2e::servers::{PG15, Servers};
use tokio_postgres::Client;

fn event(op: &str, id: i64, name: &str, lsn: i64) -> String {
    let row = serde_json::json!({ "id": id, "name": name, "amount": null, "at": null, "flag": null, "doc": null, "note": null });
    let (before, after) = if op == "d" { (row, serde_json::Value::Null) } else { (serde_json::Value::Null, row) };
    serde_json::json!({ "before": before, "after": after, "op": op, "source": { "lsn": lsn } }).to_string()
}

async fn judge(db: &Client, events: &[String]) -> Verdict {
    let mut oracle = Oracle::new(db).await.unwrap();
    for event in events {
        oracle.event(event).unwrap();
    }
    oracle.judge("users").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_fault_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let servers = Servers::start(folder.path(), PG15).await.unwrap();
    let db = servers.connect().await.unwrap();
    servers.reset(&db).await.unwrap();
    db.batch_execute("INSERT INTO users (id, name) VALUES (1, 'a'), (2, 'b2'), (3, 'c')").await.unwrap();
    let sound = vec![
        event("r", 1, "a", 10),
        event("r", 2, "b", 10),
        event("c", 3, "c", 20),
        event("u", 2, "b2", 21),
        event("c", 4, "d", 22),
        event("d", 4, "d", 23),
    ];
    let clean = judge(&db, &sound).await;
    assert!(clean.is_clean(), "{clean:?}");
    assert_eq!((clean.events, clean.snapshot, clean.rows), (6, 2, 3));

    let mut lost = sound.clone();
    lost.remove(2);
    assert_eq!(judge(&db, &lost).await.lost, 1);
    let mut stale = sound.clone();
    stale.remove(3);
    let verdict = judge(&db, &stale).await;
    assert_eq!((verdict.lost, verdict.surplus), (1, 1));
    let mut surplus = sound.clone();
    surplus.remove(5);
    assert_eq!(judge(&db, &surplus).await.surplus, 1);
    for doubled in [2, 3, 0] {
        let mut events = sound.clone();
        events.push(sound[doubled].clone());
        assert!(judge(&db, &events).await.doubled > 0, "event {doubled} again");
    }
    // A change that had been committed before the snapshot's point, and is in the row that it read.
    let mut contained = sound.clone();
    contained.insert(2, event("u", 2, "b", 9));
    assert_eq!(judge(&db, &contained).await.doubled, 1);
    let mut contained_later = sound.clone();
    contained_later.splice(2..2, [event("u", 2, "a", 8), event("u", 2, "b", 9)]);
    assert_eq!(judge(&db, &contained_later).await.doubled, 1);
    // One that was under way at that point is not: the row differs.
    let mut under_way = sound.clone();
    under_way.insert(2, event("u", 2, "b1", 9));
    assert!(judge(&db, &under_way).await.is_clean());

    let truncate = |lsn| serde_json::json!({ "op": "t", "source": { "lsn": lsn } }).to_string();
    let after = |mut events: Vec<String>| {
        events.extend([event("c", 1, "a", 40), event("c", 2, "b2", 41), event("c", 3, "c", 42)]);
        events
    };
    assert!(judge(&db, &after([sound.clone(), vec![truncate(30), truncate(31)]].concat())).await.is_clean());
    let verdict = judge(&db, &after([sound.clone(), vec![truncate(30), truncate(30)]].concat())).await;
    assert_eq!((verdict.doubled, verdict.lost), (1, 0));
    servers.stack.stop().await.unwrap();
}
