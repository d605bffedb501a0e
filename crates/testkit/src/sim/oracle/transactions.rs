//! Transactions are told of once, and each event has its number in its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::log::{Place, Placed};
use crate::memory::RowChange;
use crate::sim::world::World;

/// What the topic says of a transaction.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    begins: u32,
    ends: u32,
    events: Option<u64>,
}

pub(super) fn check(world: &World, asked: bool, events: &[Placed], wrong: &mut Vec<String>) {
    let told = match told(world) {
        Ok(told) => told,
        Err(why) => return wrong.push(why),
    };
    if !asked {
        if !told.is_empty() || events.iter().any(|event| event.order.is_some()) {
            wrong.push("transactions are told of, and nobody asked".to_owned());
        }
        return;
    }
    let (numbers, mut sums, mut commits) = numbers(world);
    for (xid, told) in &told {
        let expected = Told { begins: 1, ends: 1, events: sums.remove(xid) };
        if *told != expected {
            wrong.push(format!("of transaction {xid} is told {told:?}, not {expected:?}"));
        }
    }
    // What a resumed snapshot streams belongs to none that is told of; after the last snapshot each one is.
    let settled = world.postgres.points.iter().max().copied().unwrap_or(0);
    commits.retain(|commit, xid| *commit < settled && !told.contains_key(xid));
    let silent: BTreeSet<u64> = commits.into_keys().collect();
    for Placed { place, order } in events {
        let expected = numbers.get(place).copied().filter(|_| !silent.contains(&place.0));
        if *order != expected {
            wrong.push(format!(
                "the change {place:?} says that it is number {order:?} of its transaction, not {expected:?}"
            ));
        }
    }
}

fn told(world: &World) -> Result<BTreeMap<u64, Told>, String> {
    let mut all: BTreeMap<u64, Told> = BTreeMap::new();
    for entry in world.kafka.committed_of(&world.kafka.settings.transaction_topic) {
        let value = entry.value.as_deref().unwrap_or_default();
        let read = || -> Option<(u64, Value)> {
            let json: Value = serde_json::from_slice(value).ok()?;
            Some((json["id"].as_str()?.split_once(':')?.0.parse().ok()?, json))
        };
        let (xid, json) = read()
            .ok_or_else(|| format!("a transaction's record makes no sense: {}", String::from_utf8_lossy(value)))?;
        let told = all.entry(xid).or_default();
        if json["status"] == "BEGIN" {
            told.begins += 1;
        } else {
            told.ends += u32::from(told.begins > 0);
            told.events = json["event_count"].as_u64();
        }
    }
    Ok(all)
}

type Numbers = (BTreeMap<Place, u64>, BTreeMap<u64, u64>, BTreeMap<u64, u64>);

/// Each change's number in its transaction, each transaction's sum of events, and its id by its commit.
fn numbers(world: &World) -> Numbers {
    let (mut numbers, mut sums, mut commits) = Numbers::default();
    for transaction in &world.postgres.history {
        let xid = u64::from(transaction.xid);
        let mut sum = 0;
        for (index, logged) in (0..).zip(&transaction.changes) {
            let moved = matches!(&logged.change, RowChange::Update { old, new } if old.key != new.key);
            for half in 0..=u8::from(moved) {
                sum += 1;
                numbers.insert((transaction.commit, index, half), sum);
            }
        }
        sums.insert(xid, sum);
        commits.insert(transaction.commit, xid);
    }
    (numbers, sums, commits)
}
