//! What is refused, in which words.

use datapipe_connect::NewConnector;
use serde_json::{Value, json};

use crate::bench::{Bench, SINK, SOURCE, sink, source};

fn words(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_not_allowed_and_not_understood() {
    let bench = Bench::owner().await;
    for (method, path, status, message) in [
        ("GET", "/nothing", 404, "HTTP 404 Not Found"),
        ("DELETE", "/connectors", 405, "HTTP 405 Method Not Allowed"),
        ("GET", "/connectors/none", 404, "Connector none not found"),
        ("GET", "/connectors/none/config", 404, "Connector none not found"),
        ("GET", "/connectors/none/tasks", 404, "Connector none not found"),
        ("GET", "/connectors/none/status", 404, "No status found for connector none"),
        ("GET", "/connectors/none/tasks/0/status", 404, "No status found for task none-0"),
        ("GET", "/connectors/none/tasks/x/status", 404, "HTTP 404 Not Found"),
        ("PUT", "/connectors/none/pause", 404, "Unknown connector none"),
        ("PUT", "/connectors/none/resume", 404, "Unknown connector none"),
        ("PUT", "/connectors/none/stop", 404, "Unknown connector none"),
        ("POST", "/connectors/none/restart", 404, "Unknown connector: none"),
        ("POST", "/connectors/none/restart?includeTasks=true", 404, "Unknown connector: none"),
        ("POST", "/connectors/none/tasks/0/restart", 404, "Unknown connector: none"),
        ("DELETE", "/connectors/none", 404, "Connector none not found"),
        ("DELETE", "/connectors/none/offsets", 404, "Connector none not found"),
        ("GET", "/connector-plugins/none/config", 404, "Unknown plugin none."),
        ("GET", "/admin/loggers/none", 404, "Logger none not found."),
    ] {
        let (found, _, answer) = bench.ask(method, path, None).await;
        assert_eq!((found, words(&answer)), (status, message), "{method} {path}");
        assert_eq!(answer["error_code"], status, "{method} {path}");
    }
    assert_eq!(bench.ask("GET", "/connectors/none/topics", None).await.2, json!({ "none": { "topics": [] } }));
    assert_eq!(bench.ask("GET", "/connectors/", None).await.2, json!([]));
    assert_eq!(bench.ask("POST", "/connectors", Some("{")).await.0, 500);

    let plain = |name, value| bench.http.put(format!("{}/connectors/x/pause", bench.base)).header(name, value);
    let answer = plain("content-type", "text/plain").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 415);
    let answer = plain("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 406);
    bench.make_sink().await;
    let (status, _, answer) = bench.ask("POST", &format!("/connectors/{SINK}/tasks/5/restart"), None).await;
    assert_eq!((status, words(&answer)), (404, format!("Unknown task: {SINK}-5").as_str()));
    let twice = NewConnector { name: SINK.to_owned(), config: sink(), initial_state: None };
    let error = bench.client.create(&twice).await.unwrap_err();
    assert!(error.to_string().ends_with(&format!("was refused with 409: Connector {SINK} already exists")), "{error}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_would_not_run_is_refused_with_all_its_errors() {
    let bench = Bench::owner().await;
    let put = async |config: Value| {
        let (status, _, answer) =
            bench.ask("PUT", &format!("/connectors/{SOURCE}/config"), Some(&config.to_string())).await;
        (status, words(&answer).to_owned())
    };
    let (status, message) = put(json!({ "name": "other" })).await;
    assert_eq!(status, 400);
    let expected = format!("Connector name configuration (other) doesn't match connector name in the URL ({SOURCE})");
    assert_eq!(message, expected);
    let (status, message) = put(json!({})).await;
    assert_eq!((status, message), (400, format!("Connector config {{name={SOURCE}}} contains no connector type")));
    let (status, message) = put(json!({ "connector.class": "org.example.Other" })).await;
    assert!(
        status == 400
            && message.starts_with(
                "Failed to find any class that implements Connector and which name matches org.example.Other"
            ),
        "{message}"
    );

    let mut config = json!(source());
    config["column.propagate.source.type"] = json!("public.users.email");
    config["decimal.handling.mode"] = json!("exact");
    config["slot.name"] = json!(null);
    let (status, message) = put(config.clone()).await;
    assert_eq!(status, 400);
    let head = "Connector configuration is invalid and contains the following 4 error(s):\n";
    assert!(message.starts_with(head) && message.contains("\nYou can also find the above list"), "{message}");
    for key in
        ["column.propagate.source.type: ", "decimal.handling.mode: ", "slot.name: Null value", "slot.name: is missing"]
    {
        assert!(message.contains(&format!("\n{key}")), "{key} {message}");
    }
    assert_eq!(bench.around.topics.records(), []);

    // The server has a say too, and is only asked about what could run.
    bench
        .around
        .found
        .lock()
        .unwrap()
        .extend([("slot.name", "it belongs to another database"), ("aws.s3.bucket.name", "gone")]);
    let (status, message) = put(json!(source())).await;
    assert!(status == 400 && message.contains("\nslot.name: it belongs to another database; mend it\n"), "{message}");
    let (status, _, infos) = bench
        .ask("PUT", "/connector-plugins/PostgresConnector/config/validate", Some(&json!(source()).to_string()))
        .await;
    assert_eq!((status, &infos["error_count"]), (200, &json!(1)));
    let of = |name: &str| {
        let configs = infos["configs"].as_array().unwrap();
        configs.iter().find(|info| info["value"]["name"] == name).cloned().unwrap()
    };
    assert_eq!(of("slot.name")["value"]["errors"].as_array().unwrap().len(), 1);
    assert_eq!(of("database.password")["value"]["value"], "[hidden]");
    assert_eq!(of("database.port")["value"]["value"], "5432");
    assert_eq!(of("plugin.name")["value"]["recommended_values"], json!(["pgoutput"]));
    assert_eq!(of("name")["definition"]["group"], "Common");
    let (status, _, infos) =
        bench.ask("PUT", "/connector-plugins/PostgresConnector/config/validate", Some(&config.to_string())).await;
    assert_eq!((status, &infos["error_count"]), (200, &json!(4)));
    // A key that is passed over is shown without a definition, and counts as no error.
    let mut lenient = json!(source());
    lenient["vendor.audit"] = json!("on");
    lenient["datapipe.unknown.keys"] = json!("ignore");
    let (_, _, infos) =
        bench.ask("PUT", "/connector-plugins/PostgresConnector/config/validate", Some(&lenient.to_string())).await;
    let configs = infos["configs"].as_array().unwrap();
    let shown = configs.iter().find(|info| info["value"]["name"] == "vendor.audit").unwrap();
    assert_eq!((&shown["definition"], &shown["value"]["errors"]), (&json!(null), &json!([])));
    assert_eq!(infos["error_count"], 1, "that of the server");
    let other = "/connector-plugins/AivenKafkaConnectS3SinkConnector/config/validate";
    let (status, _, answer) = bench.ask("PUT", other, Some(&json!(source()).to_string())).await;
    assert!(status == 400 && words(&answer).starts_with("Included connector type io.debezium"), "{answer}");
    bench.stop().await;
}

/// A page in a browser may send a body with any type but JSON, or without one, to every address that it likes.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_says_that_it_is_json_and_a_request_comes_from_no_other_page() {
    let bench = Bench::owner().await;
    let body = json!({ "name": SINK, "config": sink() }).to_string();
    let post = async |headers: &[(&str, &str)]| {
        let mut request = bench.http.post(format!("{}/connectors", bench.base)).body(body.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let json = ("content-type", "Application/JSON; charset=utf-8");
    for (headers, status, part) in [
        (vec![], 415, "HTTP 415 Unsupported Media Type"),
        (vec![("content-type", "text/plain")], 415, "415"),
        (vec![("content-type", "application/jsonx")], 415, "415"),
        (vec![json, ("origin", "http://evil.example")], 403, "run.hosts"),
        (vec![json, ("origin", "null")], 403, "another page's"),
        (vec![json, ("host", "evil.example:8083")], 403, "is no name of this worker"),
    ] {
        let (found, words) = post(&headers).await;
        assert!(found == status && words.contains(part), "{headers:?}: {found} {words}");
    }
    let huge = json!({ "x": "y".repeat(600 * 1024) }).to_string();
    let (status, _, answer) = bench.ask("POST", "/connectors", Some(&huge)).await;
    assert_eq!((status, words(&answer)), (413, "HTTP 413 Payload Too Large"));
    assert_eq!(bench.around.topics.records(), []);
    assert_eq!(post(&[json, ("origin", "http://localhost:8083"), ("host", "localhost:8083")]).await.0, 201);
    bench.stop().await;
}
