//! Every type's JSON under every mode of its values, against what Debezium wrote; `modes.json` says how it was recorded.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use datapipe_core::value::{
    BinaryMode, ColumnType, DecimalMode, HstoreMode, IntervalMode, Modes, PgType, TimeMode, resolve, write_fallback,
    write_unchanged, write_value,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Values {
    types: Vec<Typed>,
}

#[derive(Deserialize)]
struct Typed {
    sql: String,
    pg: PgType,
    cases: Vec<(String, Option<String>)>,
}

#[derive(Deserialize)]
struct File {
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    modes: BTreeMap<String, String>,
    types: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    sql: String,
    cases: Vec<Option<String>>,
    fallback: Option<String>,
    unchanged: Option<String>,
}

fn modes(set: &Set) -> Modes {
    let value = |key: &str| set.modes[key].as_str();
    Modes {
        decimal: DecimalMode::parse(value(DecimalMode::KEY)).unwrap(),
        time: TimeMode::parse(value(TimeMode::KEY)).unwrap(),
        interval: IntervalMode::parse(value(IntervalMode::KEY)).unwrap(),
        binary: BinaryMode::parse(value(BinaryMode::KEY)).unwrap(),
        hstore: HstoreMode::parse(value(HstoreMode::KEY)).unwrap(),
    }
}

fn written(kind: &ColumnType, modes: Modes, text: &str) -> String {
    let mut out = Vec::new();
    match write_value(kind, modes, text.as_bytes(), &mut out) {
        Ok(()) => String::from_utf8(out).unwrap(),
        Err(error) => error.to_string(),
    }
}

fn filled(fill: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    fill(&mut out);
    String::from_utf8(out).unwrap()
}

/// The mode that concerns a type, as it stands in the list of differences.
fn mode_of(kind: &ColumnType, modes: Modes) -> &'static str {
    match kind {
        ColumnType::Array(element) => mode_of(element, modes),
        ColumnType::Numeric(_) | ColumnType::Money => modes.decimal.as_str(),
        ColumnType::Interval => modes.interval.as_str(),
        ColumnType::Bytea | ColumnType::Bit | ColumnType::Bits(_) => modes.binary.as_str(),
        ColumnType::Hstore => modes.hstore.as_str(),
        _ => modes.time.as_str(),
    }
}

#[test]
fn values_of_every_mode_are_those_of_debezium() {
    let values: Values = serde_json::from_str(include_str!("values.json")).unwrap();
    let file: File = serde_json::from_str(include_str!("modes.json")).unwrap();
    let mut checked = 0;
    let mut differing = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for set in &file.sets {
        let modes = modes(set);
        let mut rest = values.types.iter();
        for recorded in &set.types {
            // Both files have the types in one order, and two types may have one name.
            let typed = rest.find(|typed| typed.sql == recorded.sql).unwrap();
            let kind = resolve(&typed.pg).unwrap();
            let mode = mode_of(&kind, modes);
            seen.insert(mode);
            let mut compare = |what: &str, ours: String, theirs: &Option<String>| {
                checked += 1;
                if theirs.as_ref() != Some(&ours) {
                    let theirs = theirs.as_deref().unwrap_or("nothing");
                    let theirs = theirs.chars().take(60).collect::<String>();
                    differing.insert(format!("{mode} | {} | {what} | {theirs} | {ours}", recorded.sql));
                }
            };
            for ((text, _), theirs) in typed.cases.iter().zip(&recorded.cases) {
                compare(text, written(&kind, modes, text), theirs);
            }
            compare("absent", filled(|out| write_fallback(&kind, modes, out)), &recorded.fallback);
            if recorded.unchanged.is_some() {
                compare("unchanged", filled(|out| write_unchanged(&kind, modes, out)), &recorded.unchanged);
            }
        }
    }
    let lists = [DecimalMode::VALUES, TimeMode::VALUES, IntervalMode::VALUES, BinaryMode::VALUES, HstoreMode::VALUES];
    let all: BTreeSet<&str> = lists.into_iter().flatten().copied().collect();
    assert_eq!(seen, all, "every value of every mode is recorded");
    assert!(checked > 1500, "{checked} values were checked");
    let differing: Vec<String> = differing.into_iter().collect();
    insta::assert_snapshot!("differences", format!("mode | type | value | there | here\n{}", differing.join("\n")));
}
