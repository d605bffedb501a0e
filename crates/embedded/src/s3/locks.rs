//! One lock per object key.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Keys that share a lock by chance merely wait for each other.
const LOCKS: usize = 512;

/// A fixed number of locks, spread over the keys.
#[derive(Debug)]
pub(crate) struct KeyLocks {
    locks: Vec<Arc<RwLock<()>>>,
    hasher: RandomState,
}

impl KeyLocks {
    pub(crate) fn new() -> Self {
        let locks = std::iter::repeat_with(Arc::default).take(LOCKS).collect();
        Self { locks, hasher: RandomState::new() }
    }

    pub(crate) async fn read(&self, bucket: &str, key: &str) -> OwnedRwLockReadGuard<()> {
        self.of(bucket, key).read_owned().await
    }

    pub(crate) async fn write(&self, bucket: &str, key: &str) -> OwnedRwLockWriteGuard<()> {
        self.of(bucket, key).write_owned().await
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    fn of(&self, bucket: &str, key: &str) -> Arc<RwLock<()>> {
        let hash = self.hasher.hash_one((bucket, key)) as usize;
        Arc::clone(&self.locks[hash % LOCKS])
    }
}
