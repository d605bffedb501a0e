//! What all clients share: logging, blocking calls kept off the runtime, and destruction in the background.

use std::ops::Deref;
use std::time::Duration;

use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::error::plain;

/// How long a question to the cluster (metadata, offsets, configurations) may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A client context that sends librdkafka's log lines to `tracing`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Logged {}

/// For producers whose deliveries are known by the end of their transaction.
impl ProducerContext for Logged {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "datapipe_kafka::librdkafka", facility, message);
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(target: "datapipe_kafka::librdkafka", facility, message);
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "datapipe_kafka::librdkafka", facility, message);
        }
    }
}

/// librdkafka calls everything an error that it will itself try again; what matters reaches the caller.
pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    tracing::debug!(target: "datapipe_kafka::librdkafka", %error, reason);
}

/// Runs a blocking call of a client on a thread that may block. If the caller goes away the call still ends.
pub(crate) async fn blocking<T: Send + 'static>(
    attempt: &str,
    call: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => Err(plain(ErrorKind::Retry, attempt, error.to_string())),
    }
}

/// A client that is destroyed on a thread of its own: librdkafka joins its threads and may wait for the network,
/// which must hold up nobody.
pub(crate) struct Background<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Background<T> {
    pub(crate) const fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> Deref for Background<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the client is taken out only when this is dropped")
    }
}

impl<T: Send + 'static> Drop for Background<T> {
    fn drop(&mut self) {
        let Some(client) = self.0.take() else { return };
        // Without a thread to be had the client is destroyed right here.
        let spawned = std::thread::Builder::new().name("kafka-destroy".to_owned()).spawn(move || drop(client));
        if let Err(error) = spawned {
            tracing::debug!(%error, "a client was destroyed in place");
        }
    }
}
