//! A native sink beside Debezium in a JVM: one worker to whoever asks. Requests for connectors that are not ours go to the
//! JVM worker; what is asked of the worker as a whole is answered by both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use datapipe_core::connector::MASK;
use datapipe_core::connector::keys::PLUGINS;
use datapipe_core::port::connect::ConfigMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::BODY_BYTES_MAX;
use super::answer::Refusal;
use super::masking::{masked, masked_body, masked_key};
use crate::adapters::{Jvm, JvmAnswer};
use crate::worker::{Shown, lock};

/// How long the JVM worker may take for its part of an answer. Alone it has as long as its own requests may take.
const PART_MAX: Duration = Duration::from_secs(5);

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Native,
    Jvm,
    Both(Part),
}

/// What both have a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Connectors,
    Plugins,
    Health,
    Loggers,
    Metrics,
}

pub(super) async fn merged(State(shown): State<Arc<Shown>>, request: Request, next: Next) -> Response {
    let Some(jvm) = shown.jvm.clone() else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Refusal::http(StatusCode::PAYLOAD_TOO_LARGE).into_response();
    };
    let is_ours = |name: &str| shown.view.borrow().registry.connectors().contains_key(name);
    let who = who(&parts.method, parts.uri.path(), &body, is_ours);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let method = parts.method.clone();
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let own = Request::from_parts(parts, Body::from(body.clone()));
    match who {
        Who::Native => next.run(own).await,
        Who::Jvm => {
            if let Some(key) = serde_json::from_slice(&body).ok().and_then(|body| masked_key(&body)) {
                let what = "stands for a secret that is not shown, and the JVM worker would take it for the secret";
                return Refusal::bad(format!("{key} is {MASK}, which {what}; give the secret again, by reference"))
                    .into_response();
            }
            let answer = jvm.ask(method.as_str(), &path, body.to_vec()).await;
            shown.note_jvm(jvm.address(), answer.as_ref().err());
            answer.map_or_else(|why| away(&shown, jvm.address(), &path, &why), |answer| passed_on(answer, &host))
        }
        Who::Both(part) => {
            let asked = if part == Part::Metrics { "/" } else { &path };
            let (ours, theirs) = tokio::join!(next.run(own), ask(jvm.as_ref(), method.as_str(), asked));
            shown.note_jvm(jvm.address(), theirs.as_ref().err());
            both(&shown, jvm.address(), part, ours, theirs).await
        }
    }
}

async fn ask(jvm: &dyn Jvm, method: &str, path: &str) -> Result<JvmAnswer, String> {
    let asked = tokio::time::timeout(PART_MAX, jvm.ask(method, path, Vec::new())).await;
    asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PART_MAX.as_secs())))
}

/// Decides by the request alone. What is malformed is ours to refuse.
fn who(method: &Method, path: &str, body: &[u8], is_ours: impl Fn(&str) -> bool) -> Who {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        ["connectors"] if method == Method::POST => by_class(new_class(body)),
        ["connectors"] => Who::Both(Part::Connectors),
        ["connectors", name, ..] if is_ours(name) => Who::Native,
        ["connectors", _, "config"] if method == Method::PUT => by_class(config_class(body)),
        ["connectors", ..] => Who::Jvm,
        ["connector-plugins"] => Who::Both(Part::Plugins),
        ["connector-plugins", plugin, ..] if !is_native_plugin(plugin) => Who::Jvm,
        ["health"] => Who::Both(Part::Health),
        ["admin", "loggers"] => Who::Both(Part::Loggers),
        ["admin", "loggers", logger] if !is_native_logger(logger) => Who::Jvm,
        ["metrics"] => Who::Both(Part::Metrics),
        _ => Who::Native,
    }
}

fn by_class(class: Option<String>) -> Who {
    match class {
        Some(class) if !is_native_plugin(&class) => Who::Jvm,
        _ => Who::Native,
    }
}

fn new_class(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct New {
        config: ConfigMap,
    }
    serde_json::from_slice::<New>(body).ok()?.config.remove("connector.class")
}

fn config_class(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<ConfigMap>(body).ok()?.remove("connector.class")
}

/// A hybrid's native part runs sinks only.
fn is_native_plugin(name: &str) -> bool {
    let simple = |class: &'static str| class.rsplit('.').next().unwrap_or(class);
    let sinks = PLUGINS.iter().filter(|plugin| !plugin.source).map(|plugin| plugin.class);
    sinks.into_iter().any(|class| {
        let simple = simple(class);
        name == class || name == simple || simple.strip_suffix("Connector") == Some(name)
    })
}

fn is_native_logger(name: &str) -> bool {
    name == "root" || name.starts_with("datapipe")
}

/// The JVM worker names itself in what it points to; whoever asks knows this worker only.
fn passed_on(answer: JvmAnswer, host: &str) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = (status, masked_body(answer.body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let location = answer.location.map(|location| at_host(&location, host));
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}

/// The same path at another host; a path alone stays.
fn at_host(location: &str, host: &str) -> String {
    let path = location.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    path.filter(|_| !host.is_empty()).map_or_else(|| location.to_owned(), |path| format!("http://{host}{path}"))
}

impl Shown {
    fn why_away(&self, address: &str, why: &str) -> String {
        let seconds = lock(&self.jvm_away_since).map_or(0, |since| since.elapsed().as_secs());
        format!(
            "the Kafka Connect worker at {address}, which runs the source connector, does not answer, for {seconds} s by \
             now: {why}"
        )
    }
}

/// The JVM worker gave no answer. The status of its connector is known all the same.
fn away(shown: &Shown, address: &str, path: &str, why: &str) -> Response {
    let source = &shown.settings.jvm_source;
    if path.split('?').next() == Some(&format!("/connectors/{source}/status")) {
        return json_response(StatusCode::OK, &unassigned(shown, address, why));
    }
    Refusal::unavailable(shown.why_away(address, why)).into_response()
}

fn unassigned(shown: &Shown, address: &str, why: &str) -> Value {
    let source = &shown.settings.jvm_source;
    let worker_id = address.trim_start_matches("http://");
    let connector = json!({ "state": "UNASSIGNED", "worker_id": worker_id, "trace": shown.why_away(address, why) });
    json!({ "name": source, "connector": connector, "tasks": [], "type": "source" })
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, axum::Json(body)).into_response()
}

/// Puts two answers together. If ours is a refusal, it stands.
async fn both(shown: &Shown, address: &str, part: Part, ours: Response, theirs: Result<JvmAnswer, String>) -> Response {
    if !ours.status().is_success() {
        return ours;
    }
    let up = theirs.as_ref().is_ok_and(|answer| answer.status == 200);
    let Ok(text) = to_bytes(ours.into_body(), usize::MAX).await else {
        return Refusal::failed("the answer could not be put together").into_response();
    };
    if part == Part::Metrics {
        let slug = &shown.settings.slug;
        let lines = format!(
            "# HELP datapipe_jvm_up 1 if the JVM worker of a hybrid answers\n# TYPE datapipe_jvm_up gauge\n\
             datapipe_jvm_up{{table=\"{slug}\"}} {}\n",
            u8::from(up)
        );
        return ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], [&text[..], lines.as_bytes()].concat())
            .into_response();
    }
    let why = theirs.as_ref().map_or_else(Clone::clone, |answer| format!("it answered with {}", answer.status));
    let theirs = theirs.ok().filter(|_| up).and_then(|answer| serde_json::from_slice(&answer.body).ok()).map(masked);
    let ours: Value = serde_json::from_slice(&text).unwrap_or_default();
    match (part, theirs) {
        (Part::Health, None) => {
            let message = format!("{}; the native sink goes on", shown.why_away(address, &why));
            json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "unhealthy", "message": message }))
        }
        (Part::Health, Some(_)) => json_response(StatusCode::OK, &ours),
        (Part::Connectors, None) => {
            let source = &shown.settings.jvm_source;
            let theirs = if ours.is_array() {
                json!([source])
            } else {
                json!({ source: { "status": unassigned(shown, address, &why) } })
            };
            json_response(StatusCode::OK, &together(theirs, ours))
        }
        (Part::Plugins, Some(theirs)) => json_response(StatusCode::OK, &plugins(theirs, ours)),
        (_, Some(theirs)) => json_response(StatusCode::OK, &together(theirs, ours)),
        (_, None) => json_response(StatusCode::OK, &ours),
    }
}

/// Lists one after the other, objects by key; ours wins.
fn together(theirs: Value, ours: Value) -> Value {
    match (theirs, ours) {
        (Value::Array(mut theirs), Value::Array(ours)) => {
            theirs.retain(|one| !ours.contains(one));
            theirs.extend(ours);
            Value::Array(theirs)
        }
        (Value::Object(mut theirs), Value::Object(ours)) => {
            theirs.extend(ours);
            Value::Object(theirs)
        }
        (_, ours) => ours,
    }
}

/// Our sinks, and the JVM worker's plugins beside them: a source of ours would run in the JVM.
fn plugins(theirs: Value, ours: Value) -> Value {
    let class = |plugin: &Value| plugin["class"].as_str().unwrap_or_default().to_owned();
    let (Value::Array(mut theirs), Value::Array(mut ours)) = (theirs, ours) else { return Value::Null };
    ours.retain(|plugin| is_native_plugin(&class(plugin)));
    theirs.retain(|plugin| !is_native_plugin(&class(plugin)));
    theirs.extend(ours);
    Value::Array(theirs)
}

impl Shown {
    /// Says once that the JVM worker has gone, and once that it is back.
    fn note_jvm(&self, address: &str, why: Option<&String>) {
        let table = &self.settings.slug;
        let was_away = {
            let mut since = lock(&self.jvm_away_since);
            let was_away = since.is_some();
            *since = why.map(|_| since.unwrap_or_else(Instant::now));
            was_away
        };
        match why {
            Some(why) if !was_away => tracing::warn!(%table, "{}", self.why_away(address, why)),
            None if was_away => tracing::info!(%table, address, "the Kafka Connect worker answers again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINK: &str = "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector";

    #[test]
    fn each_request_has_who_answers_it() {
        let is_ours = |name: &str| name == "s3-sink-users-connector";
        let new = |class: &str| json!({ "name": "x", "config": { "connector.class": class } }).to_string();
        let config = |class: &str| json!({ "connector.class": class }).to_string();
        let debezium = "io.debezium.connector.postgresql.PostgresConnector";
        for (method, path, body, expected) in [
            ("GET", "/", String::new(), Who::Native),
            ("GET", "/connectors", String::new(), Who::Both(Part::Connectors)),
            ("POST", "/connectors", new(debezium), Who::Jvm),
            ("POST", "/connectors/", new(SINK), Who::Native),
            ("POST", "/connectors", "{".to_owned(), Who::Native),
            ("PUT", "/connectors/x/config", config(SINK), Who::Native),
            ("PUT", "/connectors/x/config", config(debezium), Who::Jvm),
            ("GET", "/connectors/s3-sink-users-connector/status", String::new(), Who::Native),
            ("PUT", "/connectors/postgres-cdc-users-connector/pause", String::new(), Who::Jvm),
            ("PATCH", "/connectors/postgres-cdc-users-connector/offsets", String::new(), Who::Jvm),
            ("GET", "/connector-plugins", String::new(), Who::Both(Part::Plugins)),
            ("PUT", "/connector-plugins/PostgresConnector/config/validate", String::new(), Who::Jvm),
            ("PUT", "/connector-plugins/AivenKafkaConnectS3Sink/config/validate", String::new(), Who::Native),
            ("GET", "/health", String::new(), Who::Both(Part::Health)),
            ("GET", "/admin/loggers", String::new(), Who::Both(Part::Loggers)),
            ("PUT", "/admin/loggers/io.debezium", String::new(), Who::Jvm),
            ("PUT", "/admin/loggers/datapipe_engine", String::new(), Who::Native),
            ("GET", "/metrics", String::new(), Who::Both(Part::Metrics)),
            ("GET", "/openapi.json", String::new(), Who::Native),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(who(&method, path, body.as_bytes(), is_ours), expected, "{method} {path} {body}");
        }
    }

    #[test]
    fn what_the_jvm_points_to_is_found_here() {
        let theirs = "http://127.0.0.1:18083/connectors/a";
        assert_eq!(at_host(theirs, "localhost:8083"), "http://localhost:8083/connectors/a");
        assert_eq!(at_host("/connectors/a", "localhost:8083"), "/connectors/a");
        assert_eq!(at_host(theirs, ""), theirs);
    }

    #[test]
    fn plugins_are_those_that_run_somewhere() {
        let theirs = json!([{ "class": "io.debezium.X", "type": "source" }, { "class": SINK, "version": "theirs" }]);
        let ours = json!([{ "class": SINK, "version": "ours" }, { "class": "io.debezium.X", "version": "native" }]);
        let expected = json!([{ "class": "io.debezium.X", "type": "source" }, { "class": SINK, "version": "ours" }]);
        assert_eq!(plugins(theirs, ours), expected);
    }
}
