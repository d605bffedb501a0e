//! Faults made for real, one at a time: `datapipe-verify` must name the root of each, and nothing else as a root.

mod hurt;

use std::process::Command;
use std::time::{Duration, Instant};

use datapipe_connect::Client;
use datapipe_core::convention::Names;
use datapipe_e2e::load;
use datapipe_e2e::process::{Worker, program_named};
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{PG15, Stage, names};
use serde_json::Value;
use tokio::time::sleep;

const TABLE: &str = "users";
/// A fault may take this long to show: a task fails, a lag is noticed.
const SHOWS_MAX: Duration = Duration::from_secs(40);

/// A pipeline to be hurt.
struct Scene {
    stage: Stage,
    worker: Option<Worker>,
    rest: Client,
    names: Names,
    /// Faults so far.
    count: usize,
}

impl Scene {
    async fn new() -> Self {
        let stage = Stage::for_load(PG15).await;
        load::fill(&stage.db, 200).await.unwrap();
        let at = TABLES.iter().position(|table| *table == TABLE).unwrap();
        let rest = Client::new(&format!("http://127.0.0.1:{}", stage.settings.ports[at])).unwrap();
        let mut scene = Self { stage, worker: None, rest, names: names(TABLE), count: 0 };
        scene.start().await;
        scene
    }

    async fn start(&mut self) {
        self.worker = Some(self.stage.worker("worker", &[TABLE], &[]));
        self.stage.running(&[TABLE]).await;
    }

    async fn stop(&mut self) {
        self.worker.take().unwrap().stop().await.unwrap();
    }

    /// A row, so that something has to move.
    async fn row(&self) {
        self.stage.sql("INSERT INTO users (name) VALUES ('moves')").await;
    }

    /// Its exit code and findings, with some variables of its own.
    async fn verify(&self, more: &[&str], variables: &[(&str, &str)]) -> (i32, Vec<Value>) {
        let program = Command::new(program_named("datapipe-verify").unwrap());
        let mut command = self.stage.settings.given(program, &self.stage.servers, "verify");
        command.args(["--host", "127.0.0.1", "--table", TABLE, "--timeout", "4s", "--catch-up", "20s", "-o", "json"]);
        command.args(more).envs(variables.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let findings = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code().unwrap(), findings)
    }

    /// Nothing is wrong (any more).
    async fn well(&self) {
        let (code, findings) = self.verify(&["--fail-on", "warning", "--wait", "40s"], &[]).await;
        assert_eq!((code, roots(&findings)), (0, Vec::new()), "{findings:#?}");
    }

    /// The roots that are told are these, soon.
    async fn shows(&mut self, fault: &str, expected: &[&str]) {
        self.shows_with(fault, &[], &[], expected).await;
    }

    /// The same where the rows are compared.
    async fn shows_in_data(&mut self, fault: &str, expected: &[&str]) {
        self.shows_with(fault, &["--data"], &[], expected).await;
    }

    async fn shows_with(&mut self, fault: &str, more: &[&str], variables: &[(&str, &str)], expected: &[&str]) {
        let begun = Instant::now();
        loop {
            let (code, findings) = self.verify(more, variables).await;
            let found = roots(&findings);
            if found == expected {
                let failed = findings.iter().any(|finding| finding["outcome"] == "failed");
                assert_eq!(code, i32::from(failed), "{findings:#?}");
                let first = findings.iter().find(|finding| finding["code"] == expected[0]).unwrap();
                let seen = first["seen"].as_str().unwrap().lines().next().unwrap_or_default();
                self.count += 1;
                println!("{}. {fault}: {expected:?} after {:.1} s: {seen}", self.count, begun.elapsed().as_secs_f64());
                return;
            }
            let told = || findings.iter().filter(|finding| is_wrong(finding)).collect::<Vec<_>>();
            assert!(begun.elapsed() < SHOWS_MAX, "{fault}: expected {expected:?}, found {found:?}: {:#?}", told());
            sleep(Duration::from_millis(300)).await;
        }
    }
}

fn is_wrong(finding: &Value) -> bool {
    finding["outcome"] == "failed" || finding["outcome"] == "warning"
}

/// The codes of what is wrong and follows from nothing else.
fn roots(findings: &[Value]) -> Vec<&str> {
    let follows = |finding: &Value| finding["caused_by"].as_array().is_some_and(|causes| !causes.is_empty());
    let of = findings.iter().filter(|finding| is_wrong(finding) && !follows(finding));
    of.map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_named_by_its_root() {
    let mut scene = Scene::new().await;
    scene.well().await;
    scene.publication().await;
    scene.table().await;
    scene.slots().await;
    scene.connectors().await;
    scene.topics().await;
    scene.objects().await;
    scene.rows().await;
    scene.credentials().await;
    scene.worker().await;
    scene.servers().await;
    scene.dead_letters().await;
    scene.gaps().await;
    println!("{} faults", scene.count);
    assert!(scene.count >= 30, "{} faults", scene.count);
    scene.stage.end().await;
}
