//! Live progress: redrawn on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use datapipe_boot::memory;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::traffic::{Committed, TABLES};
use super::watch::Arrived;

/// How often the picture changes on a terminal, and how often a line is printed elsewhere.
const REDRAW: Duration = Duration::from_millis(500);
const LINE: Duration = Duration::from_secs(5);

/// Shows how far each table has come.
#[derive(Clone)]
pub(super) struct Show {
    bar: Option<ProgressBar>,
}

impl Show {
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { bar: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar: Some(bar) }
    }

    /// How long to wait between two pictures.
    pub(super) fn pause(&self) -> Duration {
        if self.bar.is_some() { REDRAW } else { LINE }
    }

    /// A message that stays.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// The picture of this moment.
    pub(super) fn picture(&self, elapsed: Duration, committed: &Committed, arrived: &[Arc<Arrived>], worker: &str) {
        let seconds = elapsed.as_secs();
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}\n{seconds} s, {worker}", picture(committed, arrived)));
            return;
        }
        let sum =
            |of: fn(&Arrived) -> &AtomicU64| arrived.iter().map(|one| of(one).load(Ordering::Relaxed)).sum::<u64>();
        let (s3, kafka) = (sum(|one| &one.in_objects), sum(|one| &one.records));
        eprintln!("{seconds:>4} s  committed {}  in Kafka {kafka}  in S3 {s3}  {worker}", committed.sum());
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn picture(committed: &Committed, arrived: &[Arc<Arrived>]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["table", "committed", "in Kafka", "in S3", "objects", "delay to Kafka", "delay to S3"]);
    for (index, name) in TABLES.iter().enumerate() {
        let one = &arrived[index];
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        // What has come furthest is read first, or it might seem to have overtaken the others.
        let (objects, written, records) = (get(&one.objects), get(&one.in_objects), get(&one.records));
        let to_kafka_ms = one.log_delay_ms.load(Ordering::Relaxed);
        let to_s3_s = one.object_delay_ms.load(Ordering::Relaxed) / 1000;
        table.add_row([
            (*name).to_owned(),
            committed.get(index).to_string(),
            records.to_string(),
            written.to_string(),
            objects.to_string(),
            if records > 0 { format!("{to_kafka_ms} ms") } else { "-".to_owned() },
            if objects > 0 { format!("{to_s3_s} s") } else { "-".to_owned() },
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Resident memory of a process, in KiB; 0 if it is gone.
pub(super) fn resident_kib(pid: Option<u32>) -> u64 {
    pid.and_then(memory::of).map_or(0, |memory| memory.resident_bytes / 1024)
}
