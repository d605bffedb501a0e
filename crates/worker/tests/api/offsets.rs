//! Offsets: seen always, changed while stopped, and checked.

use datapipe_core::port::connect::{OffsetStore, State};
use serde_json::json;

use crate::bench::{Bench, SINK, SOURCE, source};

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_s_offsets_are_its_group_s() {
    let bench = Bench::owner().await;
    bench.make_sink().await;
    let path = format!("/connectors/{SINK}/offsets");
    let at = |partition: i32, offset: serde_json::Value| {
        json!({ "offsets": [{ "partition": { "kafka_topic": "cdc.public.users", "kafka_partition": partition },
                              "offset": offset }] })
    };
    let body = at(0, json!({ "kafka_offset": 42 })).to_string();
    let (status, _, refused) = bench.ask("PATCH", &path, Some(&body)).await;
    assert_eq!(status, 400);
    assert!(refused["message"].as_str().unwrap().starts_with("Connectors must be in the STOPPED state"), "{refused}");
    assert_eq!(bench.ask("DELETE", &path, None).await.0, 400);
    assert_eq!(bench.ask("GET", &path, None).await.2, json!({ "offsets": [] }));

    bench.client.stop(SINK).await.unwrap();
    let (status, _, answer) = bench.ask("PATCH", &path, Some(&body)).await;
    let message = answer["message"].as_str().unwrap();
    assert!(status == 200 && message.contains("offsets for this connector have been altered successfully."));
    assert!(message.contains("one beyond it is refused when the task starts"), "{message}");
    assert_eq!(bench.ask("GET", &path, None).await.2, at(0, json!({ "kafka_offset": 42 })));
    let held = bench.around.topics.group_offsets("connect-s3-sink-users-connector", "cdc.public.users").await.unwrap();
    assert_eq!(held[0].offset, Some(42));
    for (body, words) in [
        (at(1, json!(null)), "topic cdc.public.users has partitions 0 to 0"),
        (at(0, json!({ "lsn": 1 })), "The offset for a sink connector should either be null"),
        (json!({}), "Partitions / offsets need to be provided"),
        (json!({ "offsets": [] }), "Partitions / offsets need to be provided"),
        (json!({ "offsets": [{ "partition": { "server": "cdc" }, "offset": null }] }), "The partition for a sink"),
    ] {
        let (status, _, refused) = bench.ask("PATCH", &path, Some(&body.to_string())).await;
        let message = refused["message"].as_str().unwrap();
        assert!(status == 400 && message.starts_with(words), "{status} {message}");
    }
    assert_eq!(bench.ask("DELETE", &path, None).await.0, 200);
    assert_eq!(bench.ask("GET", &path, None).await.2, json!({ "offsets": [] }));
    assert_eq!(bench.ask("GET", "/connectors/none/offsets", None).await.0, 404);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_s_offsets_are_typed_and_its_own() {
    let bench = Bench::owner().await;
    bench.client.put_config(SOURCE, &source()).await.unwrap();
    bench.states(SOURCE, State::Running, &[State::Running]).await;
    bench.client.stop(SOURCE).await.unwrap();
    let path = format!("/connectors/{SOURCE}/offsets");
    let at = |server: &str, offset: serde_json::Value| json!({ "offsets": [{ "partition": { "server": server }, "offset": offset }] });
    let body = at("cdc", json!({ "lsn": 50_735_096, "lsn_proc": 50_735_096, "txId": 1308 }));
    let (status, _, answer) = bench.ask("PATCH", &path, Some(&body.to_string())).await;
    assert!(status == 200 && answer["message"].as_str().unwrap().contains("altered successfully"), "{answer}");
    assert_eq!(bench.ask("GET", &path, None).await.2, body);
    for (body, words) in [
        (at("other", json!({ "lsn": 1 })), "the partition of this connector is"),
        (at("cdc", json!({ "lsn": "1" })), "lsn is \"1\""),
        (at("cdc", json!({ "position": 1 })), "\"position\" is no field"),
    ] {
        let (status, _, refused) = bench.ask("PATCH", &path, Some(&body.to_string())).await;
        let message = refused["message"].as_str().unwrap();
        assert!(status == 400 && message.starts_with(words), "{status} {message}");
    }
    assert_eq!(bench.ask("GET", &path, None).await.2, body, "what is refused changes nothing");
    for _ in 0..2 {
        let (status, _, answer) = bench.ask("DELETE", &path, None).await;
        let message = answer["message"].as_str().unwrap();
        assert!(status == 200 && message.contains("offsets for this connector have been reset successfully"));
    }
    assert_eq!(bench.ask("GET", &path, None).await.2, json!({ "offsets": [] }));
    bench.stop().await;
}
