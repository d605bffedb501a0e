//! `datapipe-verify` beside a pipeline that is well, and beside one that is hurt in several ways.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;

use datapipe_e2e::foreign::{Transaction, alter};
use datapipe_e2e::load;
use datapipe_e2e::process::{Worker, program_named};
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{BUCKET, PATIENCE, PG15, Stage, eventually, names};
use datapipe_e2e::topic::produce;
use flate2::read::GzDecoder;
use rustix::process::Signal;
use serde_json::Value;

const TABLE: &str = "users";

/// Its exit code and findings.
async fn verify(stage: &Stage, more: &[&str]) -> (i32, Vec<Value>) {
    let program = Command::new(program_named("datapipe-verify").unwrap());
    let mut command = stage.settings.given(program, &stage.servers, "verify");
    command.args(["--host", "127.0.0.1", "--table", TABLE, "-o", "json"]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let findings = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), findings)
}

/// The codes with an outcome.
fn codes<'a>(findings: &'a [Value], outcome: &str) -> Vec<&'a str> {
    let of = findings.iter().filter(|finding| finding["outcome"] == outcome);
    of.map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_tells_a_healthy_pipeline_from_a_hurt_one() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 1000).await.unwrap();
    let worker = stage.worker("worker", &[TABLE], &[]);
    stage.running(&[TABLE]).await;
    let (code, findings) = verify(&stage, &["--data", "--wait", "60s", "--fail-on", "warning"]).await;
    println!("healthy: exit {code}, {} ok", codes(&findings, "ok").len());
    let none: [&str; 0] = [];
    let wrong: Vec<&Value> = findings.iter().filter(|finding| finding["outcome"] != "ok").collect();
    assert_eq!((code, wrong), (0, Vec::new()));
    assert_eq!(codes(&findings, "skipped"), none);
    // A quiet table stays well: longer than an object of this sink may take.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let canary = ["--canary-table", TABLE];
    let (code, findings) = verify(&stage, &[&["--data", "--fail-on", "warning"], &canary[..]].concat()).await;
    assert_eq!(code, 0, "{findings:#?}");
    for code in ["DP0701", "DP0702"] {
        let hops = findings.iter().find(|finding| finding["code"] == code).unwrap();
        println!("{}", hops["seen"]);
        assert_eq!(hops["outcome"], "ok");
    }
    let proof = findings.iter().find(|finding| finding["code"] == "DP0601").unwrap();
    println!("{}", proof["seen"]);

    shadowed(&stage).await;
    evidence(&stage, &worker).await;

    // Two things at once, and each is found with its remedy.
    let publication = names(TABLE).publication;
    stage.sql(&format!("ALTER PUBLICATION \"{publication}\" SET TABLE orders")).await;
    let objects = stage.servers.stack.s3().bucket_path(BUCKET).join(format!("table={TABLE}"));
    std::fs::remove_dir_all(&objects).unwrap();
    let (code, findings) = verify(&stage, &["--data"]).await;
    assert_eq!((code, codes(&findings, "failed")), (1, vec!["DP0306", "DP0601"]), "{findings:#?}");
    let remedy =
        findings.iter().find(|finding| finding["code"] == "DP0306").unwrap()["next"].as_str().unwrap().to_owned();
    println!("{remedy}");
    let wrong = findings.iter().find(|finding| finding["code"] == "DP0601").unwrap();
    assert_eq!(wrong["caused_by"], serde_json::json!(["DP0306"]), "one root is told, though two things are wrong");
    stage.sql(&remedy).await;

    disordered(&stage).await;
    let watch = watching(&stage).await;
    worker.stop().await.unwrap();
    watched(watch).await;
    ahead(&stage).await;
    stage.end().await;
}

/// Looks every second.
async fn watching(stage: &Stage) -> Worker {
    let program = Command::new(program_named("datapipe-verify").unwrap());
    let mut command = stage.settings.given(program, &stage.servers, "verify");
    command.args(["--host", "127.0.0.1", "--table", TABLE, "--watch=1s", "--timeout", "5s", "-o", "json"]);
    let watch = Worker::run(command, stage.root.path(), "watch", Vec::new()).unwrap();
    let looked = async || watch.words().contains(r#""before":null,"code":"DP0505""#);
    eventually("the first look", PATIENCE, looked).await;
    watch
}

/// The worker's end is told as a change, and an interrupt ends it with the last look's outcome.
async fn watched(mut watch: Worker) {
    let gone = async || watch.words().contains(r#""before":"ok","code":"DP0101""#);
    eventually("the change to be told", PATIENCE, gone).await;
    watch.signal(Signal::INT).unwrap();
    let status = watch.ended(PATIENCE).await.unwrap();
    assert_eq!(status.code(), Some(1), "{}", watch.words());
    let words = watch.words();
    println!("watched: {} lines", words.lines().count());
    assert_eq!(words.matches(r#""code":"DP0308""#).count(), 1, "what stays is told once: {words}");
}

/// What others do to a pipeline that goes on running.
async fn disordered(stage: &Stage) {
    stage.sql("SELECT pg_create_logical_replication_slot('debezium_slot_carts', 'pgoutput')").await;
    stage.sql("CREATE PUBLICATION dbz_publication_carts").await;
    let bootstrap = stage.servers.stack.kafka().bootstrap();
    alter(&bootstrap, &names(TABLE).offsets_topic, "cleanup.policy", "delete").await.unwrap();
    let open = Transaction::open(&bootstrap, &names(TABLE).data_topic).await.unwrap();
    let at = TABLES.iter().position(|table| *table == TABLE).unwrap();
    let (sink, port) = (names(TABLE).sink_connector, stage.settings.ports[at]);
    let client = datapipe_connect::Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
    let changed = BTreeMap::from([("file.max.records".to_owned(), Some("7".to_owned()))]);
    client.patch_config(&sink, &changed).await.unwrap();
    let (_, findings) = verify(stage, &["--timeout", "20s"]).await;
    println!("disordered: {:?} {:?}", codes(&findings, "failed"), codes(&findings, "warning"));
    let found: Vec<&str> = [codes(&findings, "failed"), codes(&findings, "warning")].concat();
    for code in ["DP0203", "DP0310", "DP0312", "DP0402", "DP0407"] {
        assert!(found.contains(&code), "{code}: {findings:#?}");
    }
    open.abort().await.unwrap();
    stage.sql("SELECT pg_drop_replication_slot('debezium_slot_carts')").await;
    stage.sql("DROP PUBLICATION dbz_publication_carts").await;
    alter(&bootstrap, &names(TABLE).offsets_topic, "cleanup.policy", "compact").await.unwrap();
}

/// A native capture beside a native worker makes the same records.
async fn shadowed(stage: &Stage) {
    let mut program = Command::new(program_named("datapipe-verify").unwrap());
    program.arg("shadow");
    let mut command = stage.settings.given(program, &stage.servers, "shadow");
    command.args([TABLE, "--for", "3s"]);
    let shadow = tokio::task::spawn_blocking(move || command.output().unwrap());
    let slot = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'datapipe_shadow_users'";
    let active = format!("{slot} AND active");
    eventually("the shadow to stream", PATIENCE, async || stage.number(&active).await == 1).await;
    stage.sql("UPDATE users SET name = 'shadowed' WHERE id < 20; DELETE FROM users WHERE id = 3").await;
    let output = shadow.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{}", text.trim());
    assert!(output.status.success() && text.starts_with("users: 21 records alike, 0 differing"), "{output:?}");
    assert_eq!(stage.number(slot).await, 0, "its slot is dropped");
}

/// What is given to others holds no secret and no row, wherever each has been: in the environment, in a configuration in
/// clear, in a dead letter, in the rows and what differs of them, in the worker's log.
async fn evidence(stage: &Stage, worker: &Worker) {
    const ROW: &str = "canary-row-7f3a";
    let (at, bootstrap) =
        (TABLES.iter().position(|table| *table == TABLE).unwrap(), stage.servers.stack.kafka().bootstrap());
    let touch = format!("UPDATE users SET name = '{ROW}' WHERE id = 7");
    stage.sql(&touch).await;
    produce(&bootstrap, &names(TABLE).data_topic, ROW, &format!("no JSON {ROW}")).await.unwrap();
    let client = datapipe_connect::Client::new(&format!("http://127.0.0.1:{}", stage.settings.ports[at])).unwrap();
    let dead = async || {
        verify(stage, &["--only", "kafka"])
            .await
            .1
            .iter()
            .any(|it| it["code"] == "DP0404" && it["outcome"] == "warning")
    };
    eventually("the poisoned record to be a dead letter", PATIENCE, dead).await;
    let mut config = client.config(&names(TABLE).source_connector).await.unwrap().unwrap();
    config.insert("heartbeat.action.query".to_owned(), format!("SELECT '{ROW}'"));
    client.put_config(&names(TABLE).source_connector, &config).await.unwrap();
    let (archive, log) = (stage.root.path().join("out.tgz"), stage.root.path().join("worker.log"));
    let lines =
        format!("{}\nWARN it says \"{ROW}\" of {}\n", worker.words(), stage.servers.stack.postgres().password());
    std::fs::write(&log, lines).unwrap();
    let (archive_text, log_text) = (archive.display().to_string(), log.display().to_string());
    verify(stage, &["--data", "--catch-up", "5s", "--bundle", &archive_text, "--bundle-log", &log_text]).await;
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(&archive).unwrap()).read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    println!("bundle: {} bytes, {} bytes packed", bytes.len(), std::fs::metadata(&archive).unwrap().len());
    for part in
        ["findings.json", "report.txt", "seen/users.json", "plan.json", "logs/worker.log", "DP0404", &names(TABLE).slot]
    {
        assert!(text.contains(part), "{part} is not in it");
    }
    let (s3, postgres) = (stage.servers.stack.s3(), stage.servers.stack.postgres());
    for secret in [ROW, postgres.password(), s3.access_key(), s3.secret_key()] {
        assert!(!text.contains(secret), "{secret} is in the bundle");
    }
    // Its source was given another configuration.
    stage.running(&[TABLE]).await;
}

/// Somebody moves the slot while the worker is away: a gap that nobody else would tell.
async fn ahead(stage: &Stage) {
    let slot = names(TABLE).slot;
    stage.sql("SELECT pg_logical_emit_message(true, 'test', 'x')").await;
    stage.sql(&format!("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())")).await;
    let (code, findings) = verify(stage, &["--timeout", "5s"]).await;
    println!("moved: {:?}", codes(&findings, "failed"));
    let (_, stuck) = verify(stage, &["--timeout", "5s", "--canary", "--catch-up", "1s"]).await;
    let stuck = stuck.iter().find(|finding| finding["code"] == "DP0701").unwrap();
    assert_eq!((&stuck["outcome"], &stuck["caused_by"]), (&"failed".into(), &serde_json::json!(["DP0101"])), "{stuck}");
    assert_eq!((code, codes(&findings, "failed")), (1, vec!["DP0101", "DP0304", "DP0405"]), "{findings:#?}");
    let follows = findings.iter().find(|finding| finding["code"] == "DP0304").unwrap();
    assert_eq!(follows["caused_by"], serde_json::json!(["DP0101"]));
    stage.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    let (_, findings) = verify(stage, &["--timeout", "5s"]).await;
    println!("dropped: {:?}", codes(&findings, "failed"));
    assert_eq!(codes(&findings, "failed"), ["DP0101", "DP0303"], "{findings:#?}");
}
