//! The comparison itself: part by part, what the events of each key lead to, against the table's rows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

use crate::error::ReconcileError;
use crate::event::Op;
use crate::fold::{Orphans, State, lsn_text};
use crate::proof::{Object, Truncate};
use crate::report::{Example, Report};
use crate::row;
use crate::scope::Scope;
use crate::spill::{LEVELS_MAX, Part, Record, Records, split};

/// What a key costs in memory beside its own bytes and its row's: the map's slot, the state, the allocator.
const KEY_OVERHEAD_BYTES: usize = 256;

/// Each thread has this much memory at least; where less is given in all, there is one thread.
const THREAD_BYTES_MIN: usize = 16 * 1024 * 1024;

type Keys = HashMap<Box<[u8]>, (State, bool)>;

fn ended() -> ReconcileError {
    ReconcileError::BrokenOff("a comparing thread has panicked".into())
}

/// Parts of the keys, each folded and compared by itself.
pub(crate) struct Compare {
    pub(crate) scope: Scope,
    pub(crate) objects: Vec<Object>,
    pub(crate) truncates: Vec<Truncate>,
    pub(crate) later: Vec<Truncate>,
}

impl Compare {
    /// Compares all parts, on all processors; what is found comes in the parts' order.
    pub(crate) fn parts(&self, parts: Vec<(Part, Part)>) -> Result<Vec<Report>, ReconcileError> {
        let memory = self.scope.limits.memory_bytes_max;
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = processors.min(memory / THREAD_BYTES_MIN).max(1);
        let parts = Mutex::new(parts.into_iter().enumerate());
        let worker = || {
            let mut done = Vec::new();
            loop {
                let part = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, (events, rows))) = part else { return Ok(done) };
                let mut report = Report::default();
                self.part(events, rows, (0, memory / threads), &mut report)?;
                done.push((number, report));
            }
        };
        let mut done = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(ended())));
            joined.collect::<Result<Vec<_>, _>>()
        })?
        .concat();
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, report)| report).collect())
    }

    /// A part at some level of splitting, in some bytes of memory.
    fn part(
        &self,
        mut events: Part,
        mut rows: Part,
        (level, memory): (u32, usize),
        report: &mut Report,
    ) -> Result<(), ReconcileError> {
        let mut found = Report::default();
        if let Some(keys) = self.fold(&mut events, memory, &mut found)? {
            self.match_rows(keys, &mut rows, &mut found)?;
            report.add(self.scope.limits.examples_max, found);
            return Ok(());
        }
        let deeper = level + 1;
        if deeper >= LEVELS_MAX {
            return Err(ReconcileError::Memory { memory_bytes_max: self.scope.limits.memory_bytes_max });
        }
        let folder = self.scope.limits.folder.as_deref();
        let event_parts = split(&mut events, deeper, folder).map_err(ReconcileError::Spill)?;
        let row_parts = split(&mut rows, deeper, folder).map_err(ReconcileError::Spill)?;
        // Frees the disk before the parts are split further.
        drop((events, rows));
        event_parts
            .into_iter()
            .zip(row_parts)
            .try_for_each(|(events, rows)| self.part(events, rows, (deeper, memory), report))
    }

    /// Folds a part's events; none if the keys do not fit into memory.
    fn fold(&self, events: &mut Part, memory_max: usize, found: &mut Report) -> Result<Option<Keys>, ReconcileError> {
        let limits = &self.scope.limits;
        let mut keys = Keys::new();
        let mut memory = 0usize;
        let mut records = Records::of(events).map_err(ReconcileError::Spill)?;
        while let Some(record) = records.next().map_err(ReconcileError::Spill)? {
            let op = Op::of(record.op).expect("written by Proof::line");
            let op = if op.is_reread() && self.is_later(&record) { Op::Later } else { op };
            if !keys.contains_key(record.key) {
                memory += record.key.len() + KEY_OVERHEAD_BYTES;
                keys.insert(record.key.into(), (State::default(), false));
            }
            let (state, _) = keys.get_mut(record.key).expect("inserted above");
            memory -= state.size();
            if self.cleared(state, record.object, record.place, record.lsn) {
                state.row = None;
            }
            let doubled = state
                .apply(&record, op, self.scope.rereads)
                .map_err(|error| ReconcileError::BrokenOff(Box::new(error)))?;
            memory += state.size();
            if let Some(what) = doubled {
                let example = || self.example(record.key, Some(record.object), what);
                found.doubled.add(limits.examples_max, example);
            }
            // A single key cannot be split further: its row may take what all threads have.
            if memory > memory_max && keys.len() > 1 {
                return Ok(None);
            }
            if memory > limits.memory_bytes_max {
                return Err(ReconcileError::Memory { memory_bytes_max: limits.memory_bytes_max });
            }
        }
        for (key, (state, _)) in &mut keys {
            if let Some(Orphans { count, what, lsn, object }) = state.orphans.take() {
                let example = || self.example(key, Some(object), format!("{what} at {}", lsn_text(lsn)));
                found.orphaned.add(limits.examples_max, example);
                found.orphaned.count += count - 1;
            }
            // What was truncated after a key's last event.
            if self.cleared(state, state.object, u64::MAX, u64::MAX) {
                state.row = None;
            }
        }
        Ok(Some(keys))
    }

    /// Whether a TRUNCATE lies between a key's last event and the moment given by place and LSN.
    fn cleared(&self, state: &State, object: u32, place: u64, lsn: u64) -> bool {
        if self.truncates.is_empty() || state.row.is_none() {
            return false;
        }
        let partition = self.objects[object as usize].partition;
        self.truncates.iter().any(|truncate| {
            if truncate.partition == partition {
                (state.place..place).contains(&truncate.place)
            } else {
                (state.lsn..lsn).contains(&truncate.lsn)
            }
        })
    }

    /// Whether an incremental snapshot has looked at a table that had been emptied after the table's rows were read.
    fn is_later(&self, record: &Record<'_>) -> bool {
        let partition = self.objects[record.object as usize].partition;
        self.later.iter().any(|truncate| {
            if truncate.partition == partition { truncate.place < record.place } else { truncate.lsn <= record.lsn }
        })
    }

    fn example(&self, key: &[u8], object: Option<u32>, what: String) -> Example {
        let object = object.map(|object| self.objects[object as usize].name.to_string());
        Example { key: String::from_utf8_lossy(key).into_owned(), object, what }
    }

    /// Compares a part's folded keys with its rows.
    fn match_rows(&self, mut keys: Keys, rows: &mut Part, found: &mut Report) -> Result<(), ReconcileError> {
        let examples_max = self.scope.limits.examples_max;
        found.folded += keys.values().filter(|(state, _)| state.row.is_some()).count() as u64;
        let mut records = Records::of(rows).map_err(ReconcileError::Spill)?;
        while let Some(record) = records.next().map_err(ReconcileError::Spill)? {
            let entry = match keys.entry(record.key.into()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(_) => {
                    found.lost.add(examples_max, || self.example(record.key, None, "is in no object".to_owned()));
                    continue;
                }
            };
            let (state, matched) = entry;
            if std::mem::replace(matched, true) {
                let key = String::from_utf8_lossy(record.key).into_owned();
                return Err(ReconcileError::KeyNotUnique { table: self.scope.table.clone(), key });
            }
            let Some(row) = &state.row else {
                let what = format!("was removed at {}, PostgreSQL has it", lsn_text(state.lsn));
                found.lost.add(examples_max, || self.example(record.key, Some(state.object), what));
                continue;
            };
            let columns =
                row::differing_columns(record.row, row).map_err(|error| ReconcileError::BrokenOff(Box::new(error)))?;
            if !columns.is_empty() {
                let what = format!("differs in {}; its last event is at {}", columns.join(", "), lsn_text(state.lsn));
                found.differing.add(examples_max, || self.example(record.key, Some(state.object), what));
            }
        }
        for (key, (state, matched)) in &keys {
            if state.row.is_some() && !matched {
                let what = format!("is not in PostgreSQL; its last event is at {}", lsn_text(state.lsn));
                found.surplus.add(examples_max, || self.example(key, Some(state.object), what));
            }
        }
        Ok(())
    }
}
