//! Measures a comparison: `cargo run --release -p datapipe-reconcile --example speed -- [events]`.
//!
//! Events are of about 500 bytes as Debezium writes them, in objects of 50,000, one third of them updates.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/lake/mod.rs"]
mod lake;

use std::time::Instant;

use lake::{Lake, Listed, scope};

const EVENTS_PER_OBJECT: u64 = 50_000;

fn image(id: u64, version: u64) -> String {
    format!(
        r#"{{"id":{id},"email":"user{id}@example.org","name":"Somebody with a name {version}","balance":"{id}.{version:02}","created_at":"2026-11-23T09:00:00.{id:06}Z","tags":["a","b","c"],"settings":"{{\"theme\": \"dark\", \"size\": {id}}}","note":null}}"#
    )
}

fn line(id: u64, version: u64, lsn: u64) -> String {
    let op = if version == 0 { 'c' } else { 'u' };
    let after = image(id, version);
    format!(
        r#"{{"before":null,"after":{after},"source":{{"version":"3.6.3.Final","connector":"postgresql","name":"cdc","ts_ms":1795395599999,"snapshot":"false","db":"shop","sequence":"[\"{lsn}\",\"{lsn}\"]","ts_us":1795395599999000,"ts_ns":1795395599999000000,"schema":"public","table":"users","txId":{id},"lsn":{lsn},"xmin":null}},"transaction":null,"op":"{op}","ts_ms":1795395600123,"ts_us":1795395600123000,"ts_ns":1795395600123000000}}"#
    )
}

#[tokio::main]
async fn main() {
    let events: u64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let keys = events * 2 / 3;
    let (mut lake, mut next, mut lines, mut plain) = (Lake::default(), 0, Vec::new(), 0);
    for number in 0..events {
        lines.push(line(number % keys, number / keys, 1000 + number));
        plain += lines.last().unwrap().len();
        if lines.len() as u64 == EVENTS_PER_OBJECT || number + 1 == events {
            next = lake.add_lines(0, next, &std::mem::take(&mut lines));
        }
    }
    let rows: Vec<String> = (0..keys).map(|id| image(id, u64::from(id + keys < events))).collect();
    println!("{events} events of {} bytes, {keys} rows; {}", plain as u64 / events, memory());
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let report = datapipe_reconcile::reconcile(&lake, &mut Listed(rows), &scope()).await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{report}");
    let (cpu, count) = (cpu_seconds() - cpu, f64::from(u32::try_from(events).unwrap()));
    println!(
        "{seconds:.2} s, {:.0} events/s; {cpu:.2} s of CPU, {:.0} events per s of it; {}",
        count / seconds,
        count / cpu,
        memory()
    );
    assert!(report.proven());
}

/// CPU time of the process so far, as Linux says, in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.split_whitespace().skip(13).take(2).filter_map(|text| text.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Resident memory now and at its highest, as Linux says.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
