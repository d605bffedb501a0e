//! Transforms against what the real ones made of the same changes; `transforms.json` says how it was recorded.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use datapipe_core::port::log::{Header, Record};
use datapipe_core::transform::{Draft, Transforms};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    schemas: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    config: BTreeMap<String, String>,
    records: Vec<Kept>,
}

#[derive(Clone, Debug, Deserialize)]
struct Kept {
    topic: String,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

/// The names, places and times of a run, in the place of which letters stand.
fn without_run(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(at);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        out.push_str(before);
        // Rows hold small numbers, and connectors are named by two digits.
        let is_run = end > 2 || before.ends_with("tr") || before.ends_with("ts");
        out.push_str(if is_run { "N" } else { &digits[..end] });
        rest = &digits[end..];
    }
    out + rest
}

fn shown(topic: &str, key: Option<&str>, value: Option<&str>, headers: &[(String, String)]) -> String {
    without_run(&format!("{topic} {key:?} {value:?} {headers:?}"))
}

fn of_kept(kept: &Kept) -> String {
    let headers = kept.headers.iter().map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()));
    shown(&kept.topic, kept.key.as_deref(), kept.value.as_deref(), &headers.collect::<Vec<_>>())
}

fn of_draft(draft: Draft) -> String {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let headers: Vec<_> = draft.headers.into_iter().map(|(name, value)| (name, text(value))).collect();
    shown(&draft.topic, draft.key.map(text).as_deref(), draft.value.map(text).as_deref(), &headers)
}

fn transformed(transforms: &Transforms, kept: &Kept) -> Option<Draft> {
    let headers: Vec<_> = kept
        .headers
        .iter()
        .map(|(name, value)| Header { name, value: value.as_deref().unwrap_or_default().as_bytes() })
        .collect();
    let record = Record {
        topic: &kept.topic,
        key: kept.key.as_deref().map(str::as_bytes),
        value: kept.value.as_deref().map(str::as_bytes),
        headers: &headers,
    };
    transforms.apply(record).unwrap()
}

const TYPED: &str = "value.converter.schemas.enable";

/// With the schemas that the numbers stand for, and which name their connector.
fn whole(file: &File, text: &mut Option<String>) {
    let number = text.as_deref().and_then(|text| text.strip_prefix("{\"schema\":<schema ")?.split_once('>'));
    let Some((number, rest)) = number else { return };
    *text = Some(format!("{{\"schema\":{}{rest}", file.schemas[number.parse::<usize>().unwrap()]));
}

/// The cases whose records have schemas, or the others; the first has no transform.
fn cases(typed: bool) -> Vec<Case> {
    let mut file: File = serde_json::from_str(include_str!("transforms.json")).unwrap();
    let mut cases = std::mem::take(&mut file.cases);
    cases.retain(|case| case.config.contains_key(TYPED) == typed);
    for record in cases.iter_mut().flat_map(|case| &mut case.records) {
        whole(&file, &mut record.key);
        whole(&file, &mut record.value);
    }
    cases
}

#[test]
fn records_become_what_the_real_transforms_make_of_them() {
    let mut compared = 0;
    for typed in [false, true] {
        let cases = cases(typed);
        let (plain, cases) = cases.split_first().unwrap();
        assert!(!plain.config.contains_key("transforms") && plain.records.len() > 8 && cases.len() > 20);
        for case in cases {
            let transforms = Transforms::from_config(&case.config).unwrap();
            // Topics were read by the connector's prefix, one after the other: what a field's value routes elsewhere was
            // not, and where two tables come together their order is not that of reading.
            let drafts = plain.records.iter().filter_map(|kept| transformed(&transforms, kept));
            let mut ours: Vec<String> =
                drafts.filter(|draft| draft.topic.starts_with(if typed { "ts" } else { "tr" })).map(of_draft).collect();
            let mut theirs: Vec<String> = case.records.iter().map(of_kept).collect();
            ours.sort();
            theirs.sort();
            assert_eq!(ours.len(), theirs.len(), "{:?}\n{ours:#?}", case.config);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs, "{:?}", case.config);
                compared += 1;
            }
        }
    }
    assert!(compared > 400, "{compared} records were compared");
}

#[test]
fn defaults_are_known_where_values_are_written_without_a_schema() {
    let typed = cases(true);
    let (plain, cases) = typed.split_first().unwrap();
    let mut replaced = 0;
    for case in cases {
        let mut config = case.config.clone();
        config.insert(TYPED.to_owned(), "false".to_owned());
        let bare = Transforms::from_config(&config).unwrap();
        let transforms = Transforms::from_config(&case.config).unwrap();
        for kept in &plain.records {
            let (bare, whole) = (transformed(&bare, kept), transformed(&transforms, kept));
            assert_eq!(bare.is_some(), whole.is_some());
            let value = |draft: Option<Draft>| draft.and_then(|draft| Some(String::from_utf8(draft.value?).unwrap()));
            let (bare, whole) = (value(bare), value(whole));
            let payload = whole.as_deref().map(|whole| whole.split_once(",\"payload\":").unwrap().1);
            assert_eq!(bare.as_deref(), payload.map(|payload| payload.strip_suffix('}').unwrap()));
            replaced += usize::from(bare.is_some_and(|bare| bare.contains("\"n\":5") && bare.contains("\"id\":2")));
        }
    }
    assert!(replaced > 4, "{replaced} nulls became 5");
}

fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    let config = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let problems = Transforms::from_config(&config).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_served_is_named() {
    let found = problems(&[
        ("transforms", "a,b,c,d"),
        ("transforms.a.type", "org.apache.kafka.connect.transforms.Cast$Value"),
        ("transforms.b.type", "org.apache.kafka.connect.transforms.RegexRouter"),
        ("transforms.b.regex", "(?=x)y"),
        ("transforms.b.replacement", "z"),
        ("transforms.b.typo", "1"),
        ("transforms.c.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.c.delete.tombstone.handling.mode", "keep"),
        ("transforms.c.predicate", "p"),
        ("predicates", "q"),
    ]);
    insta::assert_snapshot!("problems", found.join("\n"));
}
