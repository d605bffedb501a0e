//! A steady load on all tables, and how late each of its changes is readable.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use datapipe_boot::SystemClock;
use datapipe_core::port::clock::Clock as _;
use datapipe_e2e::latency::{Sample, at_percent, sorted_ms};

use crate::bed::{Bed, NAMESPACE, TABLES, until};

/// Transactions per second and table, of one row each.
const RATE: &str = "50";
/// The stream of the bare receiver's samples.
pub(crate) const BARE: &str = "bare";

/// From when to when, in microseconds since 1970.
pub(crate) type Window = (i64, i64);

pub(crate) fn now_us() -> i64 {
    SystemClock.now_us()
}

#[expect(clippy::cast_precision_loss, reason = "microseconds are far below 2^52")]
pub(crate) fn seconds(from_us: i64, to_us: i64) -> f64 {
    (to_us - from_us) as f64 / 1e6
}

/// The load, which a pod beside the pipelines runs.
pub(crate) struct Flow {
    child: Child,
    input: Option<ChildStdin>,
    samples: Arc<Mutex<BTreeMap<String, Vec<Sample>>>>,
}

impl Drop for Flow {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.input = None;
        let _ = self.child.wait();
    }
}

impl Flow {
    /// `more`: `--without TABLE`, `--bare`.
    pub(crate) fn begin(bed: &Bed, more: &[&str]) -> Self {
        let words = ["exec", "-i", "-n", NAMESPACE, "pod/tool", "-c", "bed", "--", "bed", "flow", "--rate", RATE];
        let mut command = bed.kubectl_command();
        command.args(words).args(more).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let samples = Arc::<Mutex<BTreeMap<String, Vec<Sample>>>>::default();
        let (seen, output) = (Arc::clone(&samples), child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let words: Vec<&str> = line.split(' ').collect();
                if let [stream, committed_us, read_us] = words[..] {
                    let sample =
                        Sample { committed_us: committed_us.parse().unwrap(), read_us: read_us.parse().unwrap() };
                    seen.lock().unwrap().entry(stream.to_owned()).or_default().push(sample);
                }
            }
        });
        Self { input: child.stdin.take(), child, samples }
    }

    /// Ends it; it must have been well up to here.
    pub(crate) fn end(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success(), "the load has failed");
    }

    fn of<T>(&self, stream: &str, look: impl Fn(&[Sample]) -> T) -> T {
        let samples = self.samples.lock().unwrap();
        look(samples.get(stream).map_or(&[], Vec::as_slice))
    }

    /// Waits until changes of each stream are readable that were committed at that moment or later.
    pub(crate) fn reach(&self, streams: &[&str], us: i64, limit_s: u64) {
        let reached = |stream: &&str| self.of(stream, |all| all.last().is_some_and(|last| last.committed_us >= us));
        let wait = || streams.iter().all(reached);
        until(&format!("changes of {streams:?}"), limit_s, wait);
    }

    /// Waits until a table's changes are readable within `late_ms` again.
    pub(crate) fn is_well(&self, table: &str, late_ms: f64, limit_s: u64) {
        let well = || {
            self.of(table, |all| {
                all.last().is_some_and(|last| last.latency_ms() <= late_ms && now_us() - last.committed_us < 2_000_000)
            })
        };
        until(&format!("{table} to have caught up"), limit_s, well);
    }

    /// When the first change was readable that was committed at that moment or later.
    pub(crate) fn first_read_us(&self, table: &str, us: i64) -> i64 {
        self.of(table, |all| all[all.partition_point(|sample| sample.committed_us < us)].read_us)
    }

    /// The longest time without any change of a table, in seconds, in a window.
    pub(crate) fn silence_s(&self, table: &str, (from_us, to_us): Window) -> f64 {
        self.of(table, |all| {
            let reads = all.iter().map(|sample| sample.read_us).filter(|read| (from_us..to_us).contains(read));
            let (mut last, mut longest) = (from_us, 0);
            for read in reads.chain([to_us]) {
                longest = longest.max(read - last);
                last = read;
            }
            seconds(0, longest)
        })
    }

    /// The latencies of what was committed in windows, the shortest first.
    pub(crate) fn latencies_ms(&self, streams: &[&str], windows: &[Window]) -> Vec<f64> {
        let samples = self.samples.lock().unwrap();
        let of_streams = streams.iter().filter_map(|stream| samples.get(*stream)).flatten().copied();
        sorted_ms(
            of_streams.filter(|sample| {
                windows.iter().any(|(from_us, to_us)| (*from_us..*to_us).contains(&sample.committed_us))
            }),
        )
    }

    /// What 99 of 100 changes do not exceed.
    pub(crate) fn p99_ms(&self, streams: &[&str], windows: &[Window]) -> f64 {
        at_percent(&self.latencies_ms(streams, windows), 99)
    }

    /// A window in which nothing is done.
    pub(crate) fn quiet(&self, streams: &[&str], span: Duration) -> Window {
        let from_us = now_us();
        thread::sleep(span);
        let to_us = now_us();
        self.reach(streams, to_us, 30);
        (from_us, to_us)
    }
}

/// The tables beside one.
pub(crate) fn beside(hurt: &str) -> [&'static str; 3] {
    let others: Vec<&str> = TABLES.iter().map(|(table, _)| *table).filter(|table| *table != hurt).collect();
    others.try_into().unwrap()
}
