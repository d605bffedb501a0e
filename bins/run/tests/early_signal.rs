//! A signal that comes before anything has started: the process ends in order.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(target_os = "linux")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take; the servers alone would be waited for longer.
const PATIENCE: Duration = Duration::from_secs(10);

fn start(folder: &Path, format: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_datapipe-run"))
        .args(["start", "--config", "datapipe.toml", "--log-format", format])
        .current_dir(folder)
        .envs([("PGPASSWORD", "x"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Whether the process has a handler for the signal, by the kernel's own account.
fn catches(pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited {} s for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Settings whose servers take connections and never answer.
fn settings(silent: &TcpListener) -> String {
    let address = silent.local_addr().unwrap();
    format!(
        "[postgres]\nurl = \"postgres://cdc@{address}/shop\"\npassword = \"${{env:PGPASSWORD}}\"\n\
         [kafka]\nbootstrap = \"{address}\"\n[s3]\nendpoint = \"http://{address}\"\nbucket = \"lake\"\n"
    )
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

fn ends_well(mut child: Child) -> String {
    until("the end", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}\n{words}", output.status);
    words
}

/// The settings are a pipe that nobody has written to yet, so the signal comes while they are being read.
#[test]
fn a_signal_before_the_settings_are_read_ends_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("datapipe.toml");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut child = start(folder.path(), "text");
        until("the handler", || catches(child.id(), signal));
        send(&child, signal);
        // The handler only takes note of it.
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(child.try_wait().unwrap(), None, "{signal:?} ended it while it was reading");
        fs::write(&pipe, settings(&silent)).unwrap();
        ends_well(child);
    }
}

#[test]
fn a_signal_while_servers_are_looked_at_ends_in_order() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        fs::write(folder.path().join("datapipe.toml"), settings(&silent)).unwrap();
        let child = start(folder.path(), format);
        let connection = silent.accept().unwrap();
        send(&child, Signal::TERM);
        let words = ends_well(child);
        drop(connection);
        assert!(words.contains("stopped before the pipelines were started"), "{words}");
        let json = words.lines().map(serde_json::from_str::<serde_json::Value>);
        let objects = json.filter(|line| line.as_ref().is_ok_and(|line| line["fields"]["message"].is_string())).count();
        assert_eq!(objects, if format == "json" { words.lines().count() } else { 0 }, "{words}");
    }
}
