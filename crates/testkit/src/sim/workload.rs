//! What the application does to the table meanwhile.

use std::collections::BTreeMap;

use datapipe_core::signal::Signal;
use rand::Rng;
use rand::rngs::SmallRng;

use super::plan::Plan;
use super::world::World;
use crate::memory::postgres::{Postgres, apply};
use crate::memory::{Key, Logged, Row, RowChange};

/// Keys are drawn from this many numbers.
const NUMBERS: i64 = 40;
/// Larger than a record may be.
const LARGE_BYTES: usize = 20_000;

/// Writes transactions, at times two that overlap.
#[derive(Debug, Default)]
pub struct Writer {
    /// A transaction that has written but not committed; it has touched odd numbers only.
    open: Option<(u32, Vec<Logged>)>,
}

/// Which numbers a transaction may touch, so that two open ones never wait for each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    All,
    Even,
    Odd,
}

impl Writer {
    /// Fills the table before anything runs.
    pub fn fill(world: &mut World, plan: &Plan) {
        let World { postgres, rng, .. } = world;
        postgres.settings = plan.postgres.clone();
        for _ in 0..plan.rows {
            let key = postgres.key(rng.random_range(0..NUMBERS));
            let note_bytes = note(plan, rng);
            let row = postgres.new_row(key.clone(), note_bytes);
            postgres.rows.insert(key, row);
        }
        postgres.base = postgres.rows.clone();
    }

    /// Does the next thing.
    pub fn step(&mut self, world: &mut World, plan: &Plan) {
        let (time_us, now_ms) = (world.wall_us(), world.now_ms());
        let World { postgres, rng, channel, .. } = world;
        if rng.random_bool(0.15) {
            // Something else in the database fills the log.
            postgres.log(100);
        }
        if let Some((xid, open)) = self.open.take() {
            if rng.random_bool(0.5) {
                postgres.commit(xid, open, Vec::new(), time_us);
                hide(postgres, rng, plan, xid, now_ms);
                return;
            }
            self.open = Some((xid, open));
        }
        let xid = postgres.begin();
        let numbers = if self.open.is_some() { Numbers::Even } else { Numbers::All };
        if numbers == Numbers::All && rng.random_bool(0.2) {
            let changes = transaction(postgres, rng, plan, Numbers::Odd);
            self.open = Some((xid, changes));
            return;
        }
        let changes = transaction(postgres, rng, plan, numbers);
        let mut signal = |wanted| {
            let blocking = plan.blocking && rng.random_bool(0.4);
            let removes = rng.random_bool(0.5);
            let signals = wanted && rng.random_bool(0.12);
            signals.then(|| match (blocking, removes) {
                (true, _) => execute("blocking", ""),
                (false, true) => execute("incremental", &missing_keys(postgres, rng)),
                (false, false) => execute("incremental", ""),
            })
        };
        let (signal, sent) = (signal(plan.signals), signal(plan.channel));
        let signals = Vec::from_iter(signal);
        postgres.commit(xid, changes, signals, time_us);
        hide(postgres, rng, plan, xid, now_ms);
        channel.extend(sent);
    }

    /// Commits what is still open.
    pub fn finish(&mut self, world: &mut World) {
        if let Some((xid, open)) = self.open.take() {
            let time_us = world.wall_us();
            world.postgres.commit(xid, open, Vec::new(), time_us);
        }
    }
}

/// A transaction may be in the log, and not be seen by others for a while.
fn hide(postgres: &mut Postgres, rng: &mut SmallRng, plan: &Plan, xid: u32, now_ms: u64) {
    if plan.signals && rng.random_bool(0.3) {
        postgres.hidden.insert(xid, now_ms + rng.random_range(1..2_000));
    }
}

/// Some keys that are there, and some that are not.
fn missing_keys(postgres: &Postgres, rng: &mut SmallRng) -> String {
    let keys = (0..rng.random_range(1..20)).map(|_| postgres.key(rng.random_range(0..NUMBERS)).text());
    let keys: Vec<String> = keys.map(|key| format!(r#"{{"id":"{key}"}}"#)).collect();
    format!(r#","delete-if-missing":[{}]"#, keys.join(","))
}

fn execute(kind: &str, more: &str) -> Signal {
    let data = format!(r#"{{"data-collections":["public.users"],"type":"{kind}"{more}}}"#);
    Signal { id: "again".to_owned(), kind: "execute-snapshot".to_owned(), data: Some(data) }
}

fn note(plan: &Plan, rng: &mut SmallRng) -> usize {
    match rng.random_range(0..10) {
        0 if plan.large_rows => LARGE_BYTES,
        0..3 => 30,
        _ => 0,
    }
}

fn transaction(postgres: &mut Postgres, rng: &mut SmallRng, plan: &Plan, numbers: Numbers) -> Vec<Logged> {
    let mut rows = postgres.rows.clone();
    let mut changes = Vec::new();
    let copies = rng.random_bool(0.2);
    let count = if copies { rng.random_range(2..9) } else { rng.random_range(0..6) };
    let mut lsn = postgres.log(10);
    for _ in 0..count {
        let Some(change) = change(postgres, rng, plan, numbers, &rows, copies) else { continue };
        if !copies || rng.random_bool(0.2) {
            lsn = postgres.log(30);
        }
        apply(&mut rows, &change);
        changes.push(Logged { lsn, change });
    }
    changes
}

fn change(
    postgres: &mut Postgres,
    rng: &mut SmallRng,
    plan: &Plan,
    numbers: Numbers,
    rows: &BTreeMap<Key, Row>,
    copies: bool,
) -> Option<RowChange> {
    let number = match (numbers, rng.random_range(0..NUMBERS)) {
        (Numbers::All, number) => number,
        (Numbers::Even, number) => number / 2 * 2,
        (Numbers::Odd, number) => number / 2 * 2 + 1,
    };
    let key = postgres.key(number);
    if plan.truncates && numbers == Numbers::All && rng.random_bool(0.02) {
        return Some(RowChange::Truncate);
    }
    let Some(old) = rows.get(&key).cloned() else {
        let note_bytes = note(plan, rng);
        return Some(RowChange::Insert(postgres.new_row(key, note_bytes)));
    };
    if copies {
        return None;
    }
    match rng.random_range(0..10) {
        0..3 => Some(RowChange::Delete(old)),
        3..6 => {
            let other = postgres.key((number + 2 * rng.random_range(1..NUMBERS / 2)) % NUMBERS);
            if rows.contains_key(&other) {
                return None;
            }
            let new = postgres.new_row(other, old.note_bytes);
            Some(RowChange::Update { old, new })
        }
        _ => {
            let note_bytes = if rng.random_bool(0.7) { old.note_bytes } else { note(plan, rng) };
            let new = postgres.new_row(key, note_bytes);
            Some(RowChange::Update { old, new })
        }
    }
}
