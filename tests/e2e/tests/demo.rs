//! `datapipe-run demo` as a stranger runs it: to its end, interrupted, killed, and where something is in the way.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a demo of a few seconds may take on a crowded machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A demo in a temporary folder of its own.
struct Demo {
    child: Child,
    words: PathBuf,
}

impl Demo {
    fn start(folder: &Path, port: u16, arguments: &[&str]) -> Self {
        let words = folder.join("words.log");
        let child = Command::new(datapipe_e2e::process::program().unwrap())
            .args(["demo", "--rows", "4000", "--rate", "500", "--port", &port.to_string()])
            .args(arguments)
            .env("TMPDIR", folder)
            // Another one's settings must not reach the demo's worker.
            .env("DATAPIPE_POSTGRES__URL", "postgres://nobody@127.0.0.1:1/nothing")
            .stdin(Stdio::null())
            .stderr(File::create(&words).unwrap())
            .spawn()
            .unwrap();
        Self { child, words }
    }

    fn words(&self) -> String {
        fs::read_to_string(&self.words).unwrap()
    }

    fn says(&self, part: &str) {
        until(&format!("the demo to say {part:?}:\n{}", self.words()), || self.words().contains(part));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Its exit code and words.
    fn ends(mut self) -> (Option<i32>, String) {
        until("the demo's end", || self.child.try_wait().unwrap().is_some());
        (self.child.wait().unwrap().code(), self.words())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited {} s for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("datapipe-demo-test-").tempdir().unwrap()
}

/// The first of four free ports in a row, below those that servers of other tests get and those that outgoing connections
/// take.
fn port() -> u16 {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let free = (10_000..20_000).step_by(4).find(|first| (*first..first + 4).all(is_free));
    free.expect("there are four free ports")
}

/// What the demo makes, and what is left of it.
fn data(folder: &Path) -> PathBuf {
    folder.join(format!("datapipe-demo-{}", rustix::process::getuid().as_raw()))
}

/// Processes that were started with something in this folder.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let of = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(of);
    let lines = lines.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    lines.filter(|line| line.contains(&folder)).collect()
}

/// The last counts that were shown: committed, in Kafka, in S3.
fn counts(words: &str) -> [u64; 3] {
    let line = words.lines().rfind(|line| line.contains("  committed ")).unwrap();
    ["committed ", "in Kafka ", "in S3 "].map(|name| {
        let (_, rest) = line.split_once(name).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    })
}

#[test]
fn a_killed_demo_leaves_nothing_running_and_the_next_one_proves_its_rows() {
    let (folder, port) = (folder(), port());
    let demo = Demo::start(folder.path(), port, &["--for", "60s"]);
    demo.says("traffic: about 500 rows/s");
    assert!(processes(folder.path()).len() >= 3, "worker, PostgreSQL and Kafka run");
    demo.signal(Signal::KILL);
    let killed = Instant::now();
    assert_eq!(demo.ends().0, None);
    until("the servers' and the worker's end", || processes(folder.path()).is_empty());
    println!("nothing runs {:.1} s after the kill", killed.elapsed().as_secs_f64());
    assert!(data(folder.path()).exists(), "its data is still there");

    let (code, words) = Demo::start(folder.path(), port, &["--for", "6s"]).ends();
    println!("{words}");
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("kill -9 ") && words.contains("rows flow again "), "{words}");
    assert!(words.contains("lost 0, doubled 0, differing 0 of "), "{words}");
    let [committed, in_kafka, in_s3] = counts(&words);
    assert!(committed > 4000 && committed == in_kafka && in_kafka == in_s3, "{words}");
    assert!(words.contains("everything is stopped and thrown away"), "{words}");
    assert!(!data(folder.path()).exists());
    assert_eq!(processes(folder.path()), [""; 0]);
}

/// With real JVM workers, all killed at once. What Debezium sends again is no failure, and the native sink doubles nothing
/// of its own.
#[test]
fn the_reference_and_the_hybrid_are_proven_alike() {
    for (kind, memory) in [("kafka-connect", "; largest JVM "), ("hybrid", " MiB, native process ")] {
        let folder = folder();
        let (code, words) = Demo::start(folder.path(), port(), &["--for", "6s", "--worker", kind]).ends();
        println!("{words}");
        assert_eq!(code, Some(0), "{words}");
        assert!(words.contains(" of the JVMs (") && words.contains("rows flow again "), "{words}");
        assert!(words.contains("lost 0, doubled ") && words.contains(", differing 0 of ") && words.contains(memory));
        assert_eq!(words.contains("--plugin-path FOLDER"), kind == "kafka-connect", "{words}");
        let [committed, in_kafka, in_s3] = counts(&words);
        assert!(committed > 4000 && in_kafka >= committed, "{words}");
        assert_eq!(in_s3, if kind == "hybrid" { in_kafka } else { 0 }, "{words}");
        assert_eq!(processes(folder.path()), [""; 0]);
        assert!(!data(folder.path()).exists());
    }
}

#[test]
fn an_interrupted_demo_stops_and_throws_away() {
    for (said, signal) in [("S3 ready", Signal::INT), ("traffic: about", Signal::TERM)] {
        let folder = folder();
        let demo = Demo::start(folder.path(), port(), &[]);
        demo.says(said);
        demo.signal(signal);
        let (code, words) = demo.ends();
        assert_eq!(code, Some(130), "{words}");
        assert!(words.ends_with("everything is stopped and thrown away\n"), "{words}");
        assert_eq!(processes(folder.path()), [""; 0]);
        assert!(!data(folder.path()).exists(), "{words}");
    }
}

#[test]
fn a_taken_port_and_a_used_folder_are_told_before_anything_is_made() {
    let (folder, port) = (folder(), port());
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port + 2)).unwrap();
    let (code, words) = Demo::start(folder.path(), port, &[]).ends();
    assert_eq!(code, Some(69), "{words}");
    let expected = format!("error: port {} of this machine, where table orders is to answer, is taken", port + 2);
    assert!(words.starts_with(&expected) && words.contains("--port"), "{words}");
    drop(taken);

    let used = folder.path().join("used");
    fs::create_dir(&used).unwrap();
    fs::write(used.join("worker.log"), "").unwrap();
    let (code, words) = Demo::start(folder.path(), port, &["--dir", used.to_str().unwrap()]).ends();
    assert_eq!(code, Some(69), "{words}");
    assert!(words.contains("holds an earlier demo"), "{words}");
    assert_eq!(fs::read_dir(&used).unwrap().count(), 1);
    assert!(!data(folder.path()).exists());
}
