//! Keys that signals named and no row had got a delete, and no delete came above a row that was there.

use std::collections::BTreeMap;

use datapipe_core::signal::{Ask, Signal};

use super::log::Found;
use super::rereads::{MISSING, Said, asked, changed_since};
use crate::memory::Key;
use crate::sim::world::World;

impl Found {
    /// Checks the deletes of missing rows.
    pub(super) fn check_removals(&self, world: &World, wrong: &mut Vec<String>) {
        let mut named: BTreeMap<Key, usize> = BTreeMap::new();
        for signal in asked(world, MISSING) {
            let mut keys = keys_of(world, signal);
            keys.sort();
            keys.dedup();
            for key in keys {
                *named.entry(key).or_default() += 1;
            }
        }
        for (key, signals) in &named {
            let times = self.removals.iter().filter(|removal| removal.key == *key).count();
            if times > *signals {
                wrong.push(format!("missing row {key:?} was deleted {times} times for {signals} signals"));
            }
        }
        if let Some(other) = self.removals.iter().find(|removal| !named.contains_key(&removal.key)) {
            wrong.push(format!("{other:?} was deleted as missing, and no signal names it"));
        }
        if self.has_letters() {
            return;
        }
        self.check_no_row_is_removed(world, wrong);
        self.check_all_missing_are_removed(world, wrong);
    }

    fn check_no_row_is_removed(&self, world: &World, wrong: &mut Vec<String>) {
        let truncated_elsewhere = world.kafka.settings.partitions > 1 && !self.truncates.is_empty();
        for removal in &self.removals {
            let last = self.by_key.get(&removal.key).and_then(|all| all.last());
            let is_last = last.is_none_or(|last| last.offset < removal.offset);
            if is_last && world.postgres.rows.contains_key(&removal.key) {
                wrong.push(format!("{removal:?} deletes a row that is there, after {last:?}"));
            }
            if let said @ Said::Row(_) = self.said_before(removal)
                && !truncated_elsewhere
            {
                wrong.push(format!("{removal:?} was deleted as missing where the log says {said:?}"));
            }
        }
    }

    /// Of signals that must have been followed, each key that has been missing ever since got its delete.
    fn check_all_missing_are_removed(&self, world: &World, wrong: &mut Vec<String>) {
        let point = world.postgres.points.iter().max().copied().unwrap_or(0);
        for transaction in world.postgres.history.iter().filter(|one| one.commit >= point) {
            for key in transaction.signals.iter().flat_map(|signal| keys_of(world, signal)) {
                let missing = !world.postgres.rows.contains_key(&key);
                let removed = self.removals.iter().any(|removal| removal.key == key);
                if missing && !removed && !changed_since(world, &key, transaction.commit) {
                    wrong.push(format!("missing row {key:?}, named at {}, got no delete", transaction.commit));
                }
            }
        }
    }
}

/// The keys that a signal names.
fn keys_of(world: &World, signal: &Signal) -> Vec<Key> {
    let Ok(Ask::DeleteMissing(keys)) = signal.ask("public.users") else { return Vec::new() };
    let text = |key: BTreeMap<String, String>| key.get("id").cloned().unwrap_or_default();
    keys.into_iter().map(|key| world.postgres.key_of(&datapipe_core::port::source::KeyBound(vec![text(key)]))).collect()
}
