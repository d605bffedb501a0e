//! Rows that were read again for signals say what the log says of them at that place, and all of them were read.

use std::collections::BTreeMap;

use datapipe_core::signal::Signal;

use super::log::Found;
use crate::memory::Key;
use crate::sim::world::World;

/// A row of an incremental snapshot, or one that it found missing, as it was reported.
#[derive(Clone, Debug)]
pub(super) struct Reread {
    pub(super) partition: usize,
    pub(super) offset: i64,
    pub(super) key: Key,
    pub(super) version: Option<u64>,
}

impl Found {
    /// Checks the rows that were read again. With `snapshot` all rows were read at first, too.
    pub(super) fn check_rereads(&self, world: &World, snapshot: bool, wrong: &mut Vec<String>) {
        let table = &world.postgres;
        let signals = asked(world, "incremental").count();
        let mut times: BTreeMap<&Key, usize> = BTreeMap::new();
        for row in &self.rereads {
            *times.entry(&row.key).or_default() += 1;
        }
        for (key, times) in &times {
            if *times > signals {
                wrong.push(format!("row {key:?} was read again {times} times for {signals} signals"));
            }
        }
        let truncated_elsewhere = world.kafka.settings.partitions > 1 && !self.truncates.is_empty();
        if self.has_letters() || truncated_elsewhere {
            return;
        }
        for row in &self.rereads {
            match self.said_before(row) {
                Said::Row(version) if version == row.version => {}
                Said::Nothing if !snapshot => {}
                said => wrong.push(format!("{row:?} was read again where the log says {said:?}")),
            }
        }
        let Some(signal) = last_signal(world) else { return };
        for (key, row) in &table.rows {
            let last = self.by_key.get(key).and_then(|all| all.last());
            // What was read at first does not tell whether it was read again.
            let counts = !snapshot || changed_since(world, key, signal);
            let told = last.is_some_and(|last| counts && last.version == Some(row.version));
            let read = self.rereads.iter().any(|read| read.key == *key && read.version == Some(row.version));
            if !told && !read {
                wrong.push(format!("row {key:?} was not read again: it is {}, and {last:?} was told", row.version));
            }
        }
    }

    /// What the log says of a row before a place.
    pub(super) fn said_before(&self, row: &Reread) -> Said {
        let before = |offset: i64| offset < row.offset;
        let reported = self.by_key.get(&row.key).into_iter().flatten();
        let last = reported.rev().find(|one| one.partition == row.partition && before(one.offset));
        let truncated = self.truncates.iter().filter(|one| before(one.offset)).map(|one| one.offset).max();
        match (last, truncated) {
            (Some(last), truncated) if truncated.is_none_or(|truncated| truncated < last.offset) => {
                if last.op == "d" {
                    Said::Gone
                } else {
                    Said::Row(last.version)
                }
            }
            (_, Some(_)) => Said::Gone,
            _ => Said::Nothing,
        }
    }
}

/// What a log says of a row.
#[derive(Debug)]
pub(super) enum Said {
    Nothing,
    Gone,
    Row(Option<u64>),
}

/// Where the first signal was committed that must have been followed: after the last point at which all rows were read.
fn last_signal(world: &World) -> Option<u64> {
    let point = world.postgres.points.iter().max().copied().unwrap_or(0);
    commits(world, "incremental").find(|commit| *commit >= point)
}

/// The snapshots of a kind that were asked for.
pub(super) fn asked<'a>(world: &'a World, kind: &'a str) -> impl Iterator<Item = &'a Signal> {
    let of_table = world.postgres.history.iter().flat_map(|one| &one.signals);
    of_table.chain(&world.channel).filter(move |signal| is_of(signal, kind))
}

/// Where those were committed that were asked for through the table.
pub(super) fn commits<'a>(world: &'a World, kind: &'a str) -> impl Iterator<Item = u64> {
    let signalled = world.postgres.history.iter();
    let signalled = signalled.filter(move |one| one.signals.iter().any(|signal| is_of(signal, kind)));
    signalled.map(|one| one.commit)
}

/// The kind of a signal that names keys, as [`asked`] takes it.
pub(super) const MISSING: &str = "delete-if-missing";

fn is_of(signal: &Signal, kind: &str) -> bool {
    signal.data.as_ref().is_some_and(|data| data.contains(kind) && (kind == MISSING || !data.contains(MISSING)))
}

/// Whether a row was changed after the signal, so that it need not be read again.
pub(super) fn changed_since(world: &World, key: &Key, signal: u64) -> bool {
    let after = world.postgres.history.iter().filter(|one| one.commit >= signal);
    after.flat_map(|one| &one.changes).any(|logged| logged.change.concerns(key))
}
