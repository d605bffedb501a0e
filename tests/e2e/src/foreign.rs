//! What others do to a topic: its settings altered, and a transaction that is not datapipe's.

use std::collections::HashMap;
use std::time::Duration;

use datapipe_boot::SystemClock;
use datapipe_core::port::clock::Clock as _;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::Result;

const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How old the record of a transaction says that it is.
const AGE_MS: i64 = 600_000;

/// Sets one key of a topic's configuration.
pub async fn alter(bootstrap: &str, topic: &str, key: &str, value: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let entries = HashMap::from([(key, value)]);
    let config = AlterConfig { specifier: ResourceSpecifier::Topic(topic), entries };
    for result in admin.alter_configs([&config], &AdminOptions::new()).await? {
        result.map_err(|(_, code)| format!("topic {topic}: {code}"))?;
    }
    Ok(())
}

/// Another producer's transaction, whose one record is no JSON and says that it is ten minutes old.
pub struct Transaction(BaseProducer);

impl Transaction {
    /// One that is under way.
    pub async fn open(bootstrap: &str, topic: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("transactional.id", "somebody-else");
        let topic = topic.to_owned();
        let open = move || {
            let producer: BaseProducer = config.create()?;
            producer.init_transactions(ANSWER_MAX)?;
            producer.begin_transaction()?;
            let begun_ms = SystemClock.now_us() / 1000 - AGE_MS;
            let record = BaseRecord::<(), str>::to(&topic).payload("no JSON").timestamp(begun_ms).partition(0);
            producer.send(record).map_err(|(error, _)| error)?;
            producer.flush(ANSWER_MAX)?;
            Ok(Self(producer))
        };
        tokio::task::spawn_blocking(open).await?
    }

    /// Commits it.
    pub async fn commit(self) -> Result<()> {
        tokio::task::spawn_blocking(move || Ok(self.0.commit_transaction(ANSWER_MAX)?)).await?
    }

    /// Aborts it.
    pub async fn abort(self) -> Result<()> {
        tokio::task::spawn_blocking(move || Ok(self.0.abort_transaction(ANSWER_MAX)?)).await?
    }
}
