//! The requests that both sides get.

use serde_json::{Value, json};

use crate::side::NAME;

/// A request, and where its answers may differ, with the reason.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    pub(crate) header: (&'static str, &'static str),
    /// JSON pointers that are left out of the comparison.
    pub(crate) but: Vec<(String, &'static str)>,
}

impl Request {
    fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, header: ("", ""), but: Vec::new() }
    }

    fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self.header = ("content-type", "application/json");
        self
    }

    fn text(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self.header = ("content-type", "application/json");
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = (name, value);
        self
    }

    fn but(mut self, pointer: impl Into<String>, reason: &'static str) -> Self {
        self.but.push((pointer.into(), reason));
        self
    }
}

const OWN_WORDS: &str = "the words are our own";
const JACKSON: &str = "the words are those of Java's JSON reader";

fn of(path: &str) -> String {
    format!("/connectors/{NAME}{path}")
}

/// While there is no connector.
pub(crate) fn without_connectors(config: &Value) -> Vec<Request> {
    let get = |path: &str| Request::new("GET", path);
    let offsets = json!({ "offsets": [{ "partition": { "server": "{side}" }, "offset": { "lsn": 1 } }] });
    let mut foreign = config.clone();
    foreign["connector.class"] = json!("org.example.None");
    let mut other = config.clone();
    other["name"] = json!("other");
    let no_class = json!({ "topic.prefix": "x" });
    let mut requests = vec![
        get("/").but("/commit", "ours is our own version"),
        get("/health"),
        get("/connectors"),
        get("/connectors/"),
        get("/connectors?expand=status&expand=info"),
        get("/nothing"),
        get("/connectors/none"),
        get("/connectors/none/config"),
        get("/connectors/none/status"),
        get("/connectors/none/tasks"),
        get("/connectors/none/tasks/0/status"),
        get("/connectors/none/tasks/x/status"),
        get("/connectors/none/topics"),
        get("/connectors/none/offsets"),
        get("/connector-plugins/none/config"),
        get("/admin/loggers/none"),
        Request::new("POST", "/connectors").text("{").but("/message", JACKSON),
        Request::new("POST", "/connectors").text("[]").but("/message", JACKSON),
        Request::new("POST", "/connectors").header("content-type", "text/plain"),
        Request::new("PUT", of("/pause")).header("content-type", "text/plain"),
        Request::new("POST", "/connectors").but("/message", "Java says nothing more than what it was at"),
        Request::new("POST", "/connectors").text("{}").header("", ""),
        Request::new("POST", "/connectors").text("{}").header("content-type", "text/plain"),
        Request::new("POST", "/connectors").text("{}").header("content-type", "application/jsonx"),
        Request::new("POST", "/connectors").text("{}").header("content-type", "application/x-www-form-urlencoded"),
        Request::new("POST", "/connectors")
            .text("{")
            .header("content-type", "application/json; charset=utf-8")
            .but("/message", JACKSON),
        Request::new("PUT", of("/config")).text("{}").header("", ""),
        Request::new("PATCH", of("/config")).text("{}").header("", ""),
        Request::new("PATCH", of("/offsets")).text("{}").header("", ""),
        Request::new("PUT", "/connector-plugins/PostgresConnector/config/validate").text("{}").header("", ""),
        Request::new("PUT", "/admin/loggers/root").text(r#"{"level":"INFO"}"#).header("", ""),
        Request::new("PUT", "/admin/loggers/root").text(r#"{"level":"INFO"}"#).header("content-type", "text/plain"),
        Request::new("POST", of("/restart")).text("{}").header("", ""),
        Request::new("PUT", of("/pause")).text("{}").header("", ""),
        Request::new("DELETE", of("")).header("content-type", "text/plain"),
        Request::new("DELETE", of("")).text("{}").header("content-type", "text/plain"),
        get("/connectors").header("content-type", "text/plain"),
        get("/connectors").header("accept", "text/html"),
        Request::new("DELETE", "/connectors"),
        Request::new("PATCH", of("")),
        Request::new("POST", of("/pause")),
        Request::new("GET", "/connectors/none/pause"),
        Request::new("POST", "/connectors")
            .json(&json!({ "name": NAME, "config": config, "initial_state": "NEW" }))
            .but("/message", JACKSON),
        Request::new("POST", "/connectors")
            .json(&json!({ "name": NAME, "config": { "a": {} } }))
            .but("/message", JACKSON),
        Request::new("POST", "/connectors")
            .json(&json!({ "name": NAME, "config": no_class }))
            .but("/message", "Java prints the map in an order of its own"),
        Request::new("POST", "/connectors").json(&json!({ "name": NAME, "config": other })),
        Request::new("POST", "/connectors")
            .json(&json!({ "name": NAME, "config": foreign }))
            .but("/message", OWN_WORDS),
        Request::new("PUT", of("/config")).json(&other),
        Request::new("PUT", of("/config")).json(&json!([])).but("/message", JACKSON),
        Request::new("PATCH", of("/config")).json(&json!({})),
        Request::new("PATCH", of("/offsets")).json(&json!({ "offsets": [] })),
        Request::new("PATCH", of("/offsets")).json(&offsets),
        Request::new("DELETE", of("/offsets")),
        Request::new("POST", of("/restart?includeTasks=true&onlyFailed=false")),
        Request::new("POST", of("/tasks/0/restart")),
        Request::new("PUT", of("/topics/reset")),
    ];
    for action in ["pause", "resume", "stop"] {
        requests.push(Request::new("PUT", of(&format!("/{action}"))));
    }
    requests.push(Request::new("POST", of("/restart")));
    requests.push(Request::new("DELETE", of("")));
    requests
}

/// Makes it, stopped.
pub(crate) fn create(config: &Value) -> Vec<Request> {
    let body = json!({ "name": NAME, "config": config, "initial_state": "STOPPED" });
    vec![Request::new("POST", "/connectors").json(&body), Request::new("POST", "/connectors").json(&body)]
}

/// What is told of it in any state.
pub(crate) fn looks() -> Vec<Request> {
    let mut requests: Vec<_> =
        ["", "/config", "/status", "/tasks"].map(|path| Request::new("GET", of(path))).into_iter().collect();
    requests.push(Request::new("GET", "/connectors"));
    requests.push(Request::new("GET", "/connectors?expand=info&expand=status"));
    requests.push(Request::new("GET", "/connectors?expand=status"));
    requests.push(Request::new("GET", "/connectors?expand=other"));
    requests.push(Request::new("GET", of("/tasks/7/status")));
    requests
}

/// What may be done while it is stopped.
pub(crate) fn stopped() -> Vec<Request> {
    vec![
        Request::new("GET", of("/offsets")),
        Request::new("PATCH", of("/offsets"))
            .json(&json!({}))
            .but("/message", "Java says nothing more than the class of its error"),
        Request::new("DELETE", of("/offsets")),
        Request::new("PUT", of("/stop")),
    ]
}

/// What may be done while it runs.
pub(crate) fn running() -> Vec<Request> {
    let offsets = json!({ "offsets": [{ "partition": { "server": "{side}" }, "offset": { "lsn": 1 } }] });
    vec![
        Request::new("GET", of("/tasks/0/status")),
        Request::new("PATCH", of("/offsets")).json(&offsets),
        Request::new("DELETE", of("/offsets")),
        Request::new("POST", of("/restart")),
        Request::new("POST", of("/tasks/0/restart")),
        Request::new("POST", of("/tasks/3/restart")),
        Request::new("POST", of("/restart?onlyFailed=true")),
        Request::new("POST", of("/restart?includeTasks=true&onlyFailed=true")),
    ]
}

/// Changes of its configuration.
pub(crate) fn changes(config: &Value) -> Vec<Request> {
    let mut changed = config.clone();
    changed["name"] = json!(NAME);
    changed["max.batch.size"] = json!(1000);
    let mut wrong = changed.clone();
    wrong["topic.prefix"] = json!(null);
    vec![
        Request::new("PATCH", of("/config")).json(&json!({ "heartbeat.interval.ms": 2000, "topic.creation.x": null })),
        Request::new("PUT", of("/config")).json(&changed),
        Request::new("PUT", of("/config")).json(&wrong).but("/message", OWN_WORDS),
        Request::new("PUT", "/connector-plugins/FileStreamSinkConnector/config/validate").json(&changed),
    ]
}

/// Log levels.
pub(crate) fn loggers() -> Vec<Request> {
    let set = |body: &Value| Request::new("PUT", "/admin/loggers/root").json(body);
    vec![
        Request::new("GET", "/admin/loggers/root").but("/level", "each has its own"),
        set(&json!({ "level": "LOUD" })),
        set(&json!({})),
        Request::new("PUT", "/admin/loggers/root?scope=cluster").json(&json!({ "level": "INFO" })),
    ]
}
