//! Fetched files that are not what they should be.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: a failure is a panic, figures are printed"
)]

use std::fs;
use std::path::Path;

use datapipe_embedded::{Cache, Error, Kafka, KafkaOptions, Progress};

const SET: &str = "kafka-broker-4.3.1";

/// A jar in the cache that is not the pinned one stops the start, with its name and both digests.
#[tokio::test]
async fn an_altered_jar_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir_all(cache.join(SET)).unwrap();
    let manifest = include_str!("../artifacts/kafka-broker-4.3.1.txt");
    let first = manifest.lines().find_map(|line| line.strip_prefix("sha256 ")).unwrap();
    let (digest, jar) = first.split_once(' ').unwrap();
    fs::write(cache.join(SET).join(jar), "altered").unwrap();

    let error = start(&folder.path().join("kafka"), &cache).await;
    assert!(matches!(error, Error::Checksum { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(jar) && message.contains(digest), "{message}");
    assert!(message.contains("got "), "{message}");
    assert!(error.hint().contains(&cache.join(SET).display().to_string()), "{}", error.hint());
}

async fn start(folder: &Path, cache: &Path) -> Error {
    let options = KafkaOptions::default();
    Kafka::start(folder, options, &Cache::at(cache), &Progress::silent()).await.unwrap_err()
}
