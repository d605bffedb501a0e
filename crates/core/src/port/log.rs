//! The record log between capture and delivery: Kafka, or something with its guarantees.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::PortError;

/// One record to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The topic. The partition is the key's murmur2 hash, as Kafka's Java producer has it.
    pub topic: &'a str,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [Header<'a>],
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a [u8],
}

/// What became of [`TransactionalLog::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The record is part of the open transaction.
    Queued,
    /// The bounded queue has no room: wait for [`TransactionalLog::room`] and send it again.
    Full,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// All of it is in the log, for every reader.
    Yes,
    /// Nothing of it is: the log refuses some records as too large. They are named by their place in the
    /// transaction, from 0 in the order of [`TransactionalLog::send`].
    TooLarge(Vec<usize>),
}

/// The writing side of the log, owned by one capture at a time.
///
/// * **Ownership**: [`TransactionalLog::claim`] fences every earlier owner of the same transactional id: whatever
///   such an owner does afterwards fails with [`super::ErrorKind::Fenced`] and leaves no trace.
/// * **Atomicity**: the records sent between two commits become readable together, or not at all. A transaction
///   opens with its first record.
/// * **Order**: per partition, the order of [`TransactionalLog::send`].
/// * **Ambiguity**: any [`super::ErrorKind::Ambiguous`] or [`super::ErrorKind::Retry`] failure makes the writer
///   unusable until it is claimed again.
/// * **Memory**: unsent records are bounded in bytes; [`Sent::Full`] says so.
#[async_trait]
pub trait TransactionalLog: Send {
    /// Fences earlier owners first, and only then reads the last committed progress record's value, up to the
    /// log's end; waits while an open transaction hides that end. It may be called again after any failure.
    async fn claim(&mut self) -> Result<Option<Bytes>, PortError>;

    /// Reads the last committed records of a topic, as of the end that it has now, into `batch`: of each partition those
    /// of its last `offsets` offsets, bounded in bytes. To be called after a claim, so that nobody writes meanwhile.
    async fn tail(&mut self, topic: &str, offsets: u32, batch: &mut RecordBatch) -> Result<(), PortError>;

    /// Adds a record to the open transaction. Never blocks.
    fn send(&mut self, record: Record<'_>) -> Result<Sent, PortError>;

    /// Waits until a record would be taken again.
    async fn room(&mut self) -> Result<(), PortError>;

    /// Ends the transaction. Returns when it is decided and durable; readers of committed records see it within
    /// milliseconds, and a later claim always does.
    async fn commit(&mut self) -> Result<Committed, PortError>;
}

/// Where records go that cannot be delivered.
///
/// * **Durability**: a call returns when the record is acknowledged by all in-sync replicas.
/// * **Duplicates**: a record may be put again after a crash; its headers say which one it is.
#[async_trait]
pub trait DeadLetterQueue: Send {
    /// Writes one record.
    async fn put(&mut self, record: Record<'_>) -> Result<(), PortError>;
}

/// What the log is, so that an object can tell whose records it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// Kafka's cluster id.
    pub cluster_id: String,
    /// The topic.
    pub topic: String,
    /// Its partitions, from 0.
    pub partitions: i32,
}

/// A group's committed offset: where to go on, and the note that was committed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The next offset to read.
    pub offset: i64,
    /// A text of the committer's (here the key of the last object).
    pub note: String,
}

/// Records read in one go. The bytes of all keys and values lie in one buffer, so that reading allocates nothing
/// once the buffers have grown.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
    headers: (usize, usize),
}

/// One record of a [`RecordBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRecord<'a> {
    /// The partition it lies in.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The log's own timestamp of it, in milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: i64,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, if the reader was asked for them.
    pub headers: ReadHeaders<'a>,
}

/// A record's headers in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadHeaders<'a>(&'a [u8]);

impl<'a> ReadHeaders<'a> {
    /// Adds a header to what [`ReadHeaders::of`] reads. A size of 4 GiB or more, which no log has, is cut.
    pub fn write(name: &str, value: Option<&[u8]>, to: &mut Vec<u8>) {
        let mut part = |part: Option<&[u8]>| {
            let size = part.map_or(u32::MAX, |part| u32::try_from(part.len()).unwrap_or(u32::MAX - 1));
            to.extend_from_slice(&size.to_le_bytes());
            to.extend(part.unwrap_or_default().iter().take(size as usize));
        };
        part(Some(name.as_bytes()));
        part(value);
    }

    /// The headers that were written by [`ReadHeaders::write`].
    pub const fn of(written: &'a [u8]) -> Self {
        Self(written)
    }

    /// Names and values; a value may be none.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        let mut rest = self.0;
        let mut part = move || {
            let (size, after) = rest.split_first_chunk::<4>()?;
            let size = u32::from_le_bytes(*size);
            if size == u32::MAX {
                rest = after;
                return Some(None);
            }
            let (part, after) = after.split_at_checked(size as usize)?;
            rest = after;
            Some(Some(part))
        };
        std::iter::from_fn(move || {
            let name = part()??;
            Some((std::str::from_utf8(name).unwrap_or_default(), part()?))
        })
    }
}

impl RecordBatch {
    /// Forgets the records, keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Adds a record by copying it.
    pub fn push(&mut self, record: ReadRecord<'_>) {
        let mut place = |part: Option<&[u8]>| {
            part.map(|part| {
                let from = self.bytes.len();
                self.bytes.extend_from_slice(part);
                (from, self.bytes.len())
            })
        };
        let key = place(record.key);
        let value = place(record.value);
        let headers = place(Some(record.headers.0)).unwrap_or_default();
        let ReadRecord { partition, offset, timestamp_ms, .. } = record;
        self.entries.push(Entry { partition, offset, timestamp_ms, key, value, headers });
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The size of all keys, values and headers.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The records in the order of reading.
    pub fn iter(&self) -> impl Iterator<Item = ReadRecord<'_>> {
        let part = |place: Option<(usize, usize)>| place.map(|(from, to)| &self.bytes[from..to]);
        self.entries.iter().map(move |entry| ReadRecord {
            partition: entry.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            key: part(entry.key),
            value: part(entry.value),
            headers: ReadHeaders(&self.bytes[entry.headers.0..entry.headers.1]),
        })
    }
}

/// The reading side of the log for one topic: committed records only, partitions assigned by hand.
///
/// * **Order**: per partition, by offset. Control records and aborted records are never seen, so offsets have gaps.
/// * **Duplicates**: none between two seeks.
/// * **Group offsets**: kept under the group's name for tools and lag monitors, and for the next start. Two readers
///   of one group may both commit: the last one wins, so an offset may go back.
/// * **Memory**: what is fetched ahead is bounded in bytes.
#[async_trait]
pub trait LogReader: Send {
    /// Looks at the log.
    async fn identity(&mut self) -> Result<LogIdentity, PortError>;

    /// The group's offset for a partition, if it has one.
    async fn committed(&mut self, partition: i32) -> Result<Option<GroupOffset>, PortError>;

    /// The first offset that is still kept, and the end of the committed part.
    async fn bounds(&mut self, partition: i32) -> Result<(i64, i64), PortError>;

    /// Waits up to `wait` for the first record at or after `offset` and appends it, alone or with some that follow it;
    /// nothing if none came. The partition is not read on from there: seek it before the next poll.
    async fn peek(
        &mut self,
        partition: i32,
        offset: i64,
        wait: Duration,
        batch: &mut RecordBatch,
    ) -> Result<(), PortError>;

    /// Reads the partition from `offset` on. A partition is not read before its first seek; earlier fetches are
    /// dropped.
    async fn seek(&mut self, partition: i32, offset: i64) -> Result<(), PortError>;

    /// Waits up to `wait` for records and appends what there is, bounded in bytes. No record in time is no error.
    async fn poll(&mut self, wait: Duration, batch: &mut RecordBatch) -> Result<(), PortError>;

    /// The next offset that would be read: after [`LogReader::poll`] gave nothing it is past all markers that lie at
    /// the end.
    fn position(&self, partition: i32) -> Option<i64>;

    /// Commits a group offset and a note of at most 1 KiB.
    async fn commit(&mut self, partition: i32, offset: &GroupOffset) -> Result<(), PortError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_headers() {
        let headers = [("a", Some(b"1".as_slice())), ("\u{e9}", None), ("", Some(b""))];
        let mut written = Vec::new();
        for (name, value) in &headers {
            ReadHeaders::write(name, *value, &mut written);
        }
        let mut batch = RecordBatch::default();
        let record = |headers| ReadRecord { partition: 0, offset: 1, timestamp_ms: 2, key: None, value: None, headers };
        batch.push(record(ReadHeaders::of(&written)));
        batch.push(record(ReadHeaders::default()));
        let read: Vec<Vec<_>> = batch.iter().map(|record| record.headers.iter().collect()).collect();
        assert_eq!(read, [headers.to_vec(), Vec::new()]);
    }
}
