//! Every type's JSON against what Debezium wrote for the same value; `values.json` says how it was recorded.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use datapipe_core::value::{
    ColumnType, Modes, PgType, ValueError, resolve, write_fallback, write_unchanged, write_value,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    types: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    /// The column's type as SQL has it.
    sql: String,
    pg: PgType,
    /// PostgreSQL's text, and the JSON of the streamed record.
    cases: Vec<(String, Option<String>)>,
    unchanged: Option<String>,
    fallback: Option<String>,
}

fn recorded() -> Vec<Recorded> {
    let fixture: Fixture = serde_json::from_str(include_str!("values.json")).unwrap();
    fixture.types
}

fn written(kind: &ColumnType, text: &str) -> Result<String, ValueError> {
    let mut out = Vec::new();
    write_value(kind, Modes::PLAN, text.as_bytes(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// Values that Debezium loses and this does not, or that both refuse in their own way: type, text, what is written
/// here; none is an error.
const DIFFERING: &[(&str, &str, Option<&str>)] = &[
    ("bit(1)[]", "{1,0,NULL}", Some("[true,false,null]")),
    ("bit(3)[]", "{101}", Some(r#"["BQ=="]"#)),
    ("d_int[]", "{1,2}", Some("[1,2]")),
    ("d_text[]", "{a}", Some(r#"["a"]"#)),
    ("date[]", r#"{"0001-01-01 BC"}"#, Some(r#"["0000-01-01Z"]"#)),
    ("date[]", "{infinity,-infinity}", Some(r#"["+5877611-06-21Z","-5877611-06-22Z"]"#)),
    ("int4[]", "[2:2][3:4]={{1,2}}", None),
    ("int4[]", "{{1,2},{3,4}}", None),
    ("interval[]", r#"{"1 day"}"#, Some("[86400000000]")),
    ("money[]", "{$1.00}", Some(r#"["1.00"]"#)),
    ("mood[]", r#"{sad,"hap\"py ä",NULL}"#, Some(r#"["sad","hap\"py ä",null]"#)),
    ("name", "", Some(r#""""#)),
    ("name", "a b\"c", Some(r#""a b\"c""#)),
    ("name", "abc", Some(r#""abc""#)),
    ("name[]", "{a,b}", Some(r#"["a","b"]"#)),
    ("numeric(5,-2)", "0", Some(r#""0""#)),
    ("numeric(5,-2)", "100", Some(r#""100""#)),
    ("numeric(5,-2)", "1200", Some(r#""1200""#)),
    ("numeric(5,-2)", "1234600", Some(r#""1234600""#)),
    ("numeric[]", "{Infinity}", Some(r#"["POSITIVE_INFINITY"]"#)),
    ("numeric[]", "{NaN}", Some(r#"["NAN"]"#)),
    ("text[]", "{{a,b},{c,d}}", None),
    ("timestamp[]", r#"{"0044-03-15 12:00:00 BC"}"#, Some(r#"["-0043-03-15T12:00:00Z"]"#)),
    ("timestamp[]", r#"{"1582-10-04 10:00:00"}"#, Some(r#"["1582-10-04T10:00:00Z"]"#)),
    ("timestamptz[]", r#"{"0044-03-15 12:00:00+00 BC"}"#, Some(r#"["-0043-03-15T12:00:00.000000Z"]"#)),
    ("timestamptz[]", "{infinity,-infinity}", Some(r#"["infinity","-infinity"]"#)),
    ("timetz", "01:00:00+15:59:59", Some(r#""09:00:01Z""#)),
    ("varbit(5)[]", "{101}", Some(r#"["BQ=="]"#)),
    ("xml[]", "{<a/>}", Some(r#"["<a/>"]"#)),
];

/// JDKs before 19 write some floating point numbers with more digits than needed: the number is the same.
fn same_number(kind: &ColumnType, ours: &str, theirs: &str) -> bool {
    match kind {
        ColumnType::Float4 => ours.parse::<f32>().unwrap().to_bits() == theirs.parse::<f32>().unwrap().to_bits(),
        ColumnType::Float8 => ours.parse::<f64>().unwrap().to_bits() == theirs.parse::<f64>().unwrap().to_bits(),
        _ => false,
    }
}

#[test]
fn values_are_those_of_debezium() {
    let mut checked = 0;
    let mut longer_floats = 0;
    let mut differing = BTreeMap::new();
    for Recorded { sql, pg, cases, .. } in recorded() {
        let Ok(kind) = resolve(&pg) else { continue };
        for (text, json) in cases {
            let ours = written(&kind, &text).ok();
            checked += 1;
            match (ours, json) {
                (Some(ours), Some(json)) if ours == json => {}
                (Some(ours), Some(json)) if json.contains('E') && same_number(&kind, &ours, &json) => {
                    longer_floats += 1;
                }
                (ours, _) => assert_eq!(differing.insert((sql.clone(), text), ours), None),
            }
        }
    }
    let expected = |(sql, text, ours): &(&str, &str, Option<&str>)| {
        (((*sql).to_owned(), (*text).to_owned()), ours.map(str::to_owned))
    };
    assert_eq!(differing, DIFFERING.iter().map(expected).collect());
    assert!(checked > 1000, "{checked} values were checked");
    assert!(longer_floats < 20, "{longer_floats} floating point numbers have other digits");
}

#[test]
fn what_debezium_leaves_out_is_refused_by_name() {
    let mut refused = Vec::new();
    for Recorded { sql, pg, cases, .. } in recorded() {
        if let Err(error) = resolve(&pg) {
            assert!(cases.iter().all(|(_, json)| json.is_none()), "{sql} has a form");
            refused.push(error.to_string());
        }
    }
    assert_eq!(refused.len(), 11, "{refused:#?}");
    let hint = "it has no form in a record; leave the column out or cast it in a generated column";
    assert!(refused.contains(&format!("type tsquery is not supported: {hint}")), "{refused:#?}");
    assert!(
        refused.contains(&"type public.comp is not supported: composite types have no form in a record".to_owned())
    );
}

#[test]
fn placeholders_are_those_of_debezium_unless_it_writes_null() {
    let mut nulls = Vec::new();
    for Recorded { sql, pg, unchanged, .. } in recorded() {
        let (Ok(kind), Some(unchanged)) = (resolve(&pg), unchanged) else { continue };
        let mut ours = Vec::new();
        write_unchanged(&kind, Modes::PLAN, &mut ours);
        let ours = String::from_utf8(ours).unwrap();
        if unchanged == "null" {
            let is_placeholder =
                ["unavailable_value", "X19kZWJl", "[95,95,100,"].iter().any(|part| ours.contains(part));
            assert!(is_placeholder, "{sql}: {ours}");
            nulls.push(sql);
        } else {
            assert_eq!(ours, unchanged, "{sql}");
        }
    }
    // The arrays that have a placeholder there are those of text, varchar, bpchar, uuid, bytea, json, jsonb, int4 and int8.
    let expected = [
        "varbit",
        "d_ints",
        "bool[]",
        "int2[]",
        "oid[]",
        "float4[]",
        "float8[]",
        "numeric[]",
        "numeric(10,2)[]",
        "\"char\"[]",
        "citext[]",
        "date[]",
        "time[]",
        "timetz[]",
        "timestamp[]",
        "timestamp(3)[]",
        "timestamptz[]",
        "timestamptz(3)[]",
        "inet[]",
        "cidr[]",
        "macaddr[]",
        "macaddr8[]",
        "bit(1)[]",
        "bit(3)[]",
        "hstore[]",
        "int4range[]",
        "int8range[]",
        "numrange[]",
        "tsrange[]",
        "tstzrange[]",
        "daterange[]",
        "tsvector[]",
        "ltree[]",
        "mood[]",
        "hstore[]",
    ];
    assert_eq!(nulls, expected);
}

#[test]
fn fallbacks_are_those_of_debezium() {
    let mut differing = Vec::new();
    for Recorded { sql, pg, fallback, .. } in recorded() {
        let (Ok(kind), Some(fallback)) = (resolve(&pg), fallback) else { continue };
        let mut ours = Vec::new();
        write_fallback(&kind, Modes::PLAN, &mut ours);
        if ours != fallback.as_bytes() {
            differing.push(sql);
        }
    }
    // Their scale is misread there; a NOT NULL bit array stops the connector.
    assert_eq!(differing, ["numeric(5,-2)", "bit(1)[]", "bit(3)[]"]);
}

fn kind() -> impl Strategy<Value = ColumnType> {
    let kinds: Vec<_> = recorded().into_iter().filter_map(|recorded| resolve(&recorded.pg).ok()).collect();
    proptest::sample::select(kinds)
}

/// A recorded text with one byte changed, dropped or doubled.
fn damaged_text() -> impl Strategy<Value = (ColumnType, Vec<u8>)> {
    let texts: Vec<_> = recorded()
        .into_iter()
        .filter_map(|recorded| Some((resolve(&recorded.pg).ok()?, recorded.cases)))
        .flat_map(|(kind, cases)| cases.into_iter().map(move |(text, _)| (kind.clone(), text.into_bytes())))
        .collect();
    (proptest::sample::select(texts), any::<proptest::sample::Index>(), any::<u8>(), 0..3u8).prop_map(
        |((kind, mut text), at, byte, damage)| {
            let at = at.index(text.len() + 1);
            match damage {
                0 => text.insert(at, byte),
                _ if at == text.len() => {}
                1 => text[at] = byte,
                _ => drop(text.remove(at)),
            }
            (kind, text)
        },
    )
}

fn is_json_or_refused(kind: &ColumnType, text: &[u8]) -> Result<(), TestCaseError> {
    let mut out = Vec::new();
    if write_value(kind, Modes::PLAN, text, &mut out).is_ok() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&out);
        prop_assert!(parsed.is_ok(), "{kind}: {}", String::from_utf8_lossy(&out));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_give_json_or_an_error(kind in kind(), text: Vec<u8>) {
        is_json_or_refused(&kind, &text)?;
    }

    #[test]
    fn any_text_gives_json_or_an_error(kind in kind(), text in "[-+0-9.:eE \\\\{}\",\\[\\]=>xBCNUL]{0,30}") {
        is_json_or_refused(&kind, text.as_bytes())?;
    }

    #[test]
    fn damaged_values_give_json_or_an_error((kind, text) in damaged_text()) {
        is_json_or_refused(&kind, &text)?;
    }

    #[test]
    fn text_comes_back(text: String) {
        let back: String = serde_json::from_str(&written(&ColumnType::Text, &text).unwrap()).unwrap();
        prop_assert_eq!(back, text);
    }

    #[test]
    fn text_arrays_come_back(texts: Vec<Option<String>>) {
        let quote = |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let elements: Vec<_> = texts.iter().map(|text| text.as_ref().map_or("NULL".to_owned(), quote)).collect();
        let array = ColumnType::Array(Box::new(ColumnType::Text));
        let json = written(&array, &format!("{{{}}}", elements.join(","))).unwrap();
        let back: Vec<Option<String>> = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(back, texts);
    }
}
