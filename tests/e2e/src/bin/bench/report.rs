//! The figures, for people and as JSON.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use datapipe_embedded::Stack;
use serde::Serialize;

use crate::latency::Latency;
use crate::measure::Sample;
use crate::{BenchError, proc};

/// The measurement that the others are compared with.
const REFERENCE: &str = "pg_recvlogical to /dev/null";

/// One run's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: String,
    postgres: u32,
    profile: &'static str,
    rows: u64,
    rate: u32,
    load_before: String,
    load_after: String,
    envelope_bytes: Option<f64>,
    objects: Option<usize>,
    samples: Vec<(String, Vec<Sample>)>,
    /// Rows per second by those of `pg_recvlogical`: the median over the samples of the same turn.
    ratios: BTreeMap<String, f64>,
    idle_mib: BTreeMap<String, f64>,
    latency: Option<Latency>,
    latency_worker_cpu_s: f64,
    latency_worker_peak_mib: f64,
}

impl Report {
    pub(crate) fn new(rows: u64, rate: u32, stack: &Stack) -> Self {
        Self {
            machine: proc::machine(),
            postgres: stack.postgres().major(),
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            rows,
            rate,
            load_before: proc::load(),
            load_after: String::new(),
            envelope_bytes: None,
            objects: None,
            samples: Vec::new(),
            ratios: BTreeMap::new(),
            idle_mib: BTreeMap::new(),
            latency: None,
            latency_worker_cpu_s: 0.0,
            latency_worker_peak_mib: 0.0,
        }
    }

    pub(crate) fn add(&mut self, name: &str, sample: Sample) {
        eprintln!("  {}", line(name, &sample));
        match self.samples.iter_mut().find(|(known, _)| known == name) {
            Some((_, samples)) => samples.push(sample),
            None => self.samples.push((name.to_owned(), vec![sample])),
        }
    }

    pub(crate) fn idle(&mut self, connectors: &str, mib: Option<f64>) {
        let mib = mib.unwrap_or_default();
        eprintln!("idle worker with {connectors}: {mib:.1} MiB");
        self.idle_mib.insert(connectors.to_owned(), mib);
    }

    pub(crate) fn envelope(&mut self, bytes: f64) {
        self.envelope_bytes = Some(bytes);
    }

    pub(crate) fn objects(&mut self, count: usize) {
        self.objects = Some(count);
    }

    pub(crate) fn latency(&mut self, latency: Latency, worker_cpu_s: f64, worker_peak_mib: f64) {
        self.latency = Some(latency);
        self.latency_worker_cpu_s = worker_cpu_s;
        self.latency_worker_peak_mib = worker_peak_mib;
    }

    /// Derives what is derived, at the end of a run.
    pub(crate) fn finish(&mut self) {
        self.load_after = proc::load();
        let Some((_, reference)) = self.samples.iter().find(|(name, _)| name == REFERENCE) else { return };
        for (name, samples) in &self.samples {
            let ratios = samples.iter().zip(reference).map(|(sample, base)| sample.rows_per_s / base.rows_per_s);
            self.ratios.insert(name.clone(), median(ratios.collect()));
        }
    }

    /// Prints the table, and writes the file if one is wanted.
    pub(crate) fn publish(&self, json: Option<&Path>) -> Result<(), BenchError> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.text().as_bytes()).map_err(BenchError::io("printing the figures"))?;
        let Some(path) = json else { return Ok(()) };
        let text = serde_json::to_string_pretty(self).expect("plain fields serialise");
        std::fs::write(path, text + "\n").map_err(BenchError::io(format!("writing {}", path.display())))
    }

    fn text(&self) -> String {
        let mut text = vec![
            String::new(),
            format!("{}, PostgreSQL {}, {} build", self.machine, self.postgres, self.profile),
            format!("load average before {}, after {}", self.load_before, self.load_after),
            format!(
                "{} rows in transactions of ten, {:.0} bytes of envelope",
                self.rows,
                self.envelope_bytes.unwrap_or_default()
            ),
            String::new(),
            format!(
                "{:<30} {:>9} {:>19} {:>6} {:>9} {:>9} {:>9} {:>9}",
                "median of samples", "rows/s", "least..most", "ratio", "client s", "server s", "broker s", "peak MiB"
            ),
        ];
        for (name, samples) in &self.samples {
            let of = |field: fn(&Sample) -> f64| median(samples.iter().map(field).collect());
            let rates: Vec<f64> = samples.iter().map(|sample| sample.rows_per_s).collect();
            let least = rates.iter().copied().fold(f64::MAX, f64::min);
            let most = rates.iter().copied().fold(0.0, f64::max);
            text.push(format!(
                "{name:<30} {:>9.0} {:>19} {:>6.2} {:>9.2} {:>9.2} {:>9.2} {:>9.1}",
                of(|sample| sample.rows_per_s),
                format!("{least:.0}..{most:.0}"),
                self.ratios.get(name).copied().unwrap_or_default(),
                of(|sample| sample.client_cpu_s),
                of(|sample| sample.server_cpu_s),
                of(|sample| sample.broker_cpu_s),
                of(|sample| sample.peak_mib),
            ));
        }
        text.push(
            "CPU seconds per sample; server is the walsender, for COPY and snapshot all of PostgreSQL".to_owned(),
        );
        for (connectors, mib) in &self.idle_mib {
            text.push(format!("idle worker with {connectors}: {mib:.1} MiB"));
        }
        if let Some(latency) = &self.latency {
            text.push(format!(
                "commit -> read-committed consumer at {:.0} of {} transactions/s: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, \
                 longest {:.1} ms ({} changes; worker {:.2} CPU s, peak {:.1} MiB)",
                latency.rate,
                self.rate,
                latency.p50_ms,
                latency.p90_ms,
                latency.p99_ms,
                latency.max_ms,
                latency.changes,
                self.latency_worker_cpu_s,
                self.latency_worker_peak_mib,
            ));
        }
        text.join("\n") + "\n"
    }
}

fn line(name: &str, sample: &Sample) -> String {
    let Sample { rows_per_s, wall_s, client_cpu_s, server_cpu_s, broker_cpu_s, peak_mib } = sample;
    format!(
        "{name:<30} {rows_per_s:>9.0} rows/s, {wall_s:>6.2} s; CPU s: client {client_cpu_s:.2}, server {server_cpu_s:.2}, \
         broker {broker_cpu_s:.2}; peak {peak_mib:.1} MiB"
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
