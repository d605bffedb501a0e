//! Delivery reports: only failures are reported, each with the record's place in its transaction.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use crate::client::{log_error, log_line};

/// The most refused records that one transaction names; the rest is found when it is sent again.
const NAMED_MAX: usize = 10_000;

/// What went wrong in the open transaction.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Records that are too large: the place in the transaction, and the size in bytes.
    pub(super) too_large: Vec<(usize, usize)>,
    /// The first failure of another kind.
    pub(super) other: Option<RDKafkaErrorCode>,
}

/// Collects failures from librdkafka's thread.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    failed: AtomicBool,
    failures: Mutex<Failures>,
}

impl Deliveries {
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn too_large(&self, ordinal: usize, size: usize) {
        self.record(|failures| {
            if failures.too_large.len() < NAMED_MAX {
                failures.too_large.push((ordinal, size));
            }
        });
    }

    /// Takes what there is and starts anew, for the next transaction.
    pub(super) fn take(&self) -> Failures {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.failed.store(false, Ordering::Release);
        std::mem::take(&mut failures)
    }

    fn record(&self, write: impl FnOnce(&mut Failures)) {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        write(&mut failures);
        self.failed.store(true, Ordering::Release);
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ordinal: usize) {
        let Err((error, message)) = result else { return };
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                self.too_large(ordinal, message.key().map_or(0, <[u8]>::len) + message.payload_len());
            }
            // Thrown out of the queues by an abort that was under way already.
            Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => {}
            code => self.record(|failures| {
                failures.other.get_or_insert(code.unwrap_or(RDKafkaErrorCode::Unknown));
            }),
        }
    }
}
