//! One-dimensional arrays.

use super::epoch::{self, Unit};
use super::time::write_time_element;
use super::{ColumnType, Modes, ValueError, write_value};

/// Writes one element's text.
type WriteElement<'a> = dyn Fn(&[u8], &mut Vec<u8>) -> Result<(), ValueError> + 'a;

const FORM: ValueError = ValueError::Form("an array as {1,NULL,\"a b\"}");

/// Writes the elements; bounds other than from 1 are dropped.
pub(super) fn write_array(
    element: &ColumnType,
    modes: Modes,
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let write = |value: &[u8], out: &mut Vec<u8>| write_element(element, modes, value, out);
    let mut rest = without_bounds(text)?.strip_prefix(b"{").ok_or(FORM)?;
    out.push(b'[');
    if rest == b"}" {
        out.push(b']');
        return Ok(());
    }
    let mut scratch = Vec::new();
    loop {
        rest = match rest {
            [b'{', ..] => return Err(ValueError::Dimensions),
            [b'"', quoted @ ..] => write_quoted(quoted, &mut scratch, &write, out)?,
            _ => write_bare(rest, &write, out)?,
        };
        match rest {
            b"}" => break,
            [b',', tail @ ..] => {
                out.push(b',');
                rest = tail;
            }
            _ => return Err(FORM),
        }
    }
    out.push(b']');
    Ok(())
}

/// Drops `[2:3]=`; more than one pair of bounds means more than one dimension.
fn without_bounds(text: &[u8]) -> Result<&[u8], ValueError> {
    if text.first() != Some(&b'[') {
        return Ok(text);
    }
    let equals = text.iter().position(|byte| *byte == b'=').ok_or(FORM)?;
    if text[1..equals].contains(&b'[') {
        return Err(ValueError::Dimensions);
    }
    Ok(&text[equals + 1..])
}

/// Writes an element without quotes, and gives what follows it.
fn write_bare<'a>(text: &'a [u8], write: &WriteElement<'_>, out: &mut Vec<u8>) -> Result<&'a [u8], ValueError> {
    let end = text.iter().position(|byte| matches!(byte, b',' | b'}')).ok_or(FORM)?;
    match &text[..end] {
        [] => return Err(FORM),
        b"NULL" => out.extend_from_slice(b"null"),
        value => write(value, out)?,
    }
    Ok(&text[end..])
}

/// Writes an element whose opening quote has been read, and gives what follows its closing quote.
fn write_quoted<'a>(
    text: &'a [u8],
    scratch: &mut Vec<u8>,
    write: &WriteElement<'_>,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], ValueError> {
    scratch.clear();
    let mut from = 0;
    loop {
        let at = from + text[from..].iter().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(FORM)?;
        scratch.extend_from_slice(&text[from..at]);
        if text[at] == b'"' {
            write(scratch, out)?;
            return Ok(&text[at + 1..]);
        }
        scratch.push(*text.get(at + 1).ok_or(FORM)?);
        from = at + 2;
    }
}

fn write_element(element: &ColumnType, modes: Modes, value: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match element {
        ColumnType::Time(digits) => match Unit::of(modes.time, *digits, true) {
            Some(unit) => epoch::write_time_element(value, unit, out),
            None => write_time_element(value, out),
        },
        _ => write_value(element, modes, value, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<String, ValueError> {
        let mut out = Vec::new();
        write_array(&ColumnType::Text, Modes::PLAN, text.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn quotes_nulls_and_bounds() {
        assert_eq!(texts(r#"{a,NULL,"NULL","","a \"b\\"}"#).unwrap(), r#"["a",null,"NULL","","a \"b\\"]"#);
        assert_eq!(texts("[2:3]={a,b}").unwrap(), r#"["a","b"]"#);
        assert_eq!(texts("{}").unwrap(), "[]");
    }

    #[test]
    fn more_dimensions_and_broken_texts_are_refused() {
        assert_eq!(texts("{{a},{b}}"), Err(ValueError::Dimensions));
        assert_eq!(texts("[1:1][1:1]={{a}}"), Err(ValueError::Dimensions));
        for text in ["", "{", "a", "{a", "{a,}", "{,a}", "{\"a}", "{\"a\"b}", "{a}b", "[1:2]", "{\"a\\"] {
            assert!(texts(text).is_err(), "{text}");
        }
    }
}
