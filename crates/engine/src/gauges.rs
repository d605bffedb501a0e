//! What a run has done so far, readable while it goes on. Plain counters: whoever shows them gives them names.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A number that one side sets and others read.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a capture shows of itself.
#[derive(Debug, Default)]
pub struct CaptureGauges {
    /// Changes and snapshot rows committed to the log.
    pub rows: Counter,
    /// Rows of the snapshot among them.
    pub snapshot_rows: Counter,
    /// Bytes of keys and values committed to the log.
    pub bytes: Counter,
    /// Log transactions committed, those without rows included.
    pub commits: Counter,
    /// Rows sent to the dead letter queue.
    pub dead_letters: Counter,
    /// 1 while a snapshot is being read.
    pub in_snapshot: Gauge,
    /// The LSN that PostgreSQL was last told to be durable.
    pub confirmed_lsn: Gauge,
    /// The end of what the server has sent.
    pub received_lsn: Gauge,
    /// When the last log transaction was committed, in microseconds since 1970-01-01 UTC; 0 before the first.
    pub committed_at_us: Gauge,
    /// From the commit in PostgreSQL to the commit in the log, of the last log transaction with rows, in microseconds.
    pub delay_us: Gauge,
}

/// What a delivery shows of itself.
#[derive(Debug, Default)]
pub struct DeliverGauges {
    /// Records written to objects that exist.
    pub rows: Counter,
    /// Objects created.
    pub objects: Counter,
    /// Bytes of those objects.
    pub bytes: Counter,
    /// Objects that another delivery had written first.
    pub adopted: Counter,
    /// Records sent to the dead letter queue.
    pub dead_letters: Counter,
    /// Records left out on purpose (tombstones).
    pub skipped: Counter,
    /// Records read and not yet in an object that exists.
    pub unwritten: Gauge,
    /// When the first record not yet written was read, in microseconds since 1970-01-01 UTC; 0 without one.
    pub unwritten_since_us: Gauge,
    /// The log's timestamp of the oldest record not yet written, in milliseconds since 1970-01-01 UTC; 0 without one.
    pub unwritten_time_ms: Gauge,
    /// When the log last answered a poll, in microseconds since 1970-01-01 UTC; 0 before the first.
    pub polled_at_us: Gauge,
    /// Where the chains end: the sum of the partitions' next offsets.
    pub next_offset: Gauge,
}
