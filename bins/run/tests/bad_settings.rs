//! Wrong settings through the real program: each case's exit code and words, in one file that a reviewer reads.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::process::Command;

/// What every case starts from.
const GOOD: &str = r#"
[postgres]
url = "postgres://cdc@localhost:5432/shop"
password = "${env:PGPASSWORD}"
[kafka]
bootstrap = "localhost:9092"
[s3]
endpoint = "http://localhost:9000"
bucket = "lake"
"#;

/// A value that must never be printed.
const CANARY: &str = "hunter2";

struct Case {
    name: &'static str,
    /// The file: lines after [`GOOD`], or the whole file if it starts with `!`.
    file: &'static str,
    environment: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
}

const fn file(name: &'static str, file: &'static str) -> Case {
    Case { name, file, environment: &[], arguments: &[] }
}

const fn environment(name: &'static str, environment: &'static [(&'static str, &'static str)]) -> Case {
    Case { name, file: "", environment, arguments: &[] }
}

const fn flags(name: &'static str, arguments: &'static [&'static str]) -> Case {
    Case { name, file: "", environment: &[], arguments }
}

const CASES: &[Case] = &[
    // What is missing.
    file("an empty file", "!"),
    file("no bucket", "![postgres]\nurl = \"postgres://cdc@db/shop\"\n[kafka]\nbootstrap = \"k:9092\"\n"),
    file(
        "half of the database's place",
        "![postgres]\nhost = \"db\"\n[kafka]\nbootstrap = \"k:9092\"\n[s3]\nbucket = \"lake\"\n",
    ),
    // Words that are no settings.
    file("a misspelt key", "regoin = \"eu-west-1\"\n"),
    file("a misspelt section", "[kafak]\nbootstrap = \"x:1\"\n"),
    file("a key of another section", "[worker]\nbucket = \"lake\"\n"),
    file("a key that nothing resembles", "[sink]\nfrobnicate = true\n"),
    file("several at once", "[sink]\nrow = 5\nage = 5\n[source]\nsnapshot = \"intial\"\n[tables.order]\nport = 8090\n"),
    file("a table by its dashed name", "[tables.order-items]\nport = 8090\n"),
    file("a table that nobody declared", "[tables.payments]\nport = 8090\n"),
    file("a misspelt key of a table", "[tables.orders.sink]\nrwos = 10\n"),
    // Keys of connectors, whose names have dots of their own.
    file("a connector's key without quotes", "[source.config]\ndecimal.handling.mode = \"precise\"\n"),
    file("a connector's key as a number", "[source.config]\n\"poll.interval.ms\" = 5\n"),
    file(
        "connectors' keys that are not served",
        "[source.config]\n\"slot.name\" = \"x\"\n[tables.orders.sink.config]\n\"format.output.type\" = \"xml\"\n",
    ),
    flags("a connector's key by flag", &["--set", "tables.users.source.config.decimal.handling.mode=exact"]),
    // PostgreSQL.
    file(
        "a password in the URL",
        "![postgres]\nurl = \"postgres://cdc:hunter2@db/shop\"\n[kafka]\nbootstrap = \"k:9092\"\n[s3]\nbucket = \"lake\"\n",
    ),
    file(
        "a URL of another database",
        "![postgres]\nurl = \"mysql://cdc@db/shop\"\n[kafka]\nbootstrap = \"k:9092\"\n[s3]\nbucket = \"lake\"\n",
    ),
    file(
        "a URL without database and user",
        "![postgres]\nurl = \"postgres://db\"\n[kafka]\nbootstrap = \"k:9092\"\n[s3]\nbucket = \"lake\"\n",
    ),
    file(
        "a URL with a bad port",
        "![postgres]\nurl = \"postgres://cdc@db:port/shop\"\n[kafka]\nbootstrap = \"k:9092\"\n[s3]\nbucket = \"lake\"\n",
    ),
    file(
        "a URL with parameters",
        "![postgres]\nurl = \"postgres://cdc@db/shop?sslmode=require\"\n[kafka]\nbootstrap = \"k:9092\"\n[s3]\nbucket = \"lake\"\n",
    ),
    environment("a URL and a host", &[("DATAPIPE_POSTGRES__HOST", "db")]),
    environment("a password in clear", &[("DATAPIPE_POSTGRES__PASSWORD", "hunter2")]),
    environment("a password of digits", &[("DATAPIPE_POSTGRES__PASSWORD", "12345")]),
    // Kafka.
    environment("a broker without port", &[("DATAPIPE_KAFKA__BOOTSTRAP", "localhost")]),
    environment("a second broker without host", &[("DATAPIPE_KAFKA__BOOTSTRAP", "a:9092,:9092")]),
    environment("no replicas", &[("DATAPIPE_KAFKA__REPLICATION_FACTOR", "0")]),
    file("a property of datapipe's own", "[kafka.properties]\nacks = \"1\"\n\"bootstrap.servers\" = \"x:1\"\n"),
    file("a secret property in clear", "[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n"),
    file("a property with an unquoted dot", "[kafka.properties]\nsecurity.protocol = \"SSL\"\n"),
    // S3.
    environment("a bucket with capitals", &[("DATAPIPE_S3__BUCKET", "Lake")]),
    environment("an endpoint without scheme", &[("DATAPIPE_S3__ENDPOINT", "localhost:9000")]),
    environment("an endpoint with credentials", &[("DATAPIPE_S3__ENDPOINT", "http://id:hunter2@localhost:9000")]),
    environment("an endpoint with a path", &[("DATAPIPE_S3__ENDPOINT", "http://localhost:9000/lake")]),
    environment("a key in clear", &[("DATAPIPE_S3__SECRET_ACCESS_KEY", "hunter2")]),
    environment("a token in clear", &[("DATAPIPE_S3__SESSION_TOKEN", "hunter2")]),
    file("a profile beside a key", "profile = \"lake\"\naccess_key_id = \"${env:AWS_ACCESS_KEY_ID}\"\n"),
    environment("a profile without name", &[("DATAPIPE_S3__PROFILE", "")]),
    environment("a profile with a space", &[("DATAPIPE_S3__PROFILE", "data lake")]),
    flags("a profile for Kafka Connect", &["--set", "s3.profile=lake", "--set", "worker.kind=kafka-connect"]),
    flags(
        "a token for Kafka Connect",
        &["--set", "s3.session_token=${env:AWS_SESSION_TOKEN}", "--set", "tables.users.worker.kind=kafka-connect"],
    ),
    environment("a profile's key for the database", &[("DATAPIPE_POSTGRES__PASSWORD", "${profile:lake:password}")]),
    file("path style in words", "path_style = \"yes\"\n"),
    // Quantities and bounds.
    flags("a duration without unit", &["--set", "sink.age=10"]),
    flags("a duration in another unit", &["--set", "sink.age=2weeks"]),
    flags("a size without unit", &["--set", "sink.bytes=1000"]),
    flags("a size in powers of ten", &["--set", "sink.bytes=64MB"]),
    flags("no rows", &["--set", "sink.rows=0", "--table", "orders"]),
    flags("fewer than no rows", &["--set", "sink.rows=-1"]),
    flags("a heartbeat out of bounds", &["--set", "tables.orders.source.heartbeat=2h"]),
    flags("partitions of one table out of bounds", &["--set", "tables.orders.topic.partitions=0"]),
    flags("a short retention", &["--set", "tables.orders.topic.retention=1m"]),
    flags("little memory", &["--set", "tables.orders.worker.memory=1MiB"]),
    flags("a reserved port", &["--set", "tables.orders.port=80"]),
    flags("a port too high", &["--set", "tables.orders.port=70000"]),
    flags("a port twice", &["--set", "tables.orders.port=8083"]),
    flags("a bad topic prefix", &["--set", "topic.prefix=my topics"]),
    flags("an unknown kind of worker", &["--set", "worker.kind=nativ"]),
    flags("an unknown compression", &["--set", "sink.compression=lzma"]),
    flags("an unknown connector", &["--set", "tables.orders.connectors=[sauce]"]),
    flags("no connectors", &["--set", "tables.orders.connectors=[]"]),
    flags("a host name to listen on", &["--set", "run.listen=localhost"]),
    flags(
        "hosts and paths that are none",
        &[
            "--set",
            "run.hosts=[\"http://cdc.example.org\"]",
            "--set",
            "run.config_providers.env.allowlist_pattern=PG(",
            "--set",
            "run.config_providers.dir.allowed_paths=[\"secrets\"]",
        ],
    ),
    flags("an endless stop", &["--set", "run.drain_timeout=2h"]),
    // Files, environment, command line.
    file("no TOML", "!region = \n"),
    file("no TOML beside a secret", "![postgres]\npassword = hunter2\n"),
    file("a section twice", "[s3]\nbucket = \"lake\"\n"),
    file("a section in place of a value", "[postgres.port]\nnumber = 5432\n"),
    environment("one underscore too few", &[("DATAPIPE_POSTGRES_URL", "postgres://cdc@db/shop")]),
    environment("an unknown variable", &[("DATAPIPE_FROBNICATE", "1")]),
    flags("a file that is not there", &["--config", "nowhere.toml"]),
    flags("a folder as file", &["--config", "."]),
    flags("a table that is not there", &["--table", "order"]),
    flags("a setting without value", &["--set", "sink.rows"]),
    flags("an unknown flag", &["--tables", "orders"]),
    flags("an unknown output", &["-o", "xml"]),
];

fn run(case: &Case) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let content = match case.file.strip_prefix('!') {
        Some(whole) => whole.to_owned(),
        None => format!("{GOOD}{}", case.file),
    };
    std::fs::write(folder.path().join("datapipe.toml"), content).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_datapipe-run"));
    command
        .arg("plan")
        .args(case.arguments)
        .current_dir(folder.path())
        .env_clear()
        .envs(case.environment.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_wrong_setting_is_told_in_words() {
    let mut told = String::new();
    for case in CASES {
        let (code, stdout, stderr) = run(case);
        assert!(code == 78 || code == 64, "{}: exit {code}\n{stderr}", case.name);
        assert_eq!(stdout, "", "{}: nothing is planned", case.name);
        assert!(!stderr.contains(CANARY), "{}: a secret was printed\n{stderr}", case.name);
        writeln!(told, "## {}: exit {code}\n{stderr}", case.name).unwrap();
    }
    assert!(CASES.len() >= 40);
    insta::assert_snapshot!(told);
}

#[test]
fn the_good_settings_are_planned_in_each_form() {
    let plan = |arguments: &'static [&'static str]| run(&flags("good", arguments));
    let (code, table, stderr) = plan(&[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    insta::assert_snapshot!(table);
    let (_, json, _) = plan(&["-o", "json", "--table", "orders"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tables"].as_array().unwrap().len(), 1);
    assert_eq!(json["tables"][0]["names"]["slot"], "debezium_slot_orders");
    assert_eq!(json["tables"][0]["worker"]["kind"], "native");
    let (_, yaml, _) = plan(&["-o", "yaml", "--table", "orders"]);
    assert_eq!(serde_yaml_ng::from_str::<serde_json::Value>(&yaml).unwrap(), json);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    const FILE: &str = "[sink]\nrows = 1\n";
    const ENVIRONMENT: &[(&str, &str)] = &[("DATAPIPE_SINK__ROWS", "2")];
    let rows = |file, environment, arguments| {
        let (code, json, stderr) = run(&Case { name: "precedence", file, environment, arguments });
        assert_eq!(code, 0, "{stderr}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["tables"][0]["connectors"][1]["config"]["file.max.records"].as_str().unwrap().to_owned()
    };
    assert_eq!(rows("", &[], &["-o", "json"]), "50000");
    assert_eq!(rows(FILE, &[], &["-o", "json"]), "1");
    assert_eq!(rows(FILE, ENVIRONMENT, &["-o", "json"]), "2");
    assert_eq!(rows(FILE, ENVIRONMENT, &["-o", "json", "--set", "sink.rows=3"]), "3");
    assert_eq!(rows(FILE, &[("DATAPIPE_TABLES__ORDER_ITEMS__SINK__ROWS", "4")], &["-o", "json"]), "4");
}
