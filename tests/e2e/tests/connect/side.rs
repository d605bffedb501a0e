//! One of the two workers, and questions to it.

use std::time::{Duration, Instant};

use datapipe_e2e::stage::Stage;
use datapipe_embedded::{Cache, ConnectOptions, ConnectWorker, Progress};
use serde_json::{Value, json};
use tokio::time::sleep;

/// The connector that is made on both sides.
pub(crate) const NAME: &str = "compared";
/// What stands for the side's own name in requests and answers.
const SIDE: &str = "{side}";
const PATIENCE: Duration = Duration::from_secs(90);

/// A worker by its address.
pub(crate) struct Side {
    /// `native` or `reference`.
    pub(crate) name: &'static str,
    base: String,
    http: reqwest::Client,
}

/// An answer, the side's own names taken out.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    /// The body: JSON, or a text.
    pub(crate) body: Value,
}

impl Side {
    pub(crate) fn new(name: &'static str, base: impl Into<String>) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { name, base: base.into(), http }
    }

    /// Sends a request whose texts may hold `{side}`. `kind` is the body's content type.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<&str>, header: (&str, &str)) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{}", self.base, path.replace(SIDE, self.name)));
        if !header.0.is_empty() {
            request = request.header(header.0, header.1);
        }
        if let Some(body) = body {
            request = request.body(body.replace(SIDE, self.name));
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        let text = self.anonymous(&answer.text().await.unwrap());
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, location: location.map(|location| self.anonymous(&location)), body }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None, ("", "")).await.body
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, Some(&body.to_string()), ("content-type", "application/json")).await
    }

    fn anonymous(&self, text: &str) -> String {
        let address = self.base.strip_prefix("http://").unwrap();
        text.replace(address, "{address}").replace(self.name, SIDE)
    }

    /// Waits until it answers.
    pub(crate) async fn up(&self) {
        let begun = Instant::now();
        while self.http.get(format!("{}/connectors", self.base)).send().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "{} does not answer", self.name);
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the connector and its tasks have these states.
    pub(crate) async fn until(&self, name: &str, connector: &str, tasks: &[&str]) {
        let begun = Instant::now();
        loop {
            let status = self.get(&format!("/connectors/{name}/status")).await;
            let found: Vec<_> = status["tasks"].as_array().into_iter().flatten().map(|task| &task["state"]).collect();
            if status["connector"]["state"] == connector && found == tasks {
                return;
            }
            let waited = begun.elapsed() < PATIENCE;
            assert!(waited, "{}: {name} is {status}, not {connector} {tasks:?}", self.name);
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an answer holds something.
    pub(crate) async fn until_holds(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get(path).await;
            if is_so(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{}: {path} is still {answer}", self.name);
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A configuration that both take, for the table `users`.
pub(crate) fn config(stage: &Stage) -> Value {
    let postgres = stage.servers.stack.postgres();
    let secrets = stage.root.path().join("secrets.properties");
    std::fs::write(&secrets, format!("password={}\n", postgres.password())).unwrap();
    let json_converter = "org.apache.kafka.connect.json.JsonConverter";
    json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "database.hostname": postgres.host(),
        "database.port": postgres.port().to_string(),
        "database.dbname": postgres.database(),
        "database.user": postgres.user(),
        "database.password": format!("${{file:{}:password}}", secrets.display()),
        "topic.prefix": SIDE,
        "table.include.list": "public.users",
        "plugin.name": "pgoutput",
        "slot.name": format!("slot_{SIDE}"),
        "publication.name": format!("publication_{SIDE}"),
        "publication.autocreate.mode": "disabled",
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "heartbeat.interval.ms": "1000",
        "topic.heartbeat.prefix": "heartbeat",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "1",
        "key.converter": json_converter,
        "key.converter.schemas.enable": "false",
        "value.converter": json_converter,
        "value.converter.schemas.enable": "false",
        "value.converter.replace.null.with.default": "false",
        "extended.headers.enabled": "false",
    })
}

/// The setting that lets a native worker resolve the reference in [`config`].
pub(crate) fn allowed_secrets(stage: &Stage) -> (String, String) {
    let folder = stage.root.path().display();
    ("run.config_providers.file.allowed_paths".to_owned(), format!("[\"{folder}\"]"))
}

/// A real worker of a group of its own.
pub(crate) async fn reference(stage: &Stage, name: &str, port: Option<u16>) -> ConnectWorker {
    let mut options = ConnectOptions::new(stage.servers.stack.kafka().bootstrap(), name);
    options.port = port;
    start(stage, options).await
}

/// A real worker with these options.
pub(crate) async fn start(stage: &Stage, options: ConnectOptions) -> ConnectWorker {
    let progress = Progress::new(|line| println!("{line}"));
    ConnectWorker::start(&stage.root.path().join("connect"), options, &Cache::of_user(), &progress)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}
