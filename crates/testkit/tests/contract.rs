//! The ports in memory keep the contracts.

use datapipe_testkit::contract;
use datapipe_testkit::memory::{MemoryLog, MemoryReader, MemoryStore};
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
