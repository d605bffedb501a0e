//! Faults made on the cluster, one at a time: `datapipe-verify` must name the root of each, of the right table, and nothing
//! else as a root.

mod servers;
mod workers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use datapipe_e2e::process::program_named;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, text, until};
use crate::findings::{is_root, is_wrong, of, word, wrong};
use crate::ports;

/// A fault may take this long to show: a readiness probe fails three times, ten seconds apart.
const SHOWS_MAX: Duration = Duration::from_secs(60);
/// And this long until nothing is left of it: a JVM starts, a failed task waits for its next attempt.
const MENDS_MAX: Duration = Duration::from_secs(120);
/// The pod of a native worker: what takes a new pod is quickest with it.
const NATIVE: &str = "deployment/kafka-connect-orders";
/// The tables, in the order of verify.
const ALL: [&str; 4] = ["order_items", "orders", "products", "users"];

/// What is to be named: a check, of which tables, what must stand in its words, and what must follow from it.
#[derive(Clone, Copy)]
struct Named<'a> {
    code: &'a str,
    tables: &'a [&'a str],
    words: &'a str,
    so: Option<(&'a str, &'a str)>,
    /// Whether it is looked at from where the native worker is.
    inside: bool,
}

impl<'a> Named<'a> {
    const fn of(tables: &'a [&'a str], code: &'a str, words: &'a str) -> Self {
        Self { code, tables, words, so: None, inside: false }
    }

    /// Of the native worker's table.
    const fn orders(code: &'a str, words: &'a str) -> Self {
        Self::of(&["orders"], code, words)
    }

    /// A check that has failed by it, with words of its own.
    const fn so(self, code: &'a str, words: &'a str) -> Self {
        Self { so: Some((code, words)), ..self }
    }

    /// The words of the root, if that is what was found.
    fn found(&self, findings: &'a [Value]) -> Option<&'a str> {
        let roots: Vec<&Value> = findings.iter().filter(|finding| is_root(finding)).collect();
        let found: Vec<(&str, &str)> = roots.iter().map(|root| (word(root, "code"), word(root, "table"))).collect();
        let expected: Vec<(&str, &str)> = self.tables.iter().map(|table| (self.code, *table)).collect();
        let follows = |(code, words): (&str, &str)| {
            let is = |one: &Value| one["code"] == code && is_wrong(one) && !is_root(one);
            findings.iter().any(|one| is(one) && word(one, "seen").contains(words))
        };
        let is_named = found == expected && self.so.is_none_or(follows);
        let first = is_named.then(|| word(roots[0], "seen"))?;
        first.contains(self.words).then_some(first)
    }
}

/// How somebody outside of the cluster reaches its servers.
const OUTSIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deployment/roots/outside.yaml");

/// A deployment to be hurt, and somebody who looks at it from outside.
struct Scene {
    bed: Bed,
    /// Holds the manifests, and what is laid over this machine's /etc for whoever looks.
    folder: TempDir,
    tree: PathBuf,
    /// Faults so far.
    count: usize,
}

impl Drop for Scene {
    /// After a failure too: the next test finds nothing of it.
    fn drop(&mut self) {
        self.bed.try_kubectl(&["delete", "-f", OUTSIDE]);
    }
}

impl Scene {
    fn new() -> Self {
        let bed = Bed::find();
        bed.deployed(Deployment::Mixed);
        // What earlier tests have done to containers is told for a day.
        for (_, app) in TABLES {
            if bed.starts(app).iter().any(|(_, _, restarts)| *restarts > 0) {
                bed.kubectl(&["delete", "pod", "-n", NAMESPACE, "-l", &format!("app={app}")]);
            }
        }
        bed.kubectl(&["apply", "--server-side", "-f", OUTSIDE]);
        // A table whose first rows are under way looks like one whose sink is stuck.
        bed.rows(50);
        for table in ["users", "products", "orders"] {
            until("its objects", 60, || holds(&bed, table));
        }
        let folder = tempdir().unwrap();
        let tree = bed.rendered(Deployment::Mixed, folder.path());
        ports::map(&tree);
        let etc = folder.path().join("etc");
        let credentials = etc.join("datapipe/credentials");
        fs::create_dir_all(&credentials).unwrap();
        let hosts = fs::read_to_string("/etc/hosts").unwrap();
        fs::write(etc.join("hosts"), format!("{hosts}\n10.77.0.2 postgresql kafka s3\n")).unwrap();
        for (key, value) in
            [("postgres-password", "a"), ("s3-access-key-id", "access"), ("s3-secret-access-key", "secret-secret")]
        {
            fs::write(credentials.join(key), value).unwrap();
        }
        Self { bed, folder, tree, count: 0 }
    }

    /// Exit code and findings, as somebody has them who reaches the servers by the names of the settings.
    fn verify(&self, inside: bool) -> (i32, Vec<Value>) {
        let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deployment/mixed.toml");
        let over = "mount -t overlay datapipe -o ro,lowerdir=\"$0\":/etc /etc && exec \"$@\"";
        let mut command: Command = self.bed.command(Path::new("unshare"));
        command.args(["--mount", "sh", "-c", over]).arg(self.folder.path().join("etc"));
        command.arg(program_named("datapipe-verify").unwrap()).args(["--deployed", "--with", "kafka,s3", "--config"]);
        command.arg(settings).args(["--host", "127.0.0.1", "--timeout", "4s", "-o", "json"]);
        if inside {
            command.args(["--inside", "--table", "orders"]);
        } else {
            command.args(["--only", "worker,connector,postgres,kafka,s3,kubernetes,network"]);
        }
        let output = command.output().unwrap();
        let findings = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        (output.status.code().unwrap(), findings)
    }

    /// Nothing is wrong (any more). Returns what was looked at.
    fn well(&self, after: &str) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let (code, findings) = self.verify(false);
            let wrong = wrong(&findings);
            if wrong.is_empty() {
                assert_eq!(code, 0, "{findings:#?}");
                return findings;
            }
            assert!(begun.elapsed() < MENDS_MAX, "after {after}: {wrong:#?}");
            sleep(Duration::from_millis(300));
        }
    }

    /// Makes a fault, waits until it is named as it should be, mends it, and waits until nothing is left of it.
    fn fault(&mut self, fault: &str, named: &Named<'_>, hurt: impl FnOnce(&Self), mend: impl FnOnce(&Self)) {
        let begun = Instant::now();
        hurt(self);
        let made = Instant::now();
        let seen = loop {
            let (code, findings) = self.verify(named.inside);
            if let Some(seen) = named.found(&findings) {
                let failed = findings.iter().any(|finding| finding["outcome"] == "failed");
                assert_eq!(code, i32::from(failed), "{findings:#?}");
                break seen.to_owned();
            }
            let Named { code, tables, words, so, .. } = named;
            let late = made.elapsed() > SHOWS_MAX;
            assert!(!late, "{fault}: expected {code} of {tables:?} with {words:?} and {so:?}: {:#?}", wrong(&findings));
            sleep(Duration::from_millis(300));
        };
        let shown = Instant::now();
        mend(self);
        self.well(fault);
        self.count += 1;
        let [made_s, shown_s, mended_s] =
            [made.duration_since(begun), shown.duration_since(made), shown.elapsed()].map(|span| span.as_secs_f64());
        let (count, code, tables) = (self.count, named.code, named.tables.join(", "));
        println!(
            "    {count}. {fault} (made in {made_s:.1} s): {code} of {tables} after {shown_s:.1} s, mended in \
             {mended_s:.1} s: {seen}"
        );
    }

    fn kubectl(&self, words: &[&str]) -> String {
        self.bed.kubectl(&[words, &["-n", NAMESPACE]].concat())
    }

    fn as_planned(&self, file: &str) {
        self.bed.as_planned(&self.tree.join(file));
    }

    /// The same for all of the native worker's objects.
    fn orders_as_planned(&self) {
        self.as_planned("kafka-connect-orders-deployment.json");
    }

    /// Asks the worker on a port of this machine, as a person does.
    fn curl(&self, method: &str, port: u16, path: &str, body: &str) -> String {
        self.try_curl(method, port, path, body).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    fn try_curl(&self, method: &str, port: u16, path: &str, body: &str) -> Result<String, String> {
        let mut command = self.bed.command(Path::new("curl"));
        command.args(["-sS", "--fail-with-body", "--max-time", "20", "-X", method]);
        if !body.is_empty() {
            command.args(["-H", "Content-Type: application/json", "-d", body]);
        }
        let output = command.arg(format!("http://localhost:{port}/connectors/{path}")).output().unwrap();
        let said = text(&output.stdout);
        if output.status.success() { Ok(said) } else { Err(format!("{} {said}", text(&output.stderr))) }
    }
}

/// Whether a table's objects hold what it holds.
fn holds(bed: &Bed, table: &str) -> bool {
    let found = bed.try_tool(&["objects", table]).unwrap_or_default();
    serde_json::from_str::<Value>(&found).is_ok_and(|found| found["objects"].as_u64() > Some(0))
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn each_fault_on_the_cluster_is_named_by_its_root() {
    let mut scene = Scene::new();
    let begun = Instant::now();
    let findings = scene.well("nothing");
    for table in ALL {
        // The Kafka Connect worker has no sink here.
        let store = if table == "order_items" { "skipped" } else { "ok" };
        for (code, outcome) in [
            ("DP0101", "ok"),
            ("DP0202", "ok"),
            ("DP0304", "ok"),
            ("DP0402", "ok"),
            ("DP0501", store),
            ("DP0801", "ok"),
            ("DP0802", "ok"),
            ("DP0805", "ok"),
            ("DP0806", "ok"),
            ("DP0807", "ok"),
        ] {
            let one = of(&findings, table, code);
            assert_eq!(one["outcome"], outcome, "{table}: {one:#?}");
        }
    }
    println!("    healthy: {} findings, none is wrong, after {:.1} s", findings.len(), begun.elapsed().as_secs_f64());
    scene.servers();
    scene.connectors();
    scene.rows_and_topics();
    scene.pods();
    scene.changed_by_hand();
    scene.network();
    println!("    {} faults in {} s", scene.count, begun.elapsed().as_secs());
    assert!(scene.count >= 24, "{} faults", scene.count);
}
