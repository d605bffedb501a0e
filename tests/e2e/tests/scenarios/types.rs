//! Values of every type, at their edges, through the whole way: PostgreSQL, Kafka, S3, read back.

use std::fmt::Write as _;

use datapipe_core::value::{Modes, resolve, write_value};
use datapipe_e2e::recorded::{Recorded, definitions, quoted, types};
use datapipe_e2e::stage::{PG15, PG18, Stage};
use serde_json::Value;

/// The types that have a form.
fn served() -> Vec<Recorded> {
    let mut types = types().unwrap();
    types.retain(|recorded| resolve(&recorded.pg).is_ok());
    for recorded in &mut types {
        // Arrays of two dimensions go to the dead letter queue, which has a test of its own.
        let kind = resolve(&recorded.pg).unwrap();
        recorded.cases.retain(|(text, _)| write_value(&kind, Modes::PLAN, text.as_bytes(), &mut Vec::new()).is_ok());
    }
    types
}

fn insert(types: &[Recorded], id: usize, index: usize) -> String {
    let mut sql = format!("INSERT INTO users VALUES ({id}");
    for recorded in types {
        let (text, _) = &recorded.cases[index % recorded.cases.len()];
        write!(sql, ", {}", quoted(text)).unwrap();
    }
    sql + ")"
}

/// Whether a value read back is the recorded one.
fn same(recorded: &Recorded, found: &Value, expected: &str) -> bool {
    let Ok(expected) = serde_json::from_str::<Value>(expected) else { return false };
    match (found.as_f64(), expected.as_f64()) {
        #[expect(clippy::cast_possible_truncation, reason = "a float4 is compared as one")]
        (Some(found), Some(expected)) if recorded.pg.name == "float4" => {
            (found as f32).to_bits() == (expected as f32).to_bits()
        }
        (Some(found), Some(expected)) if recorded.pg.name == "float8" => found.to_bits() == expected.to_bits(),
        _ => *found == expected,
    }
}

async fn every_type(postgres: datapipe_embedded::PostgresSource) {
    let types = served();
    let rows = types.iter().map(|recorded| recorded.cases.len()).max().unwrap();
    let columns: Vec<_> = types.iter().enumerate().map(|(at, recorded)| format!("c{at} {}", recorded.sql)).collect();
    let schema = format!("{} CREATE TABLE users (id bigint PRIMARY KEY, {})", definitions(&types), columns.join(", "));
    let stage = Stage::new(postgres, &schema).await;
    for index in 0..rows {
        stage.sql(&insert(&types, index, index)).await;
    }
    let worker = stage.worker("worker", &["users"], &[]);
    stage.running(&["users"]).await;
    for index in 0..rows {
        stage.sql(&insert(&types, 1000 + index, index)).await;
    }
    stage.sql("INSERT INTO users (id) VALUES (5000)").await;
    let events = stage.arrived("users", 2 * rows + 1).await;
    let (mut checked, mut differing) = (0, std::collections::BTreeSet::new());
    for event in &events {
        let id = usize::try_from(event["after"]["id"].as_u64().unwrap()).unwrap();
        assert_eq!(event["op"], if id < 1000 { "r" } else { "c" });
        for (at, recorded) in types.iter().enumerate() {
            let found = &event["after"][format!("c{at}")];
            if id == 5000 {
                assert_eq!(*found, Value::Null);
                continue;
            }
            let (text, expected) = &recorded.cases[id % 1000 % recorded.cases.len()];
            checked += 1;
            if expected.as_deref().is_some_and(|expected| same(recorded, found, expected)) {
                continue;
            }
            // What is deliberately other than recorded has its form in the tests of the forms.
            let mut ours = Vec::new();
            write_value(&resolve(&recorded.pg).unwrap(), Modes::PLAN, text.as_bytes(), &mut ours).unwrap();
            assert_eq!(*found, serde_json::from_slice::<Value>(&ours).unwrap(), "{} {text}", recorded.sql);
            differing.insert((recorded.sql.clone(), text.clone()));
        }
    }
    println!(
        "{} types, {rows} rows read and streamed, {checked} values checked, {} deliberately other",
        types.len(),
        differing.len()
    );
    assert!(types.len() > 120 && checked > 40_000);
    assert!(differing.len() <= 26, "{differing:?}");
    stage.prove(&["users"]).await;
    worker.stop().await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_on_15() {
    every_type(PG15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_on_18() {
    every_type(PG18).await;
}
