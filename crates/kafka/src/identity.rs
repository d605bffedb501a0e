//! Which cluster this is, and where its brokers are.

use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::error::{plain, port_error};

fn client(config: &KafkaConfig) -> Result<Background<BaseConsumer<Logged>>, KafkaError> {
    config.client().create_with_context(Logged).map(Background::new)
}

/// The cluster's id, as `GET /` of a Kafka Connect worker shows it.
pub async fn cluster_id(config: &KafkaConfig) -> Result<String, PortError> {
    let config = config.clone();
    blocking("asking for the cluster's id", move || {
        let attempt = || format!("asking {} for the cluster's id", config.bootstrap());
        let client = client(&config).map_err(|error| port_error(attempt(), &error))?;
        cluster_id_of(client.client(), &attempt())
    })
    .await
}

/// Where the brokers say that they are: host and port of each. That is where clients go, whatever they began with.
/// The question names one topic, there or not: the answer would hold all of them otherwise.
pub async fn brokers(config: &KafkaConfig, topic: &str) -> Result<Vec<(String, u16)>, PortError> {
    let (config, topic) = (config.clone(), topic.to_owned());
    blocking("asking for the brokers", move || {
        let attempt = || format!("asking {} for the brokers", config.bootstrap());
        let client = client(&config).map_err(|error| port_error(attempt(), &error))?;
        let metadata = client.client().fetch_metadata(Some(&topic), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| port_error(attempt(), &error))?;
        let address = |port: i32| u16::try_from(port).unwrap_or(0);
        Ok(metadata.brokers().iter().map(|broker| (broker.host().to_owned(), address(broker.port()))).collect())
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
