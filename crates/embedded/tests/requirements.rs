//! A machine on which something is missing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: a failure is a panic, figures are printed"
)]

use std::process::Command;

use datapipe_embedded::{Cache, PostgresSource, Stack};

/// Set for the process that plays such a machine.
const BARE: &str = "DATAPIPE_TEST_BARE";

/// All that is missing is told at once, before anything is made. Maven is needed only by a first start.
#[tokio::test]
async fn without_java_and_maven_the_install_command_is_told() {
    if let Some(cache) = std::env::var_os(BARE) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("stack");
        let installed = PostgresSource::Installed { major_min: 14 };
        let started = Stack::builder(&root).postgres(installed).cache(Cache::at(cache)).start().await;
        let error = started.unwrap_err();
        assert!(!root.exists(), "something was made");
        println!("\nerror: {error}\nhint: {}", error.hint());
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    let says = |cache: &std::path::Path| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "without_java_and_maven_the_install_command_is_told", "--nocapture"])
            .env(BARE, cache)
            .env("PATH", empty.path())
            .env_remove("JAVA_HOME")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = says(empty.path());
    assert!(text.contains("error: Java 17 or later is missing: java did not run"), "{text}");
    assert!(text.contains("; Maven is missing: `mvn` did not run"), "{text}");
    let command = if cfg!(target_os = "macos") { "openjdk@17 maven" } else { "openjdk-17-jre-headless maven" };
    assert!(text.contains("hint: install it: ") && text.contains(command), "{text}");

    let full = tempfile::tempdir().unwrap();
    std::fs::create_dir(full.path().join("kafka-broker-4.3.1")).unwrap();
    let text = says(full.path());
    assert!(text.contains("Java 17 or later is missing") && !text.contains("Maven"), "{text}");
}
