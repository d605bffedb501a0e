//! How a transaction begins and ends, and what each failure means. Everything here blocks.

use std::thread::sleep;
use std::time::{Duration, Instant};

use datapipe_core::port::log::Committed;
use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;

use super::delivery::Failures;
use super::{BATCH_BYTES, Client, ProducerSettings};
use crate::error::{Cause, code_error, is_fenced, plain, port_error};

/// How often the queue is looked at while it drains: a transaction is rarely longer than a few of these.
const DRAIN_STEP: Duration = Duration::from_micros(200);
/// How long an abort may take; after that the producer is thrown away, and the next claim aborts.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one try of an abort waits. Each try empties the queues anew: a batch that the broker refuses because the
/// one before it failed goes back into the queue after it was emptied, and would be waited for in vain.
const ABORT_STEP: Duration = Duration::from_millis(300);

/// Gets the producer's id and epoch, which ends whatever an earlier owner left open.
pub(super) fn initialise(client: &Client, settings: &ProducerSettings) -> Result<(), PortError> {
    let attempt = format!("claiming transactional id {}", settings.transactional_id);
    // The coordinator answers only after it has ended the earlier owner's transaction.
    let deadline = Instant::now() + settings.answer_max * 2;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        match client.init_transactions(left) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(port_error(attempt, &error)),
        }
    }
}

/// Ends the open transaction and begins the next one.
pub(super) fn end(client: &Client, settings: &ProducerSettings) -> Result<Committed, PortError> {
    let attempt = || format!("committing a transaction of {}", settings.transactional_id);
    let deadline = Instant::now() + settings.answer_max;
    drain(client, deadline, &attempt)?;
    if client.context().failed() {
        return abort(client, settings);
    }
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
    match client.commit_transaction(left) {
        Ok(()) => {}
        Err(_) if client.context().failed() => return abort(client, settings),
        Err(error) => return Err(uncommitted(client, settings, &error)),
    }
    client.begin_transaction().map_err(|error| port_error(attempt(), &error))?;
    Ok(Committed::Yes)
}

/// Waits until every record is acknowledged, or one has failed. The binding's own flush would do, but it looks at
/// the queue only every 100 ms.
fn drain(client: &Client, deadline: Instant, attempt: &dyn Fn() -> String) -> Result<(), PortError> {
    while client.in_flight_count() > 0 && !client.context().failed() {
        if Instant::now() >= deadline {
            let cause = "the broker did not acknowledge all records in time; nothing was committed";
            return Err(plain(ErrorKind::Retry, attempt(), cause));
        }
        sleep(DRAIN_STEP);
    }
    Ok(())
}

/// What a failed commit means. Only an abort that the broker has confirmed proves that nothing was committed.
fn uncommitted(client: &Client, settings: &ProducerSettings, error: &KafkaError) -> PortError {
    let attempt = format!("committing a transaction of {}", settings.transactional_id);
    let cause = fatal(client).unwrap_or_else(|| error.clone());
    if cause.rdkafka_error_code().is_some_and(is_fenced) {
        return port_error(attempt, &cause);
    }
    let abortable = matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort());
    if abortable && try_abort(client).is_ok() {
        return PortError::new(ErrorKind::Retry, attempt).because(Cause::of(&cause));
    }
    PortError::new(ErrorKind::Ambiguous, attempt)
        .because(Cause::of(&cause))
        .hint("the worker claims the transactional id again and reads what was committed")
}

/// Aborts a transaction that has failed records, and tells which.
fn abort(client: &Client, settings: &ProducerSettings) -> Result<Committed, PortError> {
    let attempt = format!("aborting a transaction of {}", settings.transactional_id);
    let aborted = try_abort(client);
    let Failures { mut too_large, other } = client.context().take();
    if let Err(error) = aborted {
        return Err(port_error(attempt, &fatal(client).unwrap_or(error)));
    }
    if let Some(code) = other {
        let cause = fatal(client).and_then(|error| error.rdkafka_error_code()).unwrap_or(code);
        return Err(code_error(attempt, cause));
    }
    if too_large.iter().filter(|(_, size)| *size <= BATCH_BYTES).count() > 1 {
        let cause =
            format!("the topic refuses batches of {BATCH_BYTES} bytes, so the record that is too large cannot be told");
        return Err(
            plain(ErrorKind::Refused, attempt, cause).hint("set the topic's max.message.bytes to 1048588 or more")
        );
    }
    client.begin_transaction().map_err(|error| port_error(attempt, &error))?;
    too_large.sort_unstable();
    too_large.dedup();
    Ok(Committed::TooLarge(too_large.into_iter().map(|(ordinal, _)| ordinal).collect()))
}

fn try_abort(client: &Client) -> Result<(), KafkaError> {
    let deadline = Instant::now() + ABORT_TIMEOUT;
    loop {
        match client.abort_transaction(ABORT_STEP) {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            ended => return ended,
        }
    }
}

/// The first fatal error of this client, if there was one: later calls only say that there was.
pub(super) fn fatal(client: &Client) -> Option<KafkaError> {
    let (code, text) = client.client().fatal_error()?;
    tracing::debug!(?code, text, "the producer has failed for good");
    Some(KafkaError::Global(normal(code)))
}

/// Older brokers name the loss of the epoch by either of two codes.
const fn normal(code: RDKafkaErrorCode) -> RDKafkaErrorCode {
    if is_fenced(code) { RDKafkaErrorCode::Fenced } else { code }
}
