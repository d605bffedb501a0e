//! The node, and what is deployed on it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use datapipe_e2e::process::program_named;
use serde_json::Value;

pub(crate) const NAMESPACE: &str = "data-ingestion";
/// Tables and their workers.
pub(crate) const TABLES: [(&str, &str); 4] = [
    ("users", "kafka-connect-users"),
    ("products", "kafka-connect-products"),
    ("orders", "kafka-connect-orders"),
    ("order_items", "kafka-connect-order-items"),
];

/// What is deployed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deployment {
    /// Four Kafka Connect workers, sources only.
    Contract,
    /// Hybrids, a native worker, and a Kafka Connect worker.
    Mixed,
}

impl Deployment {
    pub(crate) fn settings(self) -> PathBuf {
        let name = match self {
            Self::Contract => "contract.toml",
            Self::Mixed => "mixed.toml",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deployment").join(name)
    }
}

/// The node that `scripts/k8s up` has started.
pub(crate) struct Bed {
    /// What the node writes.
    pub(crate) run: PathBuf,
    kubeconfig: PathBuf,
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Looks every half second.
///
/// # Panics
/// If `done` is not true in time.
pub(crate) fn until(what: &str, limit_s: u64, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(limit_s), "waited {limit_s} s for {what}");
        sleep(Duration::from_millis(500));
    }
}

impl Bed {
    pub(crate) fn find() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/k8s");
        let output = Command::new(script).arg("env").output().unwrap();
        let line = text(&output.stdout);
        let kubeconfig = PathBuf::from(line.split_once('=').expect("scripts/k8s env says KUBECONFIG").1);
        assert!(kubeconfig.exists(), "no node is up; `scripts/k8s test` starts one and runs these tests");
        let run = kubeconfig.ancestors().nth(2).unwrap().to_owned();
        Self { run, kubeconfig }
    }

    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", &self.kubeconfig).env_remove("DATAPIPE_CONFIG").stdin(Stdio::null());
        command
    }

    pub(crate) fn kubectl_command(&self) -> Command {
        self.command(Path::new("kubectl"))
    }

    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_command().args(arguments).output().unwrap()
    }

    /// What kubectl prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments);
        assert!(output.status.success(), "kubectl {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let words: Vec<&str> = arguments.iter().copied().chain(["-n", NAMESPACE, "-o", "json"]).collect();
        serde_json::from_str(&self.kubectl(&words)).unwrap()
    }

    /// `datapipe-deploy SUBCOMMAND` for a deployment.
    pub(crate) fn deploy(&self, subcommand: &str, what: Deployment) -> Command {
        let mut command = self.command(&program_named("datapipe-deploy").unwrap());
        command.arg(subcommand).arg("--config").arg(what.settings()).args(["--with", "kafka,s3"]);
        command
    }

    /// Runs it to its end: the exit code, and all that it said.
    pub(crate) fn run(&self, subcommand: &str, what: Deployment) -> (Option<i32>, String) {
        let output = self.deploy(subcommand, what).output().unwrap();
        (output.status.code(), format!("{}\n{}", text(&output.stdout), text(&output.stderr)))
    }

    /// A rendered script, with datapipe's programs in the path.
    pub(crate) fn script(&self, tree: &Path, name: &str) -> Command {
        let mut command = self.command(&tree.join(name));
        let own = program_named("datapipe-deploy").unwrap().parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(own).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(all).unwrap());
        command
    }

    /// Applies, and kills it with SIGKILL at the first line that holds `mark`.
    pub(crate) fn apply_until(&self, what: Deployment, mark: &str) -> (Option<i32>, String) {
        watched(self.deploy("apply", what), Some(mark))
    }

    /// Applies to the end, which must be good.
    pub(crate) fn apply(&self, what: Deployment) -> String {
        to_the_end(self.deploy("apply", what))
    }

    /// The namespace with its Secrets and nothing else; PostgreSQL's volume is empty.
    pub(crate) fn empty_namespace(&self) {
        self.kubectl(&["delete", "pods", "-n", NAMESPACE, "--all", "--grace-period=0", "--force"]);
        self.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"]);
        self.kubectl(&["delete", "persistentvolume", "postgresql", "--ignore-not-found", "--timeout=60s"]);
        let volume = self.run.join("kubelet/postgresql");
        if volume.exists() {
            fs::remove_dir_all(&volume).unwrap();
        }
        fs::create_dir(&volume).unwrap();
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/node/volume.yaml");
        self.kubectl(&["apply", "--server-side", "-f", manifest.to_str().unwrap()]);
        self.kubectl(&["create", "namespace", NAMESPACE]);
        let keys = ["postgres-password=a", "s3-access-key-id=access", "s3-secret-access-key=secret-secret"];
        for (name, keys) in [("datapipe-credentials", &keys[..]), ("postgresql", &["postgres-password=b"])] {
            let literals: Vec<String> = keys.iter().map(|key| format!("--from-literal={key}")).collect();
            let words = ["create", "secret", "generic", name, "-n", NAMESPACE];
            self.kubectl(&words.into_iter().chain(literals.iter().map(String::as_str)).collect::<Vec<_>>());
        }
    }

    /// Brings the namespace to a deployment, from whatever is there, and puts the tests' pods beside it.
    pub(crate) fn deployed(&self, what: Deployment) {
        self.deployed_with(what, &[]);
    }

    /// The same with further arguments of `apply`.
    pub(crate) fn deployed_with(&self, what: Deployment, more: &[&str]) {
        let there = self.try_kubectl(&["get", "secret", "postgresql", "-n", NAMESPACE]).status.success();
        if !there {
            self.empty_namespace();
        }
        let mut apply = self.deploy("apply", what);
        apply.args(more);
        to_the_end(apply);
        self.pods_beside();
    }

    pub(crate) fn pods_beside(&self) {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deployment/pods.yaml");
        self.kubectl(&["apply", "--server-side", "-f", manifest.to_str().unwrap()]);
        for (namespace, pod) in
            [(NAMESPACE, "tool"), (NAMESPACE, "nobody"), ("elsewhere", "stranger"), ("monitoring", "monitor")]
        {
            let ready = ["wait", "--for=condition=Ready", "pod", pod, "-n", namespace, "--timeout=60s"];
            self.kubectl(&ready);
        }
    }

    /// Runs a program in a container of a pod, as `deployment/NAME` or `pod/NAME`.
    pub(crate) fn exec(&self, (namespace, pod, container): (&str, &str, &str), words: &[&str]) -> Output {
        let all = ["exec", "-n", namespace, pod, "-c", container, "--"].into_iter();
        self.try_kubectl(&all.chain(words.iter().copied()).collect::<Vec<_>>())
    }

    /// Asks the pod that may ask the servers.
    pub(crate) fn tool(&self, words: &[&str]) -> String {
        let words: Vec<&str> = ["bed"].into_iter().chain(words.iter().copied()).collect();
        let output = self.exec((NAMESPACE, "pod/tool", "bed"), &words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The same, of which no answer is one, too.
    pub(crate) fn try_tool(&self, words: &[&str]) -> Option<String> {
        let words: Vec<&str> = ["bed"].into_iter().chain(words.iter().copied()).collect();
        let output = self.exec((NAMESPACE, "pod/tool", "bed"), &words);
        output.status.success().then(|| text(&output.stdout))
    }

    /// New rows in every table, and changes of older ones.
    pub(crate) fn rows(&self, each: u32) {
        let series = format!("generate_series(1, {each}) n");
        self.tool(&["sql", &format!(
            "INSERT INTO users (name, email) SELECT 'name ' || n, n || '@example.org' FROM {series}; \
             INSERT INTO products (name, price, stock) SELECT 'product ' || n, n * 1.25, n FROM {series}; \
             INSERT INTO orders (user_id, status) SELECT n, 'new' FROM {series}; \
             INSERT INTO order_items (order_id, product_id, quantity, price) SELECT n, n, 1 + n % 5, 9.99 FROM {series}; \
             UPDATE products SET stock = stock + 1 WHERE id % 7 = 0; UPDATE orders SET status = 'sent' WHERE id % 11 = 0; \
             DELETE FROM order_items WHERE id % 13 = 0; DELETE FROM users WHERE id % 17 = 0"
        )]);
    }

    /// Waits until a table's topic, or its objects, hold what the table holds, and no event twice.
    pub(crate) fn holds(&self, from: &str, table: &str) {
        let found: Value = serde_json::from_str(&self.tool(&[from, table])).unwrap();
        println!("    {from} of {table}: {found}");
        let verdict = &found["verdict"];
        assert!(verdict["rows"].as_i64() > Some(0), "{found}");
        for wrong in ["lost", "surplus", "doubled"] {
            assert_eq!(verdict[wrong], 0, "{wrong}: {found}");
        }
        assert_eq!(found["faults"], serde_json::json!([]), "{found}");
        assert_eq!(from == "objects", found["objects"].as_u64() > Some(0), "{found}");
    }

    /// The pods of a worker or a server.
    pub(crate) fn pods(&self, app: &str) -> Vec<Value> {
        let list = self.json(&["get", "pods", "-l", &format!("app={app}")]);
        list["items"].as_array().unwrap().clone()
    }

    /// A worker's containers, each with its pod and how often it was started again: what a restart anywhere changes.
    pub(crate) fn starts(&self, app: &str) -> Vec<(String, String, i64)> {
        let pods = self.pods(app);
        let starts = pods.iter().flat_map(|pod| {
            let statuses = pod["status"]["containerStatuses"].as_array().unwrap();
            statuses.iter().map(|one| {
                let word = |value: &Value| value.as_str().unwrap().to_owned();
                (word(&pod["metadata"]["uid"]), word(&one["name"]), one["restartCount"].as_i64().unwrap())
            })
        });
        starts.collect()
    }

    /// A file of what `render` writes.
    pub(crate) fn rendered(&self, what: Deployment, folder: &Path) -> PathBuf {
        let output = self.deploy("render", what).arg("--format").arg("json").arg("--out").arg(folder).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        folder.join("1-data-ingestion-pipeline")
    }

    /// What the pages of DP0806 and DP0807 say: whatever was changed by hand in a file's objects is taken back, and belongs to
    /// the next apply again.
    pub(crate) fn as_planned(&self, file: &Path) {
        let own = ["apply", "--server-side", "--force-conflicts", "--field-manager", "datapipe-deploy", "-f"];
        self.kubectl(&[&own[..], &[file.to_str().unwrap()]].concat());
    }
}

/// Passes on what a program says; kills it with SIGKILL at the first line that holds `mark`. Returns the exit code, if it
/// came to its end, and all that it said.
fn watched(mut command: Command, mark: Option<&str>) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        println!("    {line}");
        said = format!("{said}{line}\n");
        if mark.is_some_and(|mark| line.contains(mark)) {
            child.kill().unwrap();
            child.wait().unwrap();
            return (None, said);
        }
    }
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// Runs a program to its end, which must be good.
pub(crate) fn to_the_end(command: Command) -> String {
    let (code, said) = watched(command, None);
    assert_eq!(code, Some(0), "{said}");
    said
}

/// All objects of a rendered tree.
pub(crate) fn objects(tree: &Path) -> Vec<Value> {
    let files = fs::read_dir(tree).unwrap().map(|entry| entry.unwrap().path());
    let manifests = files.filter(|path| {
        path.extension().is_some_and(|end| end == "json")
            && !path.file_name().unwrap().to_str().unwrap().starts_with('.')
    });
    let lists = manifests.map(|path| serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap());
    lists.flat_map(|list| list["items"].as_array().unwrap_or_else(|| panic!("{list}")).clone()).collect()
}
