//! The contracts that the ports in memory keep, kept by a real broker.

use datapipe_kafka::KafkaConnectStore;
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_testkit::contract;

use crate::{Bench, KEY};

#[tokio::test(flavor = "multi_thread")]
async fn log() {
    let bench = Bench::new("contract").await;
    let (mut first, mut second, mut reader) = (bench.producer(), bench.producer(), bench.reader());
    let topics = (bench.data.as_str(), bench.offsets.as_str(), KEY);
    contract::log::suite(&mut first, &mut second, &mut reader, topics).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connect() {
    let bench = Bench::new("contract-connect").await;
    let [configs, status] = ["configs", "status"].map(|kind| format!("connect-{kind}-{}", bench.name));
    let specs = [TopicSpec::compacted(&configs, 1, 1), TopicSpec::compacted(&status, 5, 1)];
    topics::ensure(&bench.config, &specs).await.unwrap();
    let store = KafkaConnectStore::new(bench.config.clone(), &configs, &status).unwrap();
    contract::connect::suite(&store, &format!("connect-cluster-{}", bench.name)).await;
}
