//! Keys that the native worker takes note of and leaves alone, because they only tune a JVM.

use std::collections::BTreeSet;

pub(super) struct Known {
    /// Whole keys.
    pub(super) keys: &'static [&'static str],
    /// Beginnings of keys.
    pub(super) prefixes: &'static [&'static str],
}

/// A guess that is further off than this many edits is none.
const EDITS_MAX: usize = 4;

impl Known {
    pub(super) fn is_harmless(&self, key: &str) -> bool {
        self.keys.contains(&key) || self.prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    /// The key that was probably meant: a misspelt one, or one that goes on where this one ends.
    pub(super) fn nearest(&self, key: &str, asked: &BTreeSet<&'static str>) -> Option<&'static str> {
        let known = || asked.iter().chain(self.keys).copied();
        let edits_max = EDITS_MAX.min(key.len() / 3);
        let edits = |candidate| strsim::osa_distance(key, candidate);
        let misspelt =
            known().filter(|candidate| edits(candidate) <= edits_max).min_by_key(|candidate| edits(candidate));
        let extends = |candidate: &&str| candidate.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        misspelt.or_else(|| known().find(extends))
    }
}

/// Debezium's and Connect's keys that have no meaning or no other outcome for the native source: it is exactly-once
/// always, sizes its own batches, and retries by its own rules.
pub(super) const SOURCE: Known = Known {
    keys: &[
        "config.action.reload",
        "database.query.timeout.ms",
        "database.tcpKeepAlive",
        "event.processing.failure.handling.mode",
        "exactly.once.support",
        "header.converter",
        "heartbeat.action.query",
        "include.schema.comments",
        "lsn.flush.timeout.action",
        "lsn.flush.timeout.ms",
        "max.iteration.transactions",
        "max.queue.size",
        "poll.interval.ms",
        "query.fetch.size",
        "retriable.restart.connector.wait.ms",
        "slot.max.retries",
        "slot.retry.delay.ms",
        "snapshot.delay.ms",
        "snapshot.fetch.size",
        "snapshot.lock.timeout.ms",
        "snapshot.locking.mode",
        "snapshot.max.threads",
        "status.update.interval.ms",
        "topic.cache.size",
        "topic.heartbeat.prefix",
        "transaction.boundary",
        "transaction.boundary.interval.ms",
        "xmin.fetch.interval.ms",
    ],
    prefixes: &["errors.log.", "errors.retry.", "producer.override.", "topic.creation.", "connection.validation."],
};

/// The Aiven sink's and Connect's keys that have no meaning or no other outcome for the native sink.
pub(super) const SINK: Known = Known {
    keys: &[
        "aws.s3.backoff.delay.ms",
        "aws.s3.backoff.max.delay.ms",
        "aws.s3.backoff.max.retries",
        "aws.s3.part.size.bytes",
        "config.action.reload",
        "consumer.override.fetch.max.bytes",
        "consumer.override.fetch.max.wait.ms",
        "consumer.override.fetch.min.bytes",
        "consumer.override.max.partition.fetch.bytes",
        "consumer.override.max.poll.interval.ms",
        "consumer.override.max.poll.records",
        "consumer.override.session.timeout.ms",
        "errors.deadletterqueue.context.headers.enable",
        "errors.deadletterqueue.topic.replication.factor",
        "header.converter",
        "kafka.retry.backoff.ms",
    ],
    prefixes: &["errors.log.", "errors.retry."],
};
