//! `datapipe-verify` beside a pipeline that is well, and beside one that is hurt in several ways.

use std::process::Command;

use datapipe_e2e::load;
use datapipe_e2e::process::program_named;
use datapipe_e2e::stage::{BUCKET, PG15, Stage, names};
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
    let (code, findings) = verify(&stage, &["--data", "--fail-on", "warning"]).await;
    assert_eq!(code, 0, "{findings:#?}");
    let proof = findings.iter().find(|finding| finding["code"] == "DP0601").unwrap();
    println!("{}", proof["seen"]);

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
    stage.sql(&remedy).await;

    worker.stop().await.unwrap();
    let (code, findings) = verify(&stage, &["--timeout", "5s"]).await;
    println!("stopped: {:?}", codes(&findings, "failed"));
    assert_eq!((code, codes(&findings, "failed")), (1, vec!["DP0101", "DP0304"]), "{findings:#?}");
    stage.end().await;
}
