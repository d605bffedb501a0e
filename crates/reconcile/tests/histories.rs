//! Random histories, cut into objects at random and folded in little memory, equal a fold in a map; and any one
//! alteration of what was written or of the table is found.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod lake;

use std::collections::BTreeMap;

use datapipe_reconcile::{ReconcileError, Report, Scope};
use lake::{Event, Lake, event, scope};
use proptest::prelude::*;
use proptest::sample::Index;

const KEYS: u32 = 12;
const SNAPSHOT_LSN: u64 = 100;

/// What a person does to the table: a key and a value; the value decides whether the row goes.
type Step = (u32, u8);

#[derive(Clone, Debug)]
struct History {
    events: Vec<Event>,
    table: BTreeMap<u32, String>,
}

/// Plays steps on a table of which `snapshot` rows were there before, as a pipeline would record them.
fn play(snapshot: u32, steps: &[Step]) -> History {
    let mut events = Vec::new();
    let mut table = BTreeMap::new();
    for id in 0..snapshot {
        events.push(event('r', id, SNAPSHOT_LSN, r#","v":0"#));
        table.insert(id, r#","v":0"#.to_owned());
    }
    let mut lsn = SNAPSHOT_LSN;
    for (id, value) in steps {
        lsn += 8;
        let there = table.contains_key(id);
        match value {
            255 => {
                events.push(event('t', 0, lsn, ""));
                table.clear();
            }
            200.. if there => {
                events.push(event('d', *id, lsn, ""));
                table.remove(id);
            }
            _ => {
                let rest = format!(r#","v":{value},"at":"{lsn}""#);
                events.push(event(if there { 'u' } else { 'c' }, *id, lsn, &rest));
                table.insert(*id, rest);
            }
        }
    }
    History { events, table }
}

impl History {
    fn rows(&self) -> Vec<String> {
        self.table.iter().map(|(id, rest)| format!(r#"{{"id":{id}{rest}}}"#)).collect()
    }

    /// Cuts the events into objects of these lengths, in turn.
    fn lake(&self, lengths: &[usize]) -> (Lake, Scope) {
        let (mut lake, mut next, mut rest) = (Lake::default(), 0, self.events.as_slice());
        let mut lengths = lengths.iter().cycle();
        while !rest.is_empty() {
            let (object, later) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
            next = lake.add(0, next, object);
            rest = later;
        }
        let mut scope = scope();
        scope.answered.insert(0, 0..next);
        // A handful of keys: most runs split their parts.
        scope.limits.memory_bytes_max = 600;
        (lake, scope)
    }
}

fn compare(lake: &Lake, rows: &[String], scope: &Scope) -> Result<Report, ReconcileError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(lake.compare_in(rows, scope))
}

fn history() -> impl Strategy<Value = History> {
    let step = (0..KEYS, prop_oneof![9 => 0u8..=254, 1 => Just(255)]);
    (0..KEYS, proptest::collection::vec(step, 1..60)).prop_map(|(snapshot, steps)| play(snapshot, &steps))
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
enum Fault {
    RemoveObject(Index),
    RepeatEvent(Index),
    FlipByte(Index, Index),
    RemoveRow(Index),
    AddRow,
    ChangeRow(Index),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        any::<Index>().prop_map(Fault::RemoveObject),
        any::<Index>().prop_map(Fault::RepeatEvent),
        any::<(Index, Index)>().prop_map(|(object, byte)| Fault::FlipByte(object, byte)),
        any::<Index>().prop_map(Fault::RemoveRow),
        Just(Fault::AddRow),
        any::<Index>().prop_map(Fault::ChangeRow),
    ]
}

/// Applies the fault; false if there is nothing to apply it to.
fn spoil(fault: &Fault, history: &History, lake: &mut Lake, rows: &mut Vec<String>) -> bool {
    let key = |lake: &Lake, object: &Index| object.get(&lake.0.keys().cloned().collect::<Vec<_>>()).clone();
    match fault {
        Fault::RemoveObject(object) => {
            let key = key(lake, object);
            lake.0.remove(&key);
        }
        Fault::RepeatEvent(event) => {
            let end = i64::try_from(history.events.len()).unwrap();
            lake.add(0, end, std::slice::from_ref(event.get(&history.events)));
        }
        Fault::FlipByte(object, byte) => {
            let key = key(lake, object);
            let content = &mut lake.0.get_mut(&key).unwrap().0;
            let mut bytes = content.to_vec();
            let at = byte.index(bytes.len());
            bytes[at] ^= 1;
            *content = bytes.into();
        }
        Fault::AddRow => rows.push(format!(r#"{{"id":{}}}"#, KEYS + 1)),
        Fault::RemoveRow(_) | Fault::ChangeRow(_) if rows.is_empty() => return false,
        Fault::RemoveRow(row) => {
            rows.remove(row.index(rows.len()));
        }
        Fault::ChangeRow(row) => {
            let row = row.index(rows.len());
            rows[row] = rows[row].replace(r#""v":"#, r#""v":1"#);
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_history_is_proven_and_any_one_fault_is_found(
        history in history(),
        lengths in proptest::collection::vec(1usize..9, 1..5),
        faults in proptest::collection::vec(fault(), 4),
    ) {
        let (lake, scope) = history.lake(&lengths);
        let rows = history.rows();
        let report = compare(&lake, &rows, &scope).unwrap();
        prop_assert!(report.proven(), "{}", report);
        prop_assert_eq!(report.folded, rows.len() as u64);
        prop_assert_eq!(report.events, history.events.len() as u64);
        for fault in faults {
            let (mut lake, mut rows) = (lake.clone(), rows.clone());
            if spoil(&fault, &history, &mut lake, &mut rows) {
                let report = compare(&lake, &rows, &scope).unwrap();
                prop_assert!(!report.proven(), "{:?} was not found: {}", fault, report);
            }
        }
    }
}

#[test]
fn many_keys_are_compared_in_little_memory() {
    let keys = 20_000u32;
    let row = |id: u32| format!(r#","text":"row {id} of many""#);
    let events: Vec<Event> = (0..keys).map(|id| event('r', id, SNAPSHOT_LSN, &row(id))).collect();
    let mut lake = Lake::default();
    lake.add(0, 0, &events);
    let mut rows: Vec<String> = (0..keys).map(|id| format!(r#"{{"id":{id}{}}}"#, row(id))).collect();
    let mut scope = scope();
    // All keys would take about 6 MB, a 32nd part of them 190 KB: every part is split.
    scope.limits.memory_bytes_max = 32 * 1024;
    assert!(compare(&lake, &rows, &scope).unwrap().proven());
    rows[777] = rows[777].replace("many", "few");
    rows.remove(13_000);
    let report = compare(&lake, &rows, &scope).unwrap();
    assert_eq!((report.differing.count, report.surplus.count, report.folded), (1, 1, u64::from(keys)), "{report}");
}

#[test]
fn a_row_above_the_memory_is_refused() {
    let mut lake = Lake::default();
    lake.add(0, 0, &[event('r', 1, SNAPSHOT_LSN, &format!(r#","text":"{}""#, "x".repeat(5000)))]);
    let mut scope = scope();
    scope.limits.memory_bytes_max = 4096;
    let error = compare(&lake, &[], &scope).unwrap_err();
    assert!(error.to_string().contains("4096 bytes"), "{error}");
    scope.limits.memory_bytes_max = 64 * 1024;
    assert_eq!(compare(&lake, &[], &scope).unwrap().surplus.count, 1);
    scope.limits.line_bytes_max = 4096;
    assert!(compare(&lake, &[], &scope).unwrap().to_string().contains("longer than 4096 bytes"));
}
