//! Rows as JSON objects: their key, their columns, and whether two of them are equal.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// What stands for an unchanged TOASTed value.
const UNAVAILABLE: &str = datapipe_core::value::UNAVAILABLE;

/// The same as Debezium writes it for binary columns: base64.
const UNAVAILABLE_BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";

/// The same for UUIDs in an array: the version 3 UUID of its bytes.
const UNAVAILABLE_UUID: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";

/// What each form begins with, the last one being that of its bytes as numbers. Texts of up to 32 bytes are found
/// many times faster than longer ones.
const SIGNS: [&str; 4] =
    [UNAVAILABLE, "X19kZWJleml1bV91bmF2YWls", "b68a35a7-17ad-35b3-af2a", "[95,95,100,101,98,101,122,105"];

/// A column's name, borrowed unless it holds escapes.
#[derive(Deserialize, PartialEq, Eq)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Collects the values of some columns.
struct Wanted<'k, 'f, 'de> {
    names: &'k [String],
    found: &'f mut Vec<Option<&'de RawValue>>,
}

impl<'de> DeserializeSeed<'de> for Wanted<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.found.clear();
        self.found.resize(self.names.len(), None);
        while let Some(Name(name)) = map.next_key()? {
            match self.names.iter().position(|wanted| *wanted == name) {
                Some(place) => self.found[place] = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match self.found.iter().position(Option::is_none) {
            Some(missing) => Err(A::Error::custom(format!("key column {} is missing", self.names[missing]))),
            None => Ok(()),
        }
    }
}

/// Writes a row's key as a JSON object of the key's columns, in the key's order.
pub(crate) fn write_key(row: &[u8], names: &[String], key: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut found = Vec::with_capacity(names.len());
    let mut deserializer = serde_json::Deserializer::from_slice(row);
    Wanted { names, found: &mut found }.deserialize(&mut deserializer)?;
    key.clear();
    for (place, (name, value)) in names.iter().zip(found).enumerate() {
        key.push(if place == 0 { b'{' } else { b',' });
        serde_json::to_writer(&mut *key, name)?;
        key.push(b':');
        let text = value.map_or("null", RawValue::get);
        if text.contains('\\') {
            // Escapes can be written in several ways; a key must have one form.
            serde_json::to_writer(&mut *key, &serde_json::from_str::<Value>(text)?)?;
        } else {
            key.extend_from_slice(text.as_bytes());
        }
    }
    key.push(b'}');
    Ok(())
}

/// All columns of a row.
struct Columns<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Columns<'a> {
    fn of(row: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(row)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Columns<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row as a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    columns.push((name, map.next_value()?));
                }
                Ok(columns)
            }
        }

        deserializer.deserialize_map(All).map(Columns)
    }
}

/// Whether a row may hold values that its event did not carry.
pub(crate) fn has_unavailable(row: &str) -> bool {
    SIGNS.iter().any(|sign| row.contains(sign))
}

/// Replaces the values that `new` did not carry by those of `old`.
pub(crate) fn keep_unavailable(new: &[u8], old: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let old = Columns::of(old)?;
    let mut merged = Vec::with_capacity(new.len());
    for (place, (name, value)) in Columns::of(new)?.0.into_iter().enumerate() {
        merged.push(if place == 0 { b'{' } else { b',' });
        serde_json::to_writer(&mut merged, &name)?;
        merged.push(b':');
        let kept = if is_unavailable(value.get()) { old.get(&name) } else { None };
        merged.extend_from_slice(kept.unwrap_or(value).get().as_bytes());
    }
    merged.extend_from_slice(if merged.is_empty() { b"{}" } else { b"}" });
    Ok(merged)
}

/// The placeholder in one of the forms that the types give it.
fn is_unavailable(value: &str) -> bool {
    has_unavailable(value)
        && match serde_json::from_str(value) {
            Ok(Value::String(text)) => is_placeholder(&text) || is_placeholder_map(&text),
            Ok(Value::Array(items)) => match items.as_slice() {
                [Value::String(text)] => is_placeholder(text) || text == UNAVAILABLE_UUID,
                numbers => numbers.iter().map(Value::as_u64).eq(UNAVAILABLE.bytes().map(|byte| Some(byte.into()))),
            },
            _ => false,
        }
}

fn is_placeholder(text: &str) -> bool {
    text == UNAVAILABLE || text == UNAVAILABLE_BASE64
}

/// An hstore is a text that holds a JSON object.
fn is_placeholder_map(text: &str) -> bool {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => map.len() == 1 && map.get(UNAVAILABLE).is_some_and(|value| value == UNAVAILABLE),
        _ => false,
    }
}

/// The columns in which a row of `PostgreSQL` and a row of the objects differ, in `PostgreSQL`'s order.
pub(crate) fn differing_columns(postgres: &[u8], objects: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    if postgres == objects {
        return Ok(Vec::new());
    }
    let found = Columns::of(objects)?;
    let mut names = Vec::new();
    for (name, value) in Columns::of(postgres)?.0 {
        let other = found.get(&name).map_or("null", RawValue::get);
        if value.get() != other && !same_value(value.get(), other)? {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}

/// Other writers may escape texts and write numbers in other ways.
fn same_value(one: &str, other: &str) -> Result<bool, serde_json::Error> {
    Ok(serde_json::from_str::<Value>(one)? == serde_json::from_str::<Value>(other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(row: &str, names: &[&str]) -> Result<String, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut key = Vec::new();
        write_key(row.as_bytes(), &names, &mut key).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(key).unwrap())
    }

    #[test]
    fn the_key_is_in_its_own_order_and_one_form() {
        assert_eq!(key(r#"{"b":1,"x":[{"a":9}],"a":"u\u00e9"}"#, &["a", "b"]).unwrap(), r#"{"a":"ué","b":1}"#);
        assert!(key(r#"{"b":1}"#, &["a"]).unwrap_err().contains("key column a is missing"));
        assert!(key("[1]", &["a"]).is_err());
    }

    #[test]
    fn unavailable_values_are_kept_in_every_form() {
        let numbers: Vec<u8> = UNAVAILABLE.bytes().collect();
        for form in [
            format!("\"{UNAVAILABLE}\""),
            format!("\"{UNAVAILABLE_BASE64}\""),
            format!("[\"{UNAVAILABLE}\"]"),
            format!("[\"{UNAVAILABLE_BASE64}\"]"),
            format!("[\"{UNAVAILABLE_UUID}\"]"),
            format!("{numbers:?}").replace(' ', ""),
            serde_json::to_string(&format!("{{\"{UNAVAILABLE}\":\"{UNAVAILABLE}\"}}")).unwrap(),
        ] {
            let new = format!(r#"{{"id":1,"kept":{form},"added":{form},"own":"x {UNAVAILABLE}"}}"#);
            assert!(has_unavailable(&new));
            let merged = keep_unavailable(new.as_bytes(), br#"{"id":0,"kept":["old"],"own":"y"}"#).unwrap();
            let expected = format!(r#"{{"id":1,"kept":["old"],"added":{form},"own":"x {UNAVAILABLE}"}}"#);
            assert_eq!(String::from_utf8(merged).unwrap(), expected);
        }
        assert!(!has_unavailable(r#"{"id":1,"numbers":[95,95]}"#));
    }

    #[test]
    fn rows_are_compared_by_postgresqls_columns() {
        let columns =
            |postgres: &str, objects: &str| differing_columns(postgres.as_bytes(), objects.as_bytes()).unwrap();
        assert!(columns(r#"{"a":1,"added":null}"#, r#"{"dropped":3,"a":1}"#).is_empty());
        assert!(columns(r#"{"a":"é","f":1.0}"#, r#"{"a":"\u00e9","f":1.00}"#).is_empty());
        assert_eq!(columns(r#"{"a":1,"b":2,"c":0}"#, r#"{"a":"1","b":2}"#), ["a", "c"]);
        assert_eq!(columns(r#"{"a":1}"#, r#"{"a":1.5}"#), ["a"]);
    }
}
