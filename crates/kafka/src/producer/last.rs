//! The last records of a topic, bounded in bytes.

use std::collections::VecDeque;

use datapipe_core::port::log::{ReadHeaders, ReadRecord, RecordBatch};
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

/// What is kept at most.
const BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Last {
    records: VecDeque<Kept>,
    size: usize,
}

struct Kept {
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Kept {
    fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

impl Last {
    /// Takes a record, and lets the first ones go if there are too many bytes; one is always kept.
    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>) {
        let kept = Kept {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        };
        self.size += kept.size();
        self.records.push_back(kept);
        while self.size > BYTES_MAX && self.records.len() > 1 {
            let Some(first) = self.records.pop_front() else { break };
            self.size -= first.size();
        }
    }

    pub(super) fn give(self, batch: &mut RecordBatch) {
        for kept in &self.records {
            batch.push(ReadRecord {
                partition: kept.partition,
                offset: kept.offset,
                timestamp_ms: kept.timestamp_ms,
                key: kept.key.as_deref(),
                value: kept.value.as_deref(),
                headers: ReadHeaders::default(),
            });
        }
    }
}
