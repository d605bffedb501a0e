//! Which cluster this is.

use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::error::{plain, port_error};

/// The cluster's id, as `GET /` of a Kafka Connect worker shows it.
pub async fn cluster_id(config: &KafkaConfig) -> Result<String, PortError> {
    let config = config.clone();
    blocking("asking for the cluster's id", move || {
        let attempt = || format!("asking {} for the cluster's id", config.bootstrap());
        let client: Background<BaseConsumer<Logged>> = config
            .client()
            .create_with_context(Logged)
            .map(Background::new)
            .map_err(|error: KafkaError| port_error(attempt(), &error))?;
        cluster_id_of(client.client(), &attempt())
    })
    .await
}

/// The same by a client that exists. Blocks.
pub(crate) fn cluster_id_of<C: ClientContext>(client: &Client<C>, attempt: &str) -> Result<String, PortError> {
    client.fetch_cluster_id(REQUEST_TIMEOUT).ok_or_else(|| {
        plain(ErrorKind::Retry, attempt, format!("no broker answered within {} s", REQUEST_TIMEOUT.as_secs()))
            .hint("check that the bootstrap servers are right and that the brokers can be reached")
    })
}
