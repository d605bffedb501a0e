//! The log holds each change once, in order, from the row's own boundary on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rereads::{Reread, asked, changed_since, commits};
use crate::memory::{Key, RowChange};
use crate::sim::world::World;

/// Where a change stands: commit record, index, and the half of a key change.
pub(super) type Place = (u64, u64, u8);

/// An event of the log where it belongs.
pub(super) struct Placed {
    pub(super) place: Place,
    /// Its number in its transaction, as the event says it.
    pub(super) order: Option<u64>,
}

/// A change of one key, as it must be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    place: Place,
    op: &'static str,
    xid: u64,
    version: Option<u64>,
}

/// A change as it was reported.
#[derive(Clone, Debug)]
pub(super) struct Reported {
    pub(super) partition: usize,
    pub(super) offset: i64,
    pub(super) op: String,
    xid: u64,
    lsn: u64,
    pub(super) version: Option<u64>,
}

/// What the log holds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) by_key: BTreeMap<Key, Vec<Reported>>,
    pub(super) truncates: Vec<Reported>,
    pub(super) rereads: Vec<Reread>,
    /// Deletes of rows that an incremental snapshot found missing.
    pub(super) removals: Vec<Reread>,
    /// Rows of incremental snapshots that went to the dead letter queue.
    reread_letters: usize,
    tombstones: usize,
    /// Changes that went to the dead letter queue: commit record and index.
    letters: Vec<(u64, u64)>,
    /// Rows that went there during a snapshot, and its point.
    row_letters: BTreeMap<Key, Vec<u64>>,
    in_order: Vec<(usize, i64, Place)>,
    /// What events say of their number in their transaction.
    orders: BTreeMap<(usize, i64), u64>,
}

fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn key_in(world: &World, image: &Value) -> Option<Key> {
    let id = &image["id"];
    if world.postgres.settings.text_keys {
        Some(Key::Text(id.as_str()?.to_owned()))
    } else {
        Some(Key::Number(id.as_i64().or_else(|| id.as_str()?.parse().ok())?))
    }
}

fn lsn(text: &Value) -> Option<u64> {
    text.as_str()?.parse::<datapipe_core::lsn::Lsn>().ok().map(|lsn| lsn.0)
}

impl Found {
    pub(super) fn read(world: &World) -> Result<Self, String> {
        let mut found = Self::default();
        let partitions = world.kafka.topics.get(&world.kafka.settings.data_topic);
        for partition in 0..partitions.map_or(0, Vec::len) {
            let number = i32::try_from(partition).expect("few partitions");
            for entry in world.kafka.visible(number, 0, false) {
                match &entry.value {
                    None => found.tombstones += 1,
                    Some(value) if value.first() != Some(&b'{') => {}
                    Some(value) => found.record(world, partition, entry.offset, value)?,
                }
            }
        }
        for entry in world.kafka.committed_of(&world.kafka.settings.dead_letter_topic) {
            found.letter(world, entry.key.as_deref(), entry.value.as_deref()).ok_or("a dead letter makes no sense")?;
        }
        Ok(found)
    }

    fn record(&mut self, world: &World, partition: usize, offset: i64, value: &[u8]) -> Result<(), String> {
        let malformed = || format!("record {offset} makes no sense: {}", String::from_utf8_lossy(value));
        let json: Value = serde_json::from_slice(value).map_err(|_| malformed())?;
        let op = json["op"].as_str().ok_or_else(malformed)?.to_owned();
        let image = if json["after"].is_object() { &json["after"] } else { &json["before"] };
        let version = if op == "d" { None } else { unsigned(&image["v"]) };
        let xid = unsigned(&json["source"]["txId"]).unwrap_or(0);
        let incremental = json["source"]["snapshot"] == "incremental";
        let lsn = unsigned(&json["source"]["lsn"]).or(incremental.then_some(0)).ok_or_else(malformed)?;
        if let Some(order) = unsigned(&json["transaction"]["total_order"]) {
            self.orders.insert((partition, offset), order);
        }
        let reported = Reported { partition, offset, op, xid, lsn, version };
        if reported.op == "t" {
            self.truncates.push(reported);
        } else if incremental {
            let key = key_in(world, image).ok_or_else(malformed)?;
            let found = if reported.op == "d" { &mut self.removals } else { &mut self.rereads };
            found.push(Reread { partition, offset, key, version });
        } else {
            let key = key_in(world, image).ok_or_else(malformed)?;
            self.by_key.entry(key).or_default().push(reported);
        }
        Ok(())
    }

    pub(super) fn has_letters(&self) -> bool {
        !self.letters.is_empty() || !self.row_letters.is_empty() || self.reread_letters > 0
    }

    fn letter(&mut self, world: &World, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<()> {
        let json: Value = serde_json::from_slice(value?).ok()?;
        let place = &json["position"];
        if lsn(&place["incremental_lsn"]).is_some() {
            self.reread_letters += 1;
            return Some(());
        }
        if let Some(point) = lsn(&place["snapshot_lsn"]) {
            let key = key.map_or_else(|| Some(json["row"].clone()), |key| serde_json::from_slice(key).ok())?;
            self.row_letters.entry(key_in(world, &key)?).or_default().push(point);
        } else {
            self.letters.push((lsn(&place["commit_lsn"])?, place["index"].as_u64()?));
        }
        Some(())
    }

    /// Checks the log, and returns its changes.
    pub(super) fn check(mut self, world: &World, snapshot: bool, wrong: &mut Vec<String>) -> Vec<Placed> {
        let (history, truncates) = expected(world);
        let mut keys: Vec<Key> = history.keys().chain(world.postgres.base.keys()).cloned().collect();
        keys.extend(self.by_key.keys().cloned());
        keys.sort();
        keys.dedup();
        let boundaries: Vec<Option<u64>> = keys.iter().map(|key| self.boundary(world, key, snapshot, wrong)).collect();
        for (index, key) in keys.iter().enumerate() {
            let below = boundaries[..index].iter().rev().find_map(|boundary| *boundary).unwrap_or(0);
            let above = boundaries[index..].iter().find_map(|boundary| *boundary).unwrap_or(u64::MAX);
            let none = Vec::new();
            let history = history.get(key).unwrap_or(&none);
            let own = boundaries[index];
            // A snapshot that is begun anew has sent what happened to any row since the first beginning.
            let near = |point: &u64| world.kafka.foreign || (below..=above).contains(point);
            let points = world.postgres.points.iter().copied().filter(near);
            let candidates: Vec<u64> = own.map_or_else(|| points.collect(), |own| vec![own]);
            let tried = candidates.iter().map(|point| self.matches(world, key, history, *point, snapshot));
            let tried: Vec<_> = tried.collect();
            match tried.iter().find_map(|result| result.as_ref().ok()) {
                Some(placed) => self.in_order.extend(placed),
                None => wrong.push(format!("row {key:?}: {:?}", tried.last())),
            }
        }
        self.check_truncates(world, &truncates, boundaries.iter().find_map(|boundary| *boundary), wrong);
        self.check_order(wrong);
        self.check_blocking(world, wrong);
        let deletes = self.by_key.values().flatten().filter(|reported| reported.op == "d").count();
        let deletes = deletes + self.removals.len();
        if deletes != self.tombstones {
            wrong.push(format!("{deletes} deletes, {} tombstones", self.tombstones));
        }
        if snapshot {
            self.check_fold(world, wrong);
        }
        let order = |partition, offset| self.orders.get(&(partition, offset)).copied();
        let placed = |(partition, offset, place)| Placed { place, order: order(partition, offset) };
        self.in_order.iter().copied().map(placed).collect()
    }

    /// The point that a row was first read at, if it was. After a first snapshot it is what is told of the row first.
    fn boundary(&self, world: &World, key: &Key, snapshot: bool, wrong: &mut Vec<String>) -> Option<u64> {
        let read = self.by_key.get(key).into_iter().flatten().filter(|reported| reported.op == "r");
        let mut points: Vec<u64> = read.map(|reported| reported.lsn).collect();
        points.extend(self.row_letters.get(key).into_iter().flatten());
        let blocking = asked(world, "blocking").count();
        // Whoever finds another kind of worker's unfinished snapshot begins it anew, every time.
        if points.len() > usize::from(snapshot) + blocking && !world.kafka.foreign {
            wrong.push(format!("row {key:?} was read {} times", points.len()));
        }
        let of_snapshot = self.by_key.get(key).and_then(|all| all.first()).is_none_or(|first| first.op == "r");
        points.first().copied().filter(|_| snapshot && of_snapshot)
    }

    /// A row that stays as it is since a blocking snapshot was asked for is read after that, unless a snapshot was under
    /// way that had passed its key already.
    fn check_blocking(&self, world: &World, wrong: &mut Vec<String>) {
        // A slot sends nothing that was asked for before it was there.
        let begun = world.postgres.points.iter().min().copied().unwrap_or(0);
        let Some(asked) = commits(world, "blocking").filter(|commit| *commit >= begun).last() else { return };
        let read_after = |key: &Key| {
            let told = self.by_key.get(key).into_iter().flatten();
            told.into_iter().any(|one| one.op == "r" && one.lsn > asked)
        };
        let last_read = self.by_key.keys().rev().find(|key| read_after(key));
        for key in world.postgres.rows.keys().filter(|key| !changed_since(world, key, asked)) {
            let passed = self.by_key.contains_key(key) && last_read.is_some_and(|last| key < last);
            if !read_after(key) && !passed {
                wrong.push(format!("row {key:?} was not read by the blocking snapshot asked for at {asked}"));
            }
        }
    }

    /// Whether what was reported of a row is what happened to it from a point on.
    fn matches(
        &self,
        world: &World,
        key: &Key,
        history: &[Expected],
        point: u64,
        snapshot: bool,
    ) -> Result<Vec<(usize, i64, Place)>, String> {
        let mut reported = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        let row_at = |point| world.postgres.rows_at(point).get(key).map(|row| row.version);
        let row = row_at(point);
        // What another kind of worker had not read yet may have been told of before it was read anew.
        let must_be_read = !world.kafka.foreign || reported.is_empty();
        if let Some(first) = reported.first().filter(|first| snapshot && first.op == "r") {
            if first.version != row || row.is_none() {
                return Err(format!("read as {:?} at {point}, where it was {row:?}", first.version));
            }
            reported = &reported[1..];
        } else if snapshot && row.is_some() && !self.row_letters.contains_key(key) && must_be_read {
            return Err(format!("it was there at {point}, and was not read"));
        }
        let lettered = |place: &Place| self.letters.contains(&(place.0, place.1));
        let due = history.iter().filter(|change| change.place.0 >= point && !lettered(&change.place));
        let due: Vec<&Expected> = due.collect();
        let (mut next, mut placed) = (due.iter().peekable(), Vec::new());
        for found in reported {
            let fits = if found.op == "r" {
                // Read again: all that happened before is told, and nothing that happened after.
                let told = next.peek().is_none_or(|due| due.place.0 >= found.lsn);
                told && found.version.is_some() && found.version == row_at(found.lsn)
            } else {
                next.next().is_some_and(|due| {
                    placed.push((found.partition, found.offset, due.place));
                    found.op == due.op && found.version == due.version && found.xid == due.xid
                })
            };
            if !fits {
                return Err(format!("from {point} on {due:?} happened, and {reported:?} was reported"));
            }
        }
        match next.next() {
            Some(left) => Err(format!("from {point} on {due:?} happened, and {left:?} was not reported: {reported:?}")),
            None => Ok(placed),
        }
    }

    fn check_truncates(&mut self, world: &World, all: &[Expected], first: Option<u64>, wrong: &mut Vec<String>) {
        let points = first.map_or_else(|| world.postgres.points.clone(), |first| vec![first]);
        for point in points {
            let due: Vec<_> = all.iter().filter(|truncate| truncate.place.0 >= point).collect();
            let same = self.truncates.iter().map(|found| found.xid).eq(due.iter().map(|due| due.xid));
            if same {
                let placed =
                    self.truncates.iter().zip(due).map(|(found, due)| (found.partition, found.offset, due.place));
                self.in_order.extend(placed);
                return;
            }
        }
        if !(all.is_empty() && self.truncates.is_empty()) {
            wrong.push(format!("truncates {all:?} were reported as {:?}", self.truncates));
        }
    }

    fn check_order(&mut self, wrong: &mut Vec<String>) {
        self.in_order.sort_unstable();
        for pair in self.in_order.windows(2) {
            let ((partition, offset, place), (next_partition, next_offset, next)) = (pair[0], pair[1]);
            if partition == next_partition && place >= next {
                wrong.push(format!("out of order: {place:?} at {offset} comes before {next:?} at {next_offset}"));
            }
        }
    }

    /// All records applied in order give the table. Only one partition keeps the place of a truncate.
    fn check_fold(&self, world: &World, wrong: &mut Vec<String>) {
        if world.kafka.settings.partitions > 1 && !self.truncates.is_empty() {
            return;
        }
        let mut steps: Vec<Step<'_>> = self.truncates.iter().map(|one| (one.offset, None, None)).collect();
        steps.extend(self.by_key.iter().flat_map(|(key, all)| {
            all.iter().map(move |one| (one.offset, Some(key), (one.op != "d").then_some(one.version)))
        }));
        steps.extend(self.removals.iter().map(|one| (one.offset, Some(&one.key), None)));
        steps.sort_by_key(|(offset, ..)| *offset);
        let mut rows: BTreeMap<&Key, Option<u64>> = BTreeMap::new();
        for (_, key, version) in steps {
            match (key, version) {
                (None, _) => rows.clear(),
                (Some(key), None) => drop(rows.remove(key)),
                (Some(key), Some(version)) => drop(rows.insert(key, version)),
            }
        }
        if self.has_letters() {
            return;
        }
        let table = world.postgres.rows.iter().map(|(key, row)| (key, Some(row.version)));
        if !rows.iter().map(|(key, version)| (*key, *version)).eq(table) {
            wrong.push(format!("folded, the log gives {rows:?}; the table holds {:?}", world.postgres.rows));
        }
    }
}

/// At an offset, what a key comes to: a version or none. No key stands for all.
type Step<'a> = (i64, Option<&'a Key>, Option<Option<u64>>);

/// Every change per key, and all truncates, as the server committed them.
fn expected(world: &World) -> (BTreeMap<Key, Vec<Expected>>, Vec<Expected>) {
    let mut by_key: BTreeMap<Key, Vec<Expected>> = BTreeMap::new();
    let mut truncates = Vec::new();
    for transaction in &world.postgres.history {
        let xid = u64::from(transaction.xid);
        for (index, logged) in (0..).zip(&transaction.changes) {
            let mut put = |key: &Key, half, op, version| {
                let place = (transaction.commit, index, half);
                by_key.entry(key.clone()).or_default().push(Expected { place, op, xid, version });
            };
            match &logged.change {
                RowChange::Insert(row) => put(&row.key, 0, "c", Some(row.version)),
                RowChange::Delete(row) => put(&row.key, 0, "d", None),
                RowChange::Update { old, new } if old.key == new.key => put(&new.key, 0, "u", Some(new.version)),
                RowChange::Update { old, new } => {
                    put(&old.key, 0, "d", None);
                    put(&new.key, 1, "c", Some(new.version));
                }
                RowChange::Truncate => {
                    truncates.push(Expected { place: (transaction.commit, index, 0), op: "t", xid, version: None });
                }
            }
        }
    }
    (by_key, truncates)
}
