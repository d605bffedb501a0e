//! Measures how fast a slot is drained: `drain URL TABLE SLOT PUBLICATION ROWS`. Prints rows per second, and the CPU
//! seconds of this process and of the walsender (read from /proc, so the server must run on this machine).
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use datapipe_core::Secret;
use datapipe_core::change::Event;
use datapipe_core::port::source::ChangeSource;
use datapipe_postgres::{PgConfig, PgSource, SourceSpec};
use tokio_postgres::NoTls;

/// CPU seconds of a process, user and system: fields 14 and 15 of `stat`, in hundredths.
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, table, slot, publication, rows] = &arguments[..] else {
        println!("usage: drain URL TABLE SLOT PUBLICATION ROWS");
        return;
    };
    let rows: usize = rows.parse().unwrap();
    let config = PgConfig::from_url(&Secret::new(url.as_str())).unwrap();
    let mut source = PgSource::new(SourceSpec::new(config, "public", table, slot, publication));
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let from = source.inspect().await.unwrap().slot.unwrap().confirmed;
    source.start(from).await.unwrap();
    let query = "SELECT active_pid::text FROM pg_replication_slots WHERE slot_name = $1";
    let walsender: String = client.query_one(query, &[slot]).await.unwrap().get(0);
    let own_before = cpu_seconds("self");
    let (mut seen, mut calls, mut bytes) = (0, 0, 0);
    let mut events = Vec::new();
    let mut start = Instant::now();
    while seen < rows {
        events.clear();
        source.next(Duration::from_secs(1), &mut events).await.unwrap();
        calls += 1;
        let before = seen;
        for event in &events {
            if let Event::Change(change) = event {
                seen += 1;
                if let datapipe_core::change::Action::Insert(new) = &change.action {
                    bytes += new.size();
                }
            }
        }
        if before == 0 && seen > 0 {
            // What came before was the server's search for the first row.
            start = Instant::now();
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    println!(
        "{:.0} rows/s, {elapsed:.2} s, client {:.2} CPU s, walsender {:.2} CPU s, {} MB of images, {calls} calls",
        f64::from(u32::try_from(seen).unwrap()) / elapsed,
        cpu_seconds("self") - own_before,
        cpu_seconds(&walsender),
        bytes / 1_000_000,
    );
    source.stop().await.unwrap();
}
