//! What values may be, whether a person typed them or a declaration set them.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Problem, pipeline};
use crate::connector::SinkConfig;
use crate::settings::{ByteSize, Role, Settings, Span};
use crate::table::{Sink, Source, Topic, Worker};

pub(super) struct Bounds<'a> {
    /// What precedes the keys: `tables.NAME.`, or nothing for the sections of all tables.
    scope: String,
    problems: &'a mut Vec<Problem>,
}

/// Checks the sections that hold for all tables, so that one wrong value there is one problem.
pub(super) fn sections(settings: &Settings, problems: &mut Vec<Problem>) {
    let mut bounds = Bounds { scope: String::new(), problems };
    bounds.source(&pipeline::override_source(Source::default(), &settings.source));
    bounds.topic(&pipeline::override_topic(Topic::default(), settings.topic.partitions, settings.topic.retention));
    let sink = pipeline::override_sink(Sink::default(), &settings.sink);
    let worker = pipeline::override_worker(Worker::default(), &settings.worker);
    bounds.sink(&sink);
    bounds.worker(&worker);
}

/// True if `problem` is what a table inherits from a section that is among `told` already.
pub(super) fn inherited(problem: &Problem, told: &[Problem]) -> bool {
    let key = problem.object.strip_prefix("tables.").and_then(|rest| rest.split_once('.')).map(|(_, key)| key);
    key.is_some_and(|key| told.iter().any(|section| section.object == key && section.what == problem.what))
}

impl<'a> Bounds<'a> {
    pub(super) fn of_table(table: &str, problems: &'a mut Vec<Problem>) -> Self {
        Self { scope: format!("tables.{table}."), problems }
    }

    fn check<T: Copy + PartialOrd + Display>(&mut self, key: &str, value: T, bounds: &RangeInclusive<T>) {
        if !bounds.contains(&value) {
            let fix = format!("set a value from {} to {}", bounds.start(), bounds.end());
            self.report(key, format!("{value} is out of bounds"), fix);
        }
    }

    fn report(&mut self, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.problems.push(Problem::new(format!("{}{key}", self.scope), what, fix));
    }

    pub(super) fn port(&mut self, port: u16) {
        self.check("port", port, &(1024..=u16::MAX));
    }

    pub(super) fn source(&mut self, source: &Source) {
        let heartbeats = Span(Duration::from_millis(100))..=Span(Duration::from_secs(3600));
        self.check("source.heartbeat", Span(source.heartbeat), &heartbeats);
        self.check("source.batch_rows", source.batch_rows_max, &(1..=1_000_000));
        self.check("source.queue_bytes", ByteSize(source.queue_bytes_max), &(ByteSize(1 << 20)..=ByteSize(1 << 30)));
    }

    pub(super) fn topic(&mut self, topic: &Topic) {
        let retentions = Span(Duration::from_secs(3600))..=Span(Duration::from_secs(3650 * 86_400));
        self.check("topic.partitions", topic.partitions, &(1..=10_000));
        self.check("topic.retention", Span(topic.retention), &retentions);
    }

    pub(super) fn sink(&mut self, sink: &Sink) {
        self.check("sink.rows", sink.rows_max, &(1..=u64::from(i32::MAX.unsigned_abs())));
        self.check("sink.bytes", ByteSize(sink.bytes_max), &(ByteSize(1 << 10)..=ByteSize(5 << 30)));
        self.check("sink.tasks", sink.tasks, &(1..=SinkConfig::TASKS_MAX));
        let ages = Span(Duration::from_millis(100))..=Span(Duration::from_secs(86_400));
        self.check("sink.age", Span(sink.age_max), &ages);
    }

    pub(super) fn worker(&mut self, worker: &Worker) {
        let memory = ByteSize(u64::from(worker.memory_mib) << 20);
        self.check("worker.memory", memory, &(ByteSize(16 << 20)..=ByteSize(1 << 40)));
        if worker.jvm_url.as_ref().is_some_and(|url| !url.starts_with("http://")) {
            let fix = "give it as \"http://127.0.0.1:18083\": the JVM worker answers on loopback, without TLS";
            self.report("worker.jvm_url", "is no address of http", fix);
        }
    }

    pub(super) fn roles(&mut self, roles: &[Role]) {
        if roles.is_empty() {
            self.report("connectors", "is empty, so nothing would run", "name \"source\", \"sink\" or both");
        }
    }

    pub(super) fn key(&mut self, key: &[String]) {
        if key.is_empty() || key.iter().any(String::is_empty) {
            let fix = "declare the primary key's columns: Table::new(..).with_key([..])";
            self.report("key", "the declaration names no key, and rows could not be told apart", fix);
        }
    }
}
