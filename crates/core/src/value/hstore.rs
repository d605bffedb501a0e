//! `hstore` as a JSON object, or as a string that holds one.

use super::json::{write_inner_string, write_string};
use super::{HstoreMode, ValueError};

const FORM: ValueError = ValueError::Form("an hstore as \"key\"=>\"value\", \"key\"=>NULL");

/// Writes the pairs in the order in which a Java hash map gives them, as they leave Debezium.
pub(super) fn write_hstore(text: &[u8], mode: HstoreMode, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let text = str::from_utf8(text).map_err(|_| ValueError::Encoding)?;
    let mut pairs = parse(text).ok_or(FORM)?;
    let buckets = buckets(pairs.len());
    pairs.sort_by_key(|(key, _)| java_hash(key) & (buckets - 1));
    if mode == HstoreMode::Map {
        return write_object(&pairs, |text, out| write_string(text.as_bytes(), out), out);
    }
    let mut object = Vec::with_capacity(text.len() + 2);
    let inner = |text: &str, out: &mut Vec<u8>| {
        write_inner_string(text, out);
        Ok(())
    };
    write_object(&pairs, inner, &mut object)?;
    write_string(&object, out)
}

fn write_object(
    pairs: &[(String, Option<String>)],
    write: impl Fn(&str, &mut Vec<u8>) -> Result<(), ValueError>,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    out.push(b'{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(key, out)?;
        out.push(b':');
        match value {
            Some(value) => write(value, out)?,
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    Ok(())
}

fn parse(text: &str) -> Option<Vec<(String, Option<String>)>> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, tail) = quoted(rest)?;
        let tail = tail.strip_prefix("=>")?;
        let (value, tail) = match tail.strip_prefix("NULL") {
            Some(tail) => (None, tail),
            None => quoted(tail).map(|(value, tail)| (Some(value), tail))?,
        };
        pairs.push((key, value));
        rest = match tail.strip_prefix(", ") {
            Some("") => return None,
            Some(tail) => tail,
            None if tail.is_empty() => tail,
            None => return None,
        };
    }
    Some(pairs)
}

/// Reads a text between quotes, a backslash before each quote and backslash in it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

/// How many buckets a `java.util.HashMap` has after so many entries: it starts with 16 and doubles when it is more
/// than three quarters full.
fn buckets(entries: usize) -> u32 {
    let mut buckets = 16u32;
    while entries > buckets as usize / 4 * 3 {
        buckets *= 2;
    }
    buckets
}

/// `String.hashCode` over UTF-16 units, spread as the hash map does. Within a bucket the order is that of insertion.
fn java_hash(text: &str) -> u32 {
    let hash = text.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_hstore_is_refused() {
        for text in ["\"a\"", "a=>1", "\"a\"=>\"1\",", "\"a\"=>\"1\", ", "\"a\"=>\"1", "\"a\"=>1", "\"a\"=>NULLx"] {
            assert!(write_hstore(text.as_bytes(), HstoreMode::Json, &mut Vec::new()).is_err(), "{text}");
        }
    }
}
