//! A machine on which something is missing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: a failure is a panic, figures are printed"
)]

use std::process::Command;

use datapipe_embedded::{Cache, Kafka, KafkaOptions, Progress};

/// Set for the process that plays such a machine.
const BARE: &str = "DATAPIPE_TEST_BARE";

#[tokio::test]
async fn without_java_the_install_command_is_told() {
    if std::env::var_os(BARE).is_some() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache"));
        let started = Kafka::start(folder.path(), KafkaOptions::default(), &cache, &Progress::silent()).await;
        let error = started.unwrap_err();
        println!("\nerror: {error}\nhint: {}", error.hint());
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "without_java_the_install_command_is_told", "--nocapture"])
        .env(BARE, "1")
        .env("PATH", empty.path())
        .env_remove("JAVA_HOME")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("error: Java 17 or later is missing: java did not run"), "{text}");
    assert!(text.contains("hint: install it: ") && text.contains("openjdk"), "{text}");
}
