//! Objects as written, member by member: values are passed on byte for byte.

use serde_json::Value;

use crate::value::json::write_string;

/// An object's members in order: name, and value as written.
pub(super) type Members<'a> = Vec<(String, &'a [u8])>;

/// Takes an object apart; none if it is another value.
pub(super) fn members(object: &[u8]) -> Option<Members<'_>> {
    let mut rest = object.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let name_end = string_end(rest)?;
        let Value::String(name) = serde_json::from_slice(&rest[..name_end]).ok()? else { return None };
        let value = rest[name_end..].strip_prefix(b":")?;
        let value_end = value_end(value)?;
        members.push((name, &value[..value_end]));
        rest = match &value[value_end..] {
            [] => &[],
            [b',', rest @ ..] if !rest.is_empty() => rest,
            _ => return None,
        };
    }
    Some(members)
}

/// Where a text between quotes ends.
fn string_end(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where a member's value ends: at the comma behind it, or at the end.
pub(super) fn value_end(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += string_end(&text[at..])?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => break,
            _ => {}
        }
        at += 1;
    }
    (depth == 0 && at > 0).then_some(at)
}

/// An array's elements as written; none if it is another value.
pub(super) fn elements(array: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = array.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let end = value_end(rest)?;
        elements.push(&rest[..end]);
        rest = rest[end..].strip_prefix(b",").unwrap_or_default();
    }
    Some(elements)
}

/// Puts an object together.
pub(super) fn object<'a, N: AsRef<str>>(members: impl IntoIterator<Item = (N, &'a [u8])>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (name, value) in members {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend(string(name.as_ref()));
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

/// A text between quotes.
pub(super) fn string(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_string(text.as_bytes(), &mut out).expect("a string is UTF-8");
    out
}

/// The member of that name, as written.
pub(super) fn member<'a>(members: &Members<'a>, name: &str) -> Option<&'a [u8]> {
    members.iter().find(|(found, _)| found == name).map(|(_, value)| *value)
}

/// What a value written as a header says: a string without its quotes, anything else as it is.
pub(super) fn plain(value: &[u8]) -> Vec<u8> {
    match serde_json::from_slice(value) {
        Ok(Value::String(text)) => text.into_bytes(),
        _ => value.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_passed_on_as_they_are() {
        let text = br#"{"a":1.50,"b\"":{"x":[1,"}"]},"c":"q\"},{","d":null}"#;
        let found = members(text).unwrap();
        let texts: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), str::from_utf8(value).unwrap())).collect();
        assert_eq!(texts, [("a", "1.50"), ("b\"", r#"{"x":[1,"}"]}"#), ("c", r#""q\"},{""#), ("d", "null")]);
        assert_eq!(object(found), text);
        assert_eq!(members(b"{}").unwrap().len(), 0);
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "null", "[1]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":]}", "{\"a\":\"}", "{\"a\\"] {
            assert_eq!(members(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_object_comes_back(pairs in proptest::collection::vec((".*", ".*", any::<i64>()), 0..6)) {
            let parts: Vec<_> = pairs.iter().map(|(name, text, n)| (name, json!({ text: [n, text] }).to_string())).collect();
            let written = object(parts.iter().map(|(name, value)| (name, value.as_bytes())));
            let found = members(&written).unwrap();
            prop_assert_eq!(found.len(), parts.len());
            for ((name, value), (wanted, text)) in found.iter().zip(&parts) {
                prop_assert_eq!(name, *wanted);
                prop_assert_eq!(*value, text.as_bytes());
            }
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
            let mut text = vec![b'{'];
            text.extend(bytes);
            text.push(b'}');
            let _ = members(&text);
        }
    }
}
