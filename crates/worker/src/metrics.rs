//! Metrics in Prometheus' text format: one registry per request, filled from what is known at that moment.

use datapipe_core::assignment::Assignment;
use datapipe_core::port::connect::State;
use datapipe_engine::gauges::{CaptureGauges, DeliverGauges};
use prometheus::core::Collector;
use prometheus::{IntGauge, Opts, Registry, TextEncoder};

use crate::adapters::Observation;
use crate::lifecycle::TaskKey;
use crate::tasks::{Gauges, Task};
use crate::worker::{Shown, lock};

const SINCE_FAILURE: &str = "how long ago the last failed run ended";

pub(crate) fn render(shown: &Shown) -> Result<String, prometheus::Error> {
    let page = Page { registry: Registry::new(), table: shown.settings.slug.clone(), task: None };
    let now_us = shown.clock.now_us();
    let observation = lock(&shown.observation).clone();
    page.put("datapipe_worker_owner", "1 if this worker owns the group, 0 in standby", owner(shown))?;
    if let Some(bytes) = shown.adapters.resident_bytes() {
        page.put("datapipe_process_resident_bytes", "resident memory of the process, all tables", signed(bytes))?;
    }
    let tasks: Vec<_> = lock(&shown.tasks).values().cloned().collect();
    for task in tasks {
        let page = page.of_task(&task);
        let since_failure_ms = task.since_failure_ms(now_us);
        let running = i64::from(task.state(now_us).0 == State::Running);
        match &task.gauges {
            Gauges::Capture(gauges) => {
                page.put("datapipe_source_running", "1 if the source task is RUNNING", running)?;
                page.put("datapipe_source_restarts_total", "failed runs", signed(task.restarts.get()))?;
                page.put_some("datapipe_source_since_failure_ms", SINCE_FAILURE, since_failure_ms)?;
                page.capture(gauges, &observation)?;
            }
            Gauges::Deliver(gauges, assignment) => {
                page.put("datapipe_sink_running", "1 if the sink task is RUNNING", running)?;
                page.put("datapipe_sink_restarts_total", "failed runs", signed(task.restarts.get()))?;
                page.put_some("datapipe_sink_since_failure_ms", SINCE_FAILURE, since_failure_ms)?;
                let ends = observation.log_ends.as_deref();
                page.deliver(gauges, ends.map(|ends| end_of(*assignment, ends)), now_us)?;
            }
        }
    }
    TextEncoder::new().encode_to_string(&page.registry.gather())
}

fn owner(shown: &Shown) -> i64 {
    i64::from(lock(&shown.generation).is_some())
}

struct Page {
    registry: Registry,
    table: String,
    /// The connector and the number of the task that is shown.
    task: Option<TaskKey>,
}

/// The sum of the ends of a task's partitions.
fn end_of(assignment: Assignment, ends: &[i64]) -> i64 {
    let own = (0..).zip(ends).filter(|(partition, _)| assignment.place(*partition).is_some());
    own.map(|(_, end)| end).sum()
}

impl Page {
    fn of_task(&self, task: &Task) -> Self {
        let key = (task.connector.clone(), task.number);
        Self { registry: self.registry.clone(), table: self.table.clone(), task: Some(key) }
    }

    fn put(&self, name: &str, help: &str, value: i64) -> Result<(), prometheus::Error> {
        let mut options = Opts::new(name, help).const_label("table", &self.table);
        if let Some((connector, task)) = &self.task {
            options = options.const_label("connector", connector).const_label("task", task.to_string());
        }
        let gauge = IntGauge::with_opts(options)?;
        gauge.set(value);
        let collector: Box<dyn Collector> = Box::new(gauge);
        self.registry.register(collector)
    }

    fn put_some(&self, name: &str, help: &str, value: Option<i64>) -> Result<(), prometheus::Error> {
        value.map_or(Ok(()), |value| self.put(name, help, value))
    }

    fn capture(&self, gauges: &CaptureGauges, seen: &Observation) -> Result<(), prometheus::Error> {
        let rows = signed(gauges.rows.get());
        self.put("datapipe_source_rows_total", "changes and snapshot rows committed to Kafka", rows)?;
        let snapshot_rows = signed(gauges.snapshot_rows.get());
        self.put("datapipe_source_snapshot_rows_total", "snapshot rows read", snapshot_rows)?;
        self.put("datapipe_source_bytes_total", "bytes committed to Kafka", signed(gauges.bytes.get()))?;
        self.put("datapipe_source_commits_total", "Kafka transactions committed", signed(gauges.commits.get()))?;
        self.put("datapipe_source_dead_letters_total", "rows dead-lettered", signed(gauges.dead_letters.get()))?;
        self.put("datapipe_source_snapshot", "1 while a snapshot is read", gauges.in_snapshot.get())?;
        let confirmed = gauges.confirmed_lsn.get();
        self.put("datapipe_source_confirmed_lsn", "confirmed position, in bytes of WAL", confirmed)?;
        self.put("datapipe_source_received_lsn", "received position, in bytes of WAL", gauges.received_lsn.get())?;
        let committed_ms = gauges.committed_at_us.get() / 1000;
        self.put("datapipe_source_committed_timestamp_ms", "time of the last Kafka commit", committed_ms)?;
        let help = "from PostgreSQL's commit to Kafka's, of the last Kafka transaction with rows";
        self.put("datapipe_source_delay_ms", help, gauges.delay_us.get() / 1000)?;
        if let (Some(end), true) = (seen.server_lsn, confirmed > 0) {
            let lag = signed(end).saturating_sub(confirmed).max(0);
            self.put("datapipe_source_lag_bytes", "WAL from the confirmed position to the server's end", lag)?;
        }
        if let Some(retained) = seen.retained_bytes {
            self.put("datapipe_source_retained_wal_bytes", "WAL that the slot holds back", signed(retained))?;
        }
        Ok(())
    }

    fn deliver(&self, gauges: &DeliverGauges, end: Option<i64>, now_us: i64) -> Result<(), prometheus::Error> {
        self.put("datapipe_sink_rows_total", "records in objects", signed(gauges.rows.get()))?;
        self.put("datapipe_sink_objects_total", "objects created", signed(gauges.objects.get()))?;
        self.put("datapipe_sink_bytes_total", "bytes of objects created", signed(gauges.bytes.get()))?;
        let adopted = signed(gauges.adopted.get());
        self.put("datapipe_sink_adopted_total", "objects found written by another delivery", adopted)?;
        self.put("datapipe_sink_skipped_total", "tombstones left out", signed(gauges.skipped.get()))?;
        self.put("datapipe_sink_dead_letters_total", "records dead-lettered", signed(gauges.dead_letters.get()))?;
        self.put("datapipe_sink_unwritten_records", "records read, not in an object yet", gauges.unwritten.get())?;
        let oldest_ms = gauges.unwritten_time_ms.get();
        let age_ms = if oldest_ms == 0 { 0 } else { (now_us / 1000 - oldest_ms).max(0) };
        let help = "age by its timestamp of the oldest record read and not in an object yet";
        self.put("datapipe_sink_oldest_unwritten_ms", help, age_ms)?;
        let next = gauges.next_offset.get();
        self.put("datapipe_sink_next_offset", "where the chain of objects ends", next)?;
        if let Some(end) = end {
            let help = "records and markers from the chain's end to the topic's end";
            self.put("datapipe_sink_lag_records", help, end.saturating_sub(next).max(0))?;
        }
        Ok(())
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use datapipe_core::connector::SinkConfig;

    use super::*;
    use crate::fixtures;

    #[test]
    fn each_task_shows_what_its_own_partitions_lag_behind() {
        let mut config = SinkConfig::from_map(&fixtures::sink("a", "b")).unwrap();
        config.tasks = 2.try_into().unwrap();
        let page = Page { registry: Registry::new(), table: "users".to_owned(), task: None };
        for number in 0..2 {
            let gauges = DeliverGauges::default();
            gauges.next_offset.set(3);
            let end = end_of(config.assignment(number), &[5, 70, 900]);
            page.of_task(&Task::sink(&config, number)).deliver(&gauges, Some(end), 0).unwrap();
        }
        let text = TextEncoder::new().encode_to_string(&page.registry.gather()).unwrap();
        for (task, lag) in [(0, 902), (1, 67)] {
            let line = format!("datapipe_sink_lag_records{{connector=\"a\",table=\"users\",task=\"{task}\"}} {lag}\n");
            assert!(text.contains(&line), "{text}");
        }
    }
}
