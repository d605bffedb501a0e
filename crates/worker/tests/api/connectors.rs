//! Connectors through their life, and what stands in the topics for it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datapipe_connect::{ConnectorInfo, ConnectorKind, NewConnector, TaskId, TaskInfo};
use datapipe_core::connector::{Registry, SourceConfig};
use datapipe_core::port::connect::{ConfigRecord, ConnectStore, FeedItem, State, StatusChange, TargetState};
use futures_util::future::join_all;
use serde_json::json;

use crate::bench::{Bench, SINK, SOURCE, sink, source};

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_made_paused_stopped_resumed_and_deleted() {
    let bench = Bench::owner().await;
    assert_eq!(bench.client.connectors().await.unwrap(), [""; 0]);
    let body = json!({ "name": SINK, "config": sink() }).to_string();
    let (status, headers, made) = bench.ask("POST", "/connectors", Some(&body)).await;
    assert_eq!((status, made["type"].as_str(), made["tasks"].as_array().unwrap().len()), (201, Some("sink"), 0));
    assert_eq!(headers["location"].to_str().unwrap(), format!("{}/connectors/{SINK}", bench.base));
    let running = bench.states(SINK, State::Running, &[State::Running]).await;
    assert_eq!((running.kind, running.tasks[0].id), (ConnectorKind::Sink, 0));

    let info = bench.client.connector(SINK).await.unwrap().unwrap();
    assert_eq!((info.tasks[0].task, &info.config["topics"]), (0, &"cdc.public.users".to_owned()));
    let tasks = bench.client.tasks(SINK).await.unwrap().unwrap();
    assert_eq!(tasks[0].config["task.class"], "io.aiven.kafka.connect.s3.S3SinkTask");
    assert_eq!(bench.client.task_status(SINK, 0).await.unwrap().unwrap().state, State::Running);
    assert_eq!(bench.client.task_status(SINK, 1).await.unwrap(), None);

    bench.client.pause(SINK).await.unwrap();
    bench.states(SINK, State::Paused, &[State::Paused]).await;
    bench.client.stop(SINK).await.unwrap();
    bench.states(SINK, State::Stopped, &[]).await;
    assert_eq!(bench.client.tasks(SINK).await.unwrap().unwrap(), []);
    bench.client.resume(SINK).await.unwrap();
    bench.states(SINK, State::Running, &[State::Running]).await;
    bench.client.delete(SINK).await.unwrap();
    assert_eq!(bench.client.connector(SINK).await.unwrap(), None);
    assert_eq!(bench.client.status(SINK).await.unwrap(), None);
    let gone = async |bench: &Bench| bench.around.topics.statuses().connectors.is_empty();
    bench.until("its statuses are deleted", gone).await;
    assert!(bench.around.topics.statuses().tasks.is_empty());

    let target = |state| ConfigRecord::Target { connector: SINK.to_owned(), state };
    let commit = |tasks| ConfigRecord::Commit { connector: SINK.to_owned(), tasks };
    let mut task = sink();
    task.insert("task.class".to_owned(), "io.aiven.kafka.connect.s3.S3SinkTask".to_owned());
    let task = ConfigRecord::Task { connector: SINK.to_owned(), task: 0, config: task };
    let connector = |config| ConfigRecord::Connector { connector: SINK.to_owned(), config };
    let expected = [
        connector(Some(sink())),
        task.clone(),
        commit(1),
        target(Some(TargetState::Paused)),
        commit(0),
        target(Some(TargetState::Stopped)),
        target(Some(TargetState::Started)),
        task,
        commit(1),
        connector(None),
        target(None),
    ];
    assert_eq!(bench.around.topics.records(), expected);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_put_on_record_once_however_long_a_record_is_on_its_way() {
    let bench = Bench::owner().await;
    bench.around.slow.store(true, Ordering::Relaxed);
    bench.client.put_config(SINK, &sink()).await.unwrap();
    bench.states(SINK, State::Running, &[State::Running]).await;
    bench.client.stop(SINK).await.unwrap();
    bench.states(SINK, State::Stopped, &[]).await;
    let records = bench.around.topics.records();
    let kinds = records.iter().map(|record| match record {
        ConfigRecord::Connector { .. } => "connector",
        ConfigRecord::Task { .. } => "task",
        ConfigRecord::Commit { .. } => "commit",
        ConfigRecord::Target { .. } => "target",
        _ => "other",
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["connector", "task", "commit", "commit", "target"], "{records:?}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_may_be_made_stopped_and_everything_is_shown_at_once() {
    let bench = Bench::owner().await;
    let stopped = NewConnector { name: SINK.to_owned(), config: sink(), initial_state: Some(State::Stopped) };
    bench.client.create(&stopped).await.unwrap();
    bench.states(SINK, State::Stopped, &[]).await;
    let target = ConfigRecord::Target { connector: SINK.to_owned(), state: Some(TargetState::Stopped) };
    let connector = ConfigRecord::Connector { connector: SINK.to_owned(), config: Some(sink()) };
    assert_eq!(bench.around.topics.records(), [target, connector]);
    bench.client.put_config(SOURCE, &source()).await.unwrap();
    bench.states(SOURCE, State::Running, &[State::Running]).await;
    let expanded = bench.client.expanded().await.unwrap();
    assert_eq!(expanded.keys().collect::<Vec<_>>(), [SOURCE, SINK]);
    assert_eq!(expanded[SOURCE].status.as_ref().unwrap().kind, ConnectorKind::Source);
    let (_, _, info) = bench.ask("GET", "/connectors?expand=info", None).await;
    assert!(info[SINK].get("status").is_none() && info[SINK]["info"]["name"] == SINK);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_masked_and_a_mask_stands_for_what_is_kept() {
    let bench = Bench::owner().await;
    let (status, _, made) =
        bench.ask("PUT", &format!("/connectors/{SOURCE}/config"), Some(&json!(source()).to_string())).await;
    assert_eq!((status, &made["config"]["database.password"]), (201, &json!("****")));
    bench.states(SOURCE, State::Running, &[State::Running]).await;
    for path in [
        format!("/connectors/{SOURCE}"),
        format!("/connectors/{SOURCE}/config"),
        format!("/connectors/{SOURCE}/tasks"),
        "/connectors?expand=info".to_owned(),
    ] {
        let (_, _, shown) = bench.ask("GET", &path, None).await;
        assert!(!shown.to_string().contains("hunter2") && shown.to_string().contains("****"), "{path}: {shown}");
    }
    let mut read = bench.client.config(SOURCE).await.unwrap().unwrap();
    read.insert("max.batch.size".to_owned(), "100".to_owned());
    let before = bench.around.topics.records().len();
    bench.client.put_config(SOURCE, &read).await.unwrap();
    let kept = &bench.around.topics.registry().get(SOURCE).unwrap().config.clone();
    assert_eq!((kept["database.password"].as_str(), kept["max.batch.size"].as_str()), ("hunter2", "100"));
    bench.until("its task follows", async |bench| bench.around.topics.records().len() == before + 3).await;

    let changes = BTreeMap::from([
        ("max.batch.size".to_owned(), None),
        ("heartbeat.interval.ms".to_owned(), Some("5000".to_owned())),
    ]);
    let patched = bench.client.patch_config(SOURCE, &changes).await.unwrap();
    assert_eq!(patched.config.get("max.batch.size"), None);
    assert_eq!(patched.config["heartbeat.interval.ms"], "5000");
    bench.states(SOURCE, State::Running, &[State::Running]).await;
    // The same again changes nothing.
    let records = async |bench: &Bench| bench.around.topics.records();
    let settled = bench.around.topics.registry().get(SOURCE).unwrap().tasks[0]["heartbeat.interval.ms"] == "5000";
    bench.until("its task follows", async |_| settled || records(&bench).await.len() == before + 6).await;
    let before = records(&bench).await.len();
    bench.client.put_config(SOURCE, &patched.config).await.unwrap();
    assert_eq!(records(&bench).await.len(), before + 1);

    let masked = json!({ "name": "other", "config": { "connector.class": "Postgres", "database.password": "****" } });
    let (status, _, refused) = bench.ask("POST", "/connectors", Some(&masked.to_string())).await;
    assert_eq!(status, 400);
    assert!(refused["message"].as_str().unwrap().contains("connector other keeps none under this key"));
    bench.stop().await;
}

/// Whoever may change a connector must not learn its secrets by having them sent elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_secret_goes_nowhere_else() {
    let bench = Bench::owner().await;
    bench.client.put_config(SOURCE, &source()).await.unwrap();
    bench.states(SOURCE, State::Running, &[State::Running]).await;
    let path = format!("/connectors/{SOURCE}/config");
    let before = bench.around.topics.records();
    let mut moved = bench.client.config(SOURCE).await.unwrap().unwrap();
    for (key, value) in [("database.hostname", "evil.example"), ("database.port", "5433")] {
        let kept = moved.insert(key.to_owned(), value.to_owned());
        for (method, body) in [("PUT", json!(moved)), ("PATCH", json!({ key: value }))] {
            let (status, _, refused) = bench.ask(method, &path, Some(&body.to_string())).await;
            let words = refused["message"].as_str().unwrap();
            assert!(status == 400 && words.starts_with("database.password is ****"), "{method} {status} {words}");
            assert!(words.contains(&format!("and {key} changes")) && !words.contains("hunter2"), "{words}");
        }
        match kept {
            Some(kept) => drop(moved.insert(key.to_owned(), kept)),
            None => drop(moved.remove(key)),
        }
    }
    assert_eq!(bench.around.topics.records(), before);
    // Given anew, it may go anywhere.
    let body = json!({ "database.hostname": "other", "database.password": "hunter3" });
    assert_eq!(bench.ask("PATCH", &path, Some(&body.to_string())).await.0, 200);
    assert_eq!(bench.around.topics.registry().get(SOURCE).unwrap().config["database.password"], "hunter3");
    bench.stop().await;
}

/// What holds a configuration can be printed.
#[test]
fn no_secret_in_clear_is_printed() {
    let config = source();
    let task = TaskInfo { id: TaskId { connector: SOURCE.to_owned(), task: 0 }, config: config.clone() };
    let made = NewConnector { name: SOURCE.to_owned(), config: config.clone(), initial_state: None };
    let info = ConnectorInfo {
        name: SOURCE.to_owned(),
        config: config.clone(),
        tasks: Vec::new(),
        kind: ConnectorKind::Source,
    };
    let connector = ConfigRecord::Connector { connector: SOURCE.to_owned(), config: Some(config.clone()) };
    let tasks = ConfigRecord::Task { connector: SOURCE.to_owned(), task: 0, config: config.clone() };
    let mut registry = Registry::default();
    registry.apply(&connector);
    registry.apply(&tasks);
    let waiting = format!("{registry:?}");
    registry.apply(&ConfigRecord::Commit { connector: SOURCE.to_owned(), tasks: 1 });
    let item = FeedItem::Config { offset: 0, record: tasks };
    let typed = SourceConfig::from_map(&config).unwrap();
    for text in [
        format!("{task:?} {made:?} {info:?} {connector:?}"),
        waiting,
        format!("{registry:?}"),
        format!("{item:?}"),
        format!("{typed:?}"),
    ] {
        assert!(text.contains(SOURCE) && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_start_a_new_run() {
    let bench = Bench::owner().await;
    bench.make_sink().await;
    let path = format!("/connectors/{SINK}/restart");
    assert_eq!(bench.ask("POST", &path, None).await.0, 204);
    let before = bench.around.topics.records().len();
    let (status, _, answer) = bench.ask("POST", &format!("{path}?includeTasks=true"), None).await;
    assert_eq!((status, &answer["connector"]["state"]), (202, &json!("RESTARTING")));
    assert_eq!(answer["tasks"][0]["state"], "RESTARTING");
    assert_eq!(bench.around.topics.records().len(), before + 1);
    bench.states(SINK, State::Running, &[State::Running]).await;
    let answer = bench.client.restart_with_tasks(SINK, true).await.unwrap();
    assert_eq!((answer.connector.state, answer.tasks[0].state), (State::Running, State::Running));
    bench.client.restart_task(SINK, 0).await.unwrap();
    bench.states(SINK, State::Running, &[State::Running]).await;
    bench.client.restart(SINK).await.unwrap();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_of_several_tasks_shows_and_restarts_each_of_them() {
    let bench = Bench::owner().await;
    let mut config = sink();
    config.insert("tasks.max".to_owned(), "3".to_owned());
    bench.client.create(&NewConnector { name: SINK.to_owned(), config, initial_state: None }).await.unwrap();
    let running = [State::Running; 3];
    let status = bench.states(SINK, State::Running, &running).await;
    assert_eq!(status.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [0, 1, 2]);
    let (_, _, tasks) = bench.ask("GET", &format!("/connectors/{SINK}/tasks"), None).await;
    assert_eq!(tasks.as_array().unwrap().len(), 3);
    assert_eq!((&tasks[2]["id"]["task"], &tasks[2]["config"]["tasks.max"]), (&json!(2), &json!("3")));
    assert_eq!(tasks[2]["config"]["task.class"], "io.aiven.kafka.connect.s3.S3SinkTask");
    let registered = bench.around.topics.registry().get(SINK).unwrap().clone();
    assert_eq!((registered.tasks.len(), registered.consistent), (3, true));
    assert_eq!(bench.ask("GET", &format!("/connectors/{SINK}/tasks/2/status"), None).await.2["state"], "RUNNING");
    assert_eq!(bench.ask("GET", &format!("/connectors/{SINK}/tasks/3/status"), None).await.0, 404);
    assert_eq!(bench.ask("POST", &format!("/connectors/{SINK}/tasks/3/restart"), None).await.0, 404);
    bench.client.restart_task(SINK, 2).await.unwrap();
    bench.states(SINK, State::Running, &running).await;
    let answer = bench.client.restart_with_tasks(SINK, false).await.unwrap();
    assert_eq!(answer.tasks.iter().map(|task| task.state).collect::<Vec<_>>(), [State::Restarting; 3]);
    bench.states(SINK, State::Running, &running).await;
    // Fewer tasks: what is known of the others goes.
    let path = format!("/connectors/{SINK}/config");
    assert_eq!(bench.ask("PATCH", &path, Some(r#"{"tasks.max": "2"}"#)).await.0, 200);
    bench.states(SINK, State::Running, &running[..2]).await;
    bench.until("the third status goes", async |bench| bench.around.topics.statuses().tasks.len() == 2).await;
    let (status, _, refused) = bench.ask("PATCH", &path, Some(r#"{"tasks.max": "17"}"#)).await;
    let message = refused["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("no whole number from 1 to 16 (tasks)"), "{refused}");
    bench.client.stop(SINK).await.unwrap();
    bench.states(SINK, State::Stopped, &[]).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_from_what_is_there_and_leaves_nothing_running() {
    let bench = Bench::owner().await;
    bench.make_sink().await;
    let standby = bench.standby().await;
    // A worker in standby answers from what was written.
    let written = async |standby: &Bench| {
        let status = standby.client.status(SINK).await.unwrap();
        status.is_some_and(|status| status.tasks.first().is_some_and(|task| task.state == State::Running))
    };
    standby.until("it has read the statuses", written).await;
    assert_eq!(standby.client.connectors().await.unwrap(), [SINK]);
    assert_eq!(standby.client.config(SINK).await.unwrap(), bench.client.config(SINK).await.unwrap());
    let owner = bench.client.status(SINK).await.unwrap().unwrap().connector.worker_id;
    let body = json!({ "level": "DEBUG" }).to_string();
    let refused = [
        (
            "POST",
            "/connectors".to_owned(),
            Some(json!({ "name": "x", "config": sink() }).to_string().replace(SINK, "x")),
        ),
        ("PUT", format!("/connectors/{SINK}/config"), Some(json!(sink()).to_string())),
        ("PATCH", format!("/connectors/{SINK}/config"), Some("{}".to_owned())),
        ("DELETE", format!("/connectors/{SINK}"), None),
        ("PUT", format!("/connectors/{SINK}/pause"), None),
        ("PUT", format!("/connectors/{SINK}/stop"), None),
        ("POST", format!("/connectors/{SINK}/restart?includeTasks=true"), None),
        ("POST", format!("/connectors/{SINK}/tasks/0/restart"), None),
        ("PUT", format!("/connectors/{SINK}/topics/reset"), None),
        ("DELETE", format!("/connectors/{SINK}/offsets"), None),
        ("PUT", "/admin/loggers/root?scope=cluster".to_owned(), Some(body)),
    ];
    // Side by side, as each waits for a while whether the worker takes over.
    join_all(refused.iter().map(async |(method, path, body)| {
        let (status, _, refused) = standby.ask(method, path, body.as_deref()).await;
        let message = refused["message"].as_str().unwrap_or_default();
        assert!(status == 409 && message.contains(&owner), "{method} {path}: {status} {refused}");
    }))
    .await;

    // What is asked of a worker that takes over is done when it has.
    let pause = format!("/connectors/{SINK}/pause");
    let take_over = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        standby.take_over().await;
    };
    let ((status, _, answer), ()) = tokio::join!(standby.ask("PUT", &pause, None), take_over);
    assert_eq!(status, 202, "{answer}");
    standby.states(SINK, State::Paused, &[State::Paused]).await;
    standby.client.resume(SINK).await.unwrap();
    standby.states(SINK, State::Running, &[State::Running]).await;
    let topics = standby.around.topics.clone();
    bench.stop().await;
    standby.stop().await;
    let left = topics.statuses();
    assert_eq!(left.connectors[SINK].state, State::Unassigned);
    assert_eq!(left.tasks[&(SINK.to_owned(), 0)].state, State::Unassigned);
}

/// A JVM worker, or `datapipe-run start`, writes into the topic while the worker runs.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_into_the_topic_is_followed() {
    let bench = Bench::owner().await;
    let topics = bench.around.topics.clone();
    topics.put_config(SINK, &sink()).await.unwrap();
    bench.states(SINK, State::Running, &[State::Running]).await;
    let mut unusable = sink();
    unusable.insert("format.output.type".to_owned(), "avro".to_owned());
    topics.put_config(SINK, &unusable).await.unwrap();
    let failed = bench.states(SINK, State::Failed, &[State::Unassigned]).await;
    assert!(failed.connector.trace.unwrap().contains("format.output.type"), "the key is named");
    let target = ConfigRecord::Target { connector: SINK.to_owned(), state: Some(TargetState::Stopped) };
    topics.write(&[target]).await.unwrap();
    bench.states(SINK, State::Stopped, &[]).await;
    // Statuses of a connector that is no more, left by whoever was killed.
    let stale = topics.status(SINK).unwrap();
    topics.put_status(&StatusChange::Connector { connector: "gone".to_owned(), status: Some(stale) }).await.unwrap();
    let gone = async |bench: &Bench| bench.around.topics.status("gone").is_none();
    bench.until("it is deleted", gone).await;
    bench.stop().await;
}
