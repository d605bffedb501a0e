//! Each thing that can be wrong is made wrong, and must be found under its own name.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod lake;

use std::collections::BTreeMap;

use bytes::Bytes;
use datapipe_reconcile::{ProblemKind, Report};
use lake::{Event, Lake, event, gzip, hex_sha256, missing, scope};

/// Three objects of one partition and the rows that they lead to.
fn users() -> (Lake, Vec<String>) {
    let mut lake = Lake::default();
    let next = lake.add(0, 0, &first());
    let next = lake.add(0, next, &[event('u', 2, 120, r#","name":"Bo","age":3"#), event('d', 3, 130, "")]);
    lake.add(0, next, &[event('c', 4, 140, r#","name":"Di","age":4"#), event('u', 1, 150, r#","name":"Al","age":9"#)]);
    let rows =
        [r#"{"id":1,"name":"Al","age":9}"#, r#"{"id":2,"name":"Bo","age":3}"#, r#"{"id":4,"name":"Di","age":4}"#];
    (lake, rows.map(str::to_owned).to_vec())
}

fn first() -> [Event; 3] {
    [1, 2, 3].map(|id| event('r', id, 100, r#","name":"A","age":1"#))
}

/// The counts in the order lost, surplus, differing, doubled, orphaned, chain.
fn counts(report: &Report) -> [u64; 6] {
    let Report { lost, surplus, differing, doubled, orphaned, chain, .. } = report;
    [lost.count, surplus.count, differing.count, doubled.count, orphaned.count, chain.count]
}

fn kinds(report: &Report) -> Vec<ProblemKind> {
    report.chain.examples.iter().map(|problem| problem.kind).collect()
}

#[tokio::test]
async fn a_table_without_faults_is_proven() {
    let (mut lake, rows) = users();
    lake.0.insert("table=users/.datapipe-probe".to_owned(), (Bytes::from_static(b"x"), BTreeMap::default()));
    lake.0.insert("table=users2/other".to_owned(), (Bytes::from_static(b"x"), BTreeMap::default()));
    let report = lake.compare(&rows).await;
    assert!(report.proven(), "{report}");
    assert_eq!((report.rows, report.folded, report.events, report.objects), (3, 3, 7, 3));
    assert!(
        report.to_string().starts_with("table users: 3 rows in PostgreSQL, 3 rows from 7 events in 3 objects"),
        "{report}"
    );
    assert!(lake::Lake::default().compare(&[]).await.proven());
}

#[tokio::test]
async fn a_lost_row() {
    let (lake, mut rows) = users();
    rows.push(r#"{"id":5,"name":"E","age":0}"#.to_owned());
    rows.push(r#"{"id":3,"name":"A","age":1}"#.to_owned());
    let report = lake.compare(&rows).await;
    assert_eq!(counts(&report), [2, 0, 0, 0, 0, 0], "{report}");
    let removed = report.lost.examples.iter().find(|example| example.key == r#"{"id":3}"#).unwrap();
    assert_eq!(removed.object, Some(lake.key(3)));
    assert_eq!(removed.what, "was removed at 0/82, PostgreSQL has it");
    assert!(report.to_string().contains(r#"lost: {"id":5} is in no object"#), "{report}");
}

#[tokio::test]
async fn a_surplus_row() {
    let (lake, mut rows) = users();
    rows.remove(1);
    let report = lake.compare(&rows).await;
    assert_eq!(counts(&report), [0, 1, 0, 0, 0, 0], "{report}");
    assert_eq!(
        (&report.surplus.examples[0].key, &report.surplus.examples[0].object),
        (&r#"{"id":2}"#.to_owned(), &Some(lake.key(3)))
    );
}

#[tokio::test]
async fn a_stale_row() {
    let (lake, mut rows) = users();
    rows[0] = r#"{"id":1,"name":"Al","age":10}"#.to_owned();
    let report = lake.compare(&rows).await;
    assert_eq!(counts(&report), [0, 0, 1, 0, 0, 0], "{report}");
    assert_eq!(report.differing.examples[0].what, "differs in age; its last event is at 0/96");
    assert_eq!(report.differing.examples[0].object, Some(lake.key(5)));
}

#[tokio::test]
async fn a_doubled_event() {
    for again in [event('r', 1, 100, r#","name":"A","age":1"#), event('u', 1, 150, r#","name":"Al","age":9"#)] {
        let (mut lake, rows) = users();
        lake.add(0, 7, std::slice::from_ref(&again));
        // An `r` sets the row back, as it would for every reader.
        let stale = u64::from(again.op == 'r');
        let report = lake.compare(&rows).await;
        assert_eq!(counts(&report), [0, 0, stale, 1, 0, 0], "{report}");
        assert_eq!(report.doubled.examples[0].object, Some(lake.key(7)));
    }
}

#[tokio::test]
async fn a_whole_object_again_under_another_name() {
    let (mut lake, rows) = users();
    let again = [event('c', 4, 140, r#","name":"Di","age":4"#), event('u', 1, 150, r#","name":"Al","age":9"#)];
    lake.add(0, 7, &again);
    assert_eq!(counts(&lake.compare(&rows).await), [0, 0, 0, 2, 0, 0]);
}

#[tokio::test]
async fn an_orphaned_event() {
    let (mut lake, rows) = users();
    lake.add(0, 7, &[event('d', 9, 160, ""), event('d', 3, 170, "")]);
    assert_eq!(counts(&lake.compare(&rows).await), [0, 0, 0, 0, 2, 0]);
    // An incremental snapshot that has looked for the rows settles what came before it.
    lake.add(0, 9, &[missing(9, 170), missing(3, 170)]);
    assert_eq!(counts(&lake.compare(&rows).await), [0; 6]);
}

#[tokio::test]
async fn a_missing_object() {
    let (mut lake, rows) = users();
    let missing = lake.key(3);
    lake.0.remove(&missing);
    let report = lake.compare(&rows).await;
    assert_eq!(counts(&report), [0, 1, 1, 0, 0, 1], "{report}");
    assert_eq!(kinds(&report), [ProblemKind::Hole]);
    assert!(report.chain.examples[0].what.starts_with("offsets 3 to 4 of partition 0 are in no object"), "{report}");
}

#[tokio::test]
async fn a_missing_first_or_last_object() {
    let (whole, rows) = users();
    let mut answered = scope();
    answered.answered.insert(0, 0..7);
    assert!(whole.compare_in(&rows, &answered).await.unwrap().proven());
    for (first, what) in [(0, "offsets 0 to 2 before it"), (5, "offsets 5 to 6 were delivered")] {
        let mut lake = whole.clone();
        lake.0.remove(&whole.key(first));
        let report = lake.compare_in(&rows, &answered).await.unwrap();
        assert_eq!(kinds(&report), [ProblemKind::Hole]);
        assert!(report.chain.examples[0].what.starts_with(what), "{report}");
    }
}

#[tokio::test]
async fn an_overlap() {
    let (mut lake, rows) = users();
    lake.add(0, 4, &[event('d', 3, 130, ""), event('c', 4, 140, r#","name":"Di","age":4"#)]);
    let report = lake.compare(&rows).await;
    // The next object overlaps too: offset 5 is in both.
    assert_eq!(kinds(&report), [ProblemKind::Overlap, ProblemKind::Overlap]);
    assert_eq!(report.doubled.count, 2, "{report}");
}

#[tokio::test]
async fn an_altered_object() {
    let (mut lake, rows) = users();
    let key = lake.key(3);
    // Valid events, other values, a line more: the digest and the count tell.
    let lines = [event('u', 2, 120, r#","name":"Xx","age":3"#), event('d', 3, 130, ""), event('c', 7, 131, "")];
    lake.0.get_mut(&key).unwrap().0 = gzip(&lines.map(|event| event.line())).into();
    let report = lake.compare(&rows).await;
    assert_eq!(counts(&report), [0, 1, 1, 0, 0, 2], "{report}");
    assert_eq!(kinds(&report), [ProblemKind::Altered, ProblemKind::Altered]);
    assert!(report.chain.examples.iter().all(|problem| problem.object == key));
}

#[tokio::test]
async fn a_cut_object() {
    let (mut lake, rows) = users();
    let key = lake.key(5);
    let object = &mut lake.0.get_mut(&key).unwrap().0;
    object.truncate(object.len() - 4);
    let report = lake.compare(&rows).await;
    assert_eq!(kinds(&report), [ProblemKind::Unreadable, ProblemKind::Altered], "{report}");
}

#[tokio::test]
async fn lines_that_are_no_events() {
    for (line, why) in [
        ("no json", "record 2:"),
        (r#"{"op":"c","after":{"name":"x"},"source":{"lsn":1}}"#, "key column id is missing"),
        (r#"{"op":"u","after":null,"source":{"lsn":1}}"#, "`after` is missing"),
    ] {
        let mut lake = Lake::default();
        lake.add_lines(0, 0, &[event('c', 1, 5, "").line(), line.to_owned()]);
        let report = lake.compare(&[r#"{"id":1}"#.to_owned()]).await;
        assert_eq!(kinds(&report), [ProblemKind::Unreadable], "{report}");
        assert!(report.chain.examples[0].what.contains(why), "{report}");
    }
}

#[tokio::test]
async fn objects_of_others() {
    let (mut lake, rows) = users();
    let key = lake.key(5);
    lake.0.get_mut(&key).unwrap().1.insert("datapipe-cluster-id".to_owned(), "other".to_owned());
    lake.0.insert("table=users/stray.jsonl.gz".to_owned(), (Bytes::new(), BTreeMap::default()));
    let report = lake.compare(&rows).await;
    assert_eq!(kinds(&report), [ProblemKind::Foreign, ProblemKind::Foreign], "{report}");
}

#[tokio::test]
async fn altered_metadata() {
    let (lake, rows) = users();
    let key = lake.key(3);
    for (name, value) in
        [("datapipe-first", "4"), ("datapipe-last", "9"), ("datapipe-next", "many"), ("datapipe-written", "1")]
    {
        let mut lake = lake.clone();
        lake.0.get_mut(&key).unwrap().1.insert(name.to_owned(), value.to_owned());
        let report = lake.compare(&rows).await;
        assert!(kinds(&report).contains(&ProblemKind::Altered), "{name}: {report}");
    }
}

#[tokio::test]
async fn objects_without_metadata_are_folded_and_counted() {
    let (mut lake, rows) = users();
    let key = lake.key(3);
    lake.0.get_mut(&key).unwrap().1.clear();
    let report = lake.compare(&rows).await;
    assert!(report.proven(), "{report}");
    assert_eq!(report.unattested, 1);
    assert!(report.to_string().contains("1 objects were written by another sink"), "{report}");
}

#[tokio::test]
async fn truncates_clear_what_was_before_in_every_partition() {
    let mut lake = Lake::default();
    lake.add(0, 0, &[event('c', 1, 10, ""), event('c', 3, 20, ""), event('t', 0, 30, ""), event('c', 1, 40, "")]);
    lake.add(1, 0, &[event('c', 2, 15, ""), event('c', 4, 35, "")]);
    let rows = [r#"{"id":1}"#, r#"{"id":4}"#].map(str::to_owned);
    assert!(lake.compare(&rows).await.proven());
    lake.add(0, 4, &[event('t', 0, 30, "")]);
    let report = lake.compare(&rows).await;
    assert_eq!(counts(&report), [1, 0, 0, 1, 0, 0], "{report}");
}

#[tokio::test]
async fn unchanged_toasted_values_are_kept() {
    let mut lake = Lake::default();
    let update = r#","big":"__debezium_unavailable_value","n":2"#;
    lake.add(0, 0, &[event('c', 1, 10, r#","big":"long","n":1"#), event('u', 1, 20, update)]);
    assert!(lake.compare(&[r#"{"id":1,"big":"long","n":2}"#.to_owned()]).await.proven());
    let report = lake.compare(&[r#"{"id":1,"big":"other","n":2}"#.to_owned()]).await;
    assert!(report.differing.examples[0].what.starts_with("differs in big;"), "{report}");
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let (lake, mut rows) = users();
    rows.push(rows[0].clone());
    let error = lake.compare_in(&rows, &scope()).await.unwrap_err();
    assert!(error.to_string().contains(r#"two rows with the key {"id":1}"#), "{error}");
    let mut keyless = scope();
    keyless.key.clear();
    assert!(lake.compare_in(&rows, &keyless).await.unwrap_err().to_string().contains("no primary key"));
}

#[tokio::test]
async fn the_metadatas_digest_is_the_objects() {
    let (lake, _) = users();
    for (bytes, metadata) in lake.0.values() {
        assert_eq!(metadata["datapipe-sha256"], hex_sha256(bytes));
    }
}
