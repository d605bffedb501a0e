//! JSON strings, escaped as Jackson's UTF-8 generator does by default.

use super::ValueError;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Writes a text between quotes. Short escapes where JSON has them, `\u00XX` for other control characters, and
/// characters beyond the basic plane as an escaped surrogate pair; everything else as it is.
#[inline]
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let plain = plain_prefix(text);
    out.extend_from_slice(&text[..plain]);
    if plain < text.len() {
        let rest = str::from_utf8(&text[plain..]).map_err(|_| ValueError::Encoding)?;
        escape(rest, out);
    }
    out.push(b'"');
    Ok(())
}

/// Writes a text between quotes into a JSON text that will itself be escaped: only quotes, backslashes and control
/// characters are escaped, as Jackson's generator over characters does.
pub(crate) fn write_inner_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            0..0x20 | b'"' | b'\\' => escape_byte(byte, out),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// How many bytes at the start need no escape: printable ASCII but the quote and the backslash. Eight at a time.
#[inline]
fn plain_prefix(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // A byte's high bit is set where the byte is zero; bytes above the lowest such one may be false alarms.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("the chunk has eight bytes"));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        let found = (control | special | word) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = words.remainder();
    at + tail.iter().position(|byte| !is_plain(*byte)).unwrap_or(tail.len())
}

const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte < 0x80 && byte != b'"' && byte != b'\\'
}

#[cold]
fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, byte) in bytes.iter().copied().enumerate() {
        // Only a four-byte sequence starts with 0xF0 or above; its other bytes are passed over by `done`.
        if at < done || !(byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0xF0) {
            continue;
        }
        out.extend_from_slice(&bytes[done..at]);
        if byte < 0x80 {
            escape_byte(byte, out);
            done = at + 1;
        } else {
            let character = text[at..].chars().next().expect("a character starts here");
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escape_unit(*unit, out);
            }
            done = at + 4;
        }
    }
    out.extend_from_slice(&bytes[done..]);
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0C => b'f',
        b'\r' => b'r',
        _ => return escape_unit(u16::from(byte), out),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn escape_unit(unit: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(HEX[usize::from(unit >> shift & 0xF)]);
    }
}

/// Writes a number in decimal digits.
#[inline]
pub(crate) fn write_number(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    write_digits(number.unsigned_abs(), 1, out);
}

/// Writes a number with at least `width` digits, 20 at most.
pub(crate) fn write_digits(number: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = number;
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit is below 10");
        rest /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_string(text, &mut out).unwrap();
        out
    }

    #[test]
    fn escapes_as_jackson_does() {
        assert_eq!(string(b"plain text of more than eight bytes"), b"\"plain text of more than eight bytes\"");
        assert_eq!(string(b"1234567\"\\/"), br#""1234567\"\\/""#);
        assert_eq!(
            string("\u{1}\u{8}\t\n\u{c}\r\u{1f}\u{7f}é€".as_bytes()),
            "\"\\u0001\\b\\t\\n\\f\\r\\u001F\u{7f}é€\"".as_bytes()
        );
        assert_eq!(string("a😀b".as_bytes()), br#""a\uD83D\uDE00b""#);
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
        let mut out = Vec::new();
        write_digits(7, 4, &mut out);
        assert_eq!(out, b"0007");
    }

    proptest! {
        #[test]
        fn strings_come_back(text: String) {
            let back: String = serde_json::from_slice(&string(text.as_bytes())).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn any_ascii_comes_back(text in "[ -~\u{0}-\u{1f}]{0,40}") {
            let back: String = serde_json::from_slice(&string(text.as_bytes())).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn inner_strings_come_back(text: String) {
            let mut out = Vec::new();
            write_inner_string(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn plain_prefixes_agree_with_the_plain_rule(text: Vec<u8>) {
            let expected = text.iter().position(|byte| !is_plain(*byte)).unwrap_or(text.len());
            prop_assert_eq!(plain_prefix(&text), expected);
        }
    }
}
