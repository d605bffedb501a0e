//! One owner per group, a standby that takes over, and the other protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use datapipe_core::port::ErrorKind;
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_kafka::{Ownership, SESSION_TIMEOUT};

use crate::Bench;

/// `INCONSISTENT_GROUP_PROTOCOL`
const INCONSISTENT: i16 = 23;
/// `MEMBER_ID_REQUIRED` or success: the coordinator has nothing against this protocol.
const ACCEPTED: [i16; 2] = [0, 79];

async fn group(name: &str) -> (Bench, String, String) {
    let bench = Bench::new(name).await;
    let topic = format!("connect-configs-{}", bench.name);
    topics::ensure(&bench.config, &[TopicSpec::compacted(&topic, 1, 1)]).await.unwrap();
    let group = format!("connect-cluster-{}", bench.name);
    (bench, group, topic)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_waits_and_takes_over_at_once_both_ways() {
    let (bench, group, topic) = group("handover").await;
    let mut first = Ownership::join(&bench.config, &group, &topic).unwrap();
    let mut generation = first.acquired().await.unwrap();
    let mut second = Ownership::join(&bench.config, &group, &topic).unwrap();
    // The newcomer does not take over from a living owner.
    assert!(tokio::time::timeout(Duration::from_secs(5), second.acquired()).await.is_err());
    assert!(tokio::time::timeout(Duration::from_millis(1), first.lost()).await.is_err());
    for _ in 0..2 {
        let begun = Instant::now();
        first.leave().await;
        let next = tokio::time::timeout(SESSION_TIMEOUT, second.acquired()).await.unwrap().unwrap();
        println!("taken over in {} ms", begun.elapsed().as_millis());
        assert!(next > generation);
        generation = next;
        first = second;
        second = Ownership::join(&bench.config, &group, &topic).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_the_other_kind_and_ours_refuse_each_other() {
    let (bench, group, topic) = group("protocol").await;
    assert!(ACCEPTED.contains(&join_as_connect(bench.config.bootstrap(), &group)));
    // Its session lasts 10 s; until then the group is of its kind.
    let mut ours = Ownership::join(&bench.config, &group, &topic).unwrap();
    let error = tokio::time::timeout(Duration::from_secs(8), ours.acquired()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.report());
    assert!(error.report().contains("another kind"), "{}", error.report());
    // The refusal is not for ever: when the other one is gone, the next join succeeds.
    drop(ours);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let mut ours = Ownership::join(&bench.config, &group, &topic).unwrap();
    tokio::time::timeout(Duration::from_secs(15), ours.acquired()).await.unwrap().unwrap();
    assert_eq!(join_as_connect(bench.config.bootstrap(), &group), INCONSISTENT);
    ours.leave().await;
}

/// Sends a `JoinGroup` request of version 3 with Kafka Connect's protocol type, and returns the error code.
fn join_as_connect(address: &str, group: &str) -> i16 {
    fn text(to: &mut Vec<u8>, text: &str) {
        to.extend_from_slice(&i16::try_from(text.len()).unwrap().to_be_bytes());
        to.extend_from_slice(text.as_bytes());
    }
    let mut request = Vec::new();
    for number in [11_i16, 3] {
        request.extend_from_slice(&number.to_be_bytes());
    }
    request.extend_from_slice(&1_i32.to_be_bytes());
    text(&mut request, "other");
    text(&mut request, group);
    for timeout_ms in [10_000_i32, 10_000] {
        request.extend_from_slice(&timeout_ms.to_be_bytes());
    }
    text(&mut request, "");
    text(&mut request, "connect");
    request.extend_from_slice(&1_i32.to_be_bytes());
    text(&mut request, "sessioned");
    request.extend_from_slice(&1_i32.to_be_bytes());
    request.push(0);
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    socket.write_all(&request).unwrap();
    let mut head = [0; 14];
    socket.read_exact(&mut head).unwrap();
    // Length, correlation id, throttle time, error code.
    i16::from_be_bytes([head[12], head[13]])
}
