//! The ports in memory keep the contracts.

use async_trait::async_trait;
use datapipe_core::port::source::ChangeSource;
use datapipe_testkit::contract;
use datapipe_testkit::memory::{MemoryConnectStore, MemoryLog, MemoryReader, MemorySource, MemoryStore};
use datapipe_testkit::sim::{Instance, Shared};
use tokio_util::sync::CancellationToken;

fn instance(shared: &Shared, name: &str) -> Instance {
    shared.instance(name, CancellationToken::new())
}

#[tokio::test(start_paused = true)]
async fn store() {
    for seed in 0..20 {
        let store = MemoryStore::new(&instance(&Shared::new(seed, false), "store"));
        contract::store::suite(&store, "contract/").await;
    }
}

#[tokio::test(start_paused = true)]
async fn log() {
    for seed in 0..20 {
        let shared = Shared::new(seed, false);
        let store = MemoryStore::new(&instance(&shared, "store"));
        let mut reader = MemoryReader::new(&instance(&shared, "reader"), &store);
        let [mut first, mut second] = ["first", "second"].map(|name| MemoryLog::new(&instance(&shared, name)));
        let topics = ("cdc.public.users", "connect-offsets-users", &b"key"[..]);
        contract::log::suite(&mut first, &mut second, &mut reader, topics).await;
    }
}

#[tokio::test(start_paused = true)]
async fn connect() {
    contract::connect::suite(&MemoryConnectStore::default(), "connect-cluster-users").await;
}

struct Server(Shared, u32);

#[async_trait]
impl contract::source::Server for Server {
    async fn insert(&mut self, rows: u32) {
        self.0.with(|world| world.postgres.insert_rows(rows.into()));
    }

    async fn source(&mut self) -> Box<dyn ChangeSource> {
        self.1 += 1;
        let instance = instance(&self.0, &format!("capture{}", self.1));
        Box::new(MemorySource::new(&instance, &MemoryLog::new(&instance)))
    }
}

#[tokio::test(start_paused = true)]
async fn source() {
    for seed in 0..20 {
        contract::source::suite(&mut Server(Shared::new(seed, false), 0)).await;
    }
}
