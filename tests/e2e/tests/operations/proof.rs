//! `datapipe-verify --data` beside writers: rows are compared as of one moment, while rows before and after it flow.

use std::process::Command;

use datapipe_e2e::load::{self, Load};
use datapipe_e2e::process::program_named;
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{BUCKET, PG15, Stage};
use serde_json::Value;

/// Its exit code, and what the proof of each table says.
async fn proofs(stage: &Stage, more: &[&str]) -> (i32, Vec<String>) {
    let program = Command::new(program_named("datapipe-verify").unwrap());
    let mut command = stage.settings.given(program, &stage.servers, "verify");
    command.args(["--host", "127.0.0.1", "--only", "data", "-o", "json"]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    let words = findings
        .iter()
        .filter(|finding| finding["code"] == "DP0601")
        .map(|finding| format!("{}: {}", finding["table"].as_str().unwrap(), finding["seen"].as_str().unwrap()));
    (output.status.code().unwrap(), words.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_proven_while_others_write() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 2000).await.unwrap();
    let worker = stage.worker("worker", &TABLES, &[]);
    stage.running(&TABLES).await;
    let load = Load::start(&stage.servers, 5, true).await.unwrap();
    // Open while the rows are read, and ended when the objects are.
    let open = stage.servers.connect().await.unwrap();
    let keep = stage.root.path().join("proofs");
    let keep = ["--keep", keep.to_str().unwrap()];
    let mut later = 0;
    for round in 0..4 {
        let statement = "BEGIN; INSERT INTO users (name) SELECT 'open' FROM generate_series(1, 200)";
        open.batch_execute(statement).await.unwrap();
        // The first one is whole, and every further one goes on from the one before.
        let prove = proofs(&stage, &keep);
        let commit = async {
            tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
            open.batch_execute("COMMIT").await.unwrap();
        };
        let ((code, words), ()) = tokio::join!(prove, commit);
        println!("round {round}: {words:#?}");
        assert_eq!((code, words.len()), (0, 4), "{words:#?}");
        let going_on = words.iter().filter(|words| words.contains("since the proof at")).count();
        assert_eq!(going_on, if round == 0 { 0 } else { 4 }, "{words:#?}");
        later += words.iter().filter(|words| words.contains("came after them")).count();
    }
    assert!(later > 0, "nobody wrote while rows were compared");
    println!("{} transactions beside it", load.end().await.unwrap());

    // A sample holds fewer rows, and finds what it holds; everything finds everything.
    let (code, words) = proofs(&stage, &["--table", "users", "--one-of", "10"]).await;
    println!("{words:#?}");
    assert!(code == 0 && words[0].contains("of one key in 10"), "{words:#?}");
    let objects = stage.servers.stack.s3().bucket_path(BUCKET).join("table=users");
    std::fs::remove_dir_all(&objects).unwrap();
    for more in [&["--table", "users"][..], &["--table", "users", "--one-of", "10"]] {
        let (code, words) = proofs(&stage, more).await;
        assert!(code == 1 && words[0].contains("is in no object"), "{words:#?}");
    }

    // Nobody brings anything any more: said, and after the time that was given.
    worker.stop().await.unwrap();
    stage.sql("INSERT INTO orders (name) VALUES ('late')").await;
    let (code, words) = proofs(&stage, &["--table", "orders", "--catch-up", "3s"]).await;
    println!("{words:#?}");
    assert!(code == 1 && words[0].contains("no worker reads it"), "{words:#?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_lost_or_differ_are_read_again() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 700).await.unwrap();
    let worker = stage.worker("worker", &["users"], &[("source.signals", "true")]);
    stage.running(&["users"]).await;
    let table = ["--table", "users", "--set", "source.signals=true", "--catch-up", "40s"];
    assert_eq!(proofs(&stage, &table).await.0, 0);
    // Behind the pipeline's back: 600 rows that differ, one that is lost, and one too many.
    let publication = datapipe_e2e::stage::names("users").publication;
    stage.sql(&format!("ALTER PUBLICATION \"{publication}\" DROP TABLE users")).await;
    stage.sql("UPDATE users SET amount = 7 WHERE id <= 600; INSERT INTO users (id, name) VALUES (-1, 'lost')").await;
    stage.sql(&format!("ALTER PUBLICATION \"{publication}\" ADD TABLE users")).await;
    let (code, words) = proofs(&stage, &table).await;
    println!("{}", words[0]);
    assert!(code == 1 && words[0].contains("lost 1, surplus 0, differing 600"), "{words:#?}");

    // What changes meanwhile is not set back.
    let change = async {
        for _ in 0..40 {
            stage.sql("UPDATE users SET amount = amount + 1 WHERE id BETWEEN 1 AND 50").await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let repair = [&table[..], &["--repair"]].concat();
    let ((code, words), ()) = tokio::join!(proofs(&stage, &repair), change);
    println!("{}", words[0]);
    assert!(code == 0 && words[0].contains("rows were read again first"), "{words:#?}");
    assert_eq!(proofs(&stage, &table).await.0, 0);
    worker.stop().await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_only_the_objects_have_are_deleted() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 700).await.unwrap();
    let worker = stage.worker("worker", &["users"], &[("source.signals", "true")]);
    stage.running(&["users"]).await;
    let table = ["--table", "users", "--set", "source.signals=true", "--catch-up", "60s"];
    assert_eq!(proofs(&stage, &table).await.0, 0);
    // Behind the pipeline's back: 650 rows go, more than one signal names.
    let publication = datapipe_e2e::stage::names("users").publication;
    stage.sql(&format!("ALTER PUBLICATION \"{publication}\" DROP TABLE users")).await;
    stage.sql("DELETE FROM users WHERE id <= 650").await;
    stage.sql(&format!("ALTER PUBLICATION \"{publication}\" ADD TABLE users")).await;
    let (code, words) = proofs(&stage, &table).await;
    println!("{}", words[0]);
    assert!(code == 1 && words[0].contains("lost 0, surplus 650, differing 0"), "{words:#?}");

    // Some keys are used again, before, while and after they are looked for: what is written then stays. Others come and go.
    let again = async {
        for key in 1..=80 {
            stage.sql(&format!("INSERT INTO users (id, name) VALUES ({key}, 'again')")).await;
            if key % 3 == 0 {
                let gone = key - 1;
                stage
                    .sql(&format!("UPDATE users SET amount = 3 WHERE id = {key}; DELETE FROM users WHERE id = {gone}"))
                    .await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
    };
    let repair = [&table[..], &["--repair"]].concat();
    let ((code, words), ()) = tokio::join!(proofs(&stage, &repair), again);
    println!("{}", words[0]);
    assert!(code == 0 && words[0].contains("keys were looked for first"), "{words:#?}");
    assert_eq!(stage.number("SELECT count(*) FROM users WHERE name = 'again'").await, 80 - 26);
    let (code, words) = proofs(&stage, &table).await;
    println!("{}", words[0]);
    assert_eq!(code, 0, "{words:#?}");

    // Of a row that is not there only the key is known.
    let events = stage.events("users");
    let found = |event: &&Value| event["op"] == "d" && event["source"]["snapshot"] == "incremental";
    let deletes: Vec<&Value> = events.iter().filter(found).collect();
    println!("{} deletes, such as {}", deletes.len(), deletes[0]);
    assert!(deletes.len() >= 650 - 80, "{}", deletes.len());
    for delete in deletes {
        assert!(delete["after"].is_null() && delete["before"]["id"].is_i64() && delete["before"]["note"].is_null());
    }
    worker.stop().await.unwrap();
    stage.end().await;
}
