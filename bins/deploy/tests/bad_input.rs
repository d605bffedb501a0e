//! Wrong input through the real program, without a cluster: each case's exit code and words, in one file that a reviewer reads.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::process::Command;

/// A value that must never be printed.
const CANARY: &str = "hunter2";

/// Its name, the command with its own arguments, settings as `KEY=VALUE`, the environment.
struct Case(&'static str, &'static [&'static str], &'static [&'static str], &'static [(&'static str, &'static str)]);

const fn command(name: &'static str, command: &'static [&'static str]) -> Case {
    Case(name, command, &[], &[])
}

const fn set(name: &'static str, settings: &'static [&'static str]) -> Case {
    Case(name, &["apply", "--with", "kafka,s3"], settings, &[])
}

const fn kubeconfig(name: &'static str, file: &'static str, command: &'static [&'static str]) -> Case {
    Case(
        name,
        command,
        &[],
        match file.as_bytes() {
            b"missing" => &[("KUBECONFIG", "missing.yaml")],
            b"closed" => &[("KUBECONFIG", "closed.yaml")],
            b"nonsense" => &[("KUBECONFIG", "nonsense.yaml")],
            _ => &[],
        },
    )
}

const CASES: &[Case] = &[
    // The command line.
    command("no command", &[]),
    command("a misspelt command", &["aply"]),
    command("an unknown server", &["render", "--with", "postgres"]),
    command("an unknown kind", &["render", "--worker", "orders=jvm"]),
    command("a kind without table", &["render", "--worker", "=native"]),
    command("an unknown form", &["render", "--format", "toml"]),
    command("a setting without value", &["diff", "--set", "worker.memory"]),
    command("a time without unit", &["apply", "--timeout", "5"]),
    command("pause without a table", &["pause"]),
    command("pruning one table", &["apply", "--table", "orders", "--prune"]),
    command("pods paused", &["pause", "orders", "--pods"]),
    command("delete of a table", &["delete", "orders"]),
    // Tables.
    command("a misspelt table, paused", &["pause", "order", "--with", "kafka,s3"]),
    command(
        "two misspelt tables, applied",
        &["apply", "--with", "kafka,s3", "--table", "user", "--table", "order-item"],
    ),
    command("a table that nothing resembles, compared", &["diff", "--with", "kafka,s3", "--table", "invoices"]),
    command("a misspelt table's worker", &["render", "--with", "kafka,s3", "--worker", "order=native"]),
    // Settings.
    command("nothing is set", &["apply"]),
    set("an unknown key", &["deploy.conect_image=x:1"]),
    set("an unknown server in the settings", &["deploy.with=[\"mongo\"]"]),
    set("memory of another unit", &["worker.memory=250Mi"]),
    set("memory of Kubernetes' spelling", &["worker.memory=1Mi"]),
    set("little memory", &["worker.memory=1MiB"]),
    set("less memory than a JVM takes", &["tables.orders.worker.memory=64MiB"]),
    set("replicas", &["worker.replicas=3"]),
    set("a reserved port", &["tables.orders.port=80"]),
    set("a port too high", &["tables.orders.port=70000"]),
    set("a port twice", &["tables.orders.port=8083"]),
    set("two ports of one NodePort", &["tables.orders.port=10852"]),
    set("a table's name that is none", &["tables.Order Items.port=8090"]),
    set("an image without version", &["deploy.connect_image=connect"]),
    set("an image of the latest version", &["deploy.worker_image=datapipe-run:latest"]),
    set("a network that is none", &["deploy.node_networks=[\"all\"]"]),
    set("fewer slots than tables", &["deploy.postgres.slots=2"]),
    set("a volume smaller than the log", &["deploy.postgres.volume=5GiB"]),
    set("PostgreSQL as root", &["deploy.postgres.uid=0"]),
    set("exactly once with an old Debezium", &["deploy.debezium=3.6.3.Final", "deploy.exactly_once=true"]),
    set(
        "a plugin without digest",
        &["deploy.plugins=[{name=\"p\",url=\"https://p.example.org/p.tar.gz\",sha256=\"\"}]"],
    ),
    set("a database on loopback", &["postgres.url=postgres://cdc@localhost:5432/shop"]),
    set("options and plan at once", &["deploy.debezium=new", "worker.memory=1MiB", "s3.bucket=Lake"]),
    set("arithmetic", &["deploy.postgres.slots=2", "source.queue_bytes=64MiB"]),
    Case("a password in clear", &["apply", "--with", "kafka,s3"], &[], &[("DATAPIPE_POSTGRES__PASSWORD", CANARY)]),
    Case("a file that is not there", &["apply", "--config", "absent.toml"], &[], &[]),
    // The cluster.
    kubeconfig("no kubeconfig and no cluster", "", &["apply", "--with", "kafka,s3"]),
    kubeconfig("a kubeconfig that is not there", "missing", &["diff", "--with", "kafka,s3"]),
    kubeconfig("a kubeconfig that is none", "nonsense", &["diff", "--with", "kafka,s3"]),
    kubeconfig("an unknown context", "closed", &["apply", "--with", "kafka,s3", "--context", "prod"]),
    kubeconfig("a closed port, applied", "closed", &["apply", "--with", "kafka,s3", "--table", "orders"]),
    kubeconfig("a closed port, stopped", "closed", &["stop", "order-items", "--with", "kafka,s3"]),
    kubeconfig("a closed port, deleted", "closed", &["delete", "--yes", "--with", "kafka,s3"]),
];

const FILES: [&str; 2] = ["closed.yaml", "nonsense.yaml"];

/// All of it at once, no secret in it, and nothing is written.
#[test]
fn every_wrong_input_is_told_in_words() {
    // Nobody listens on a port that was just let go.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: kind\n\
         clusters: [{{name: kind, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: kind, user: {{token: {CANARY}}}}}]\n\
         contexts: [{{name: kind, context: {{cluster: kind, user: kind}}}}]\n"
    );
    let mut told = String::new();
    for Case(name, arguments, settings, environment) in CASES {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("closed.yaml"), &closed).unwrap();
        fs::write(folder.path().join("nonsense.yaml"), "- 1\n").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_datapipe-deploy"))
            .args(*arguments)
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let code = output.status.code().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!([64, 69, 78].contains(&code), "{name}: exit {code}\n{stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{name}");
        assert!(!stderr.contains(CANARY), "{name}: a secret was printed");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), FILES.len(), "{name}: something was written");
        let stderr = stderr.replace(&port.to_string(), "PORT").replace(folder.path().to_str().unwrap(), "FOLDER");
        writeln!(told, "## {name}: exit {code}\n{stderr}").unwrap();
    }
    insta::assert_snapshot!(told);
}
