//! `bytea` in base64 or hexadecimal digits, and bit strings in base64.

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::{BinaryMode, ValueError};

const HEX: ValueError = ValueError::Form("\\x and pairs of hexadecimal digits (bytea_output=hex)");
const BITS: ValueError = ValueError::Form("digits 0 and 1");
/// A multiple of three, so that pieces can be encoded one after another without padding.
const PIECE: usize = 768;

/// `bytea`.
pub(super) fn write_bytea(text: &[u8], mode: BinaryMode, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let digits = text.strip_prefix(b"\\x").filter(|digits| digits.len() % 2 == 0).ok_or(HEX)?;
    match mode {
        BinaryMode::Bytes | BinaryMode::Base64 => write_base64(digits, &STANDARD, out),
        BinaryMode::Base64UrlSafe => write_base64(digits, &URL_SAFE, out),
        BinaryMode::Hex => write_hex(digits, out),
    }
}

/// PostgreSQL's digits are in lower case, as Debezium's.
fn write_hex(digits: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(HEX);
    }
    out.push(b'"');
    out.extend_from_slice(digits);
    out.push(b'"');
    Ok(())
}

fn write_base64(digits: &[u8], engine: &GeneralPurpose, out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.reserve(digits.len() / 6 * 4 + 6);
    out.push(b'"');
    let mut bytes = [0; PIECE];
    for piece in digits.chunks(2 * PIECE) {
        for (byte, pair) in bytes.iter_mut().zip(piece.chunks_exact(2)) {
            *byte = nibble(pair[0]).ok_or(HEX)? << 4 | nibble(pair[1]).ok_or(HEX)?;
        }
        push_base64(&bytes[..piece.len() / 2], engine, out);
    }
    out.push(b'"');
    Ok(())
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Appends at most [`PIECE`] bytes.
fn push_base64(bytes: &[u8], engine: &GeneralPurpose, out: &mut Vec<u8>) {
    let mut encoded = [0; PIECE / 3 * 4];
    let length = engine.encode_slice(bytes, &mut encoded).expect("the buffer holds a piece");
    out.extend_from_slice(&encoded[..length]);
}

/// A bit string of length 1 is a boolean; an empty `varbit(1)` is null, as in the real one.
pub(super) fn write_bit(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.extend_from_slice(match text {
        b"0" => b"false",
        b"1" => b"true",
        b"" => b"null",
        _ => return Err(ValueError::Form("0 or 1")),
    });
    Ok(())
}

/// A bit string as a number: its last bit is the lowest of the first byte, zero bytes at the end are left out.
pub(super) fn write_bits(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !text.iter().all(|bit| matches!(bit, b'0' | b'1')) {
        return Err(BITS);
    }
    let leading = text.iter().take_while(|bit| **bit == b'0').count();
    out.push(b'"');
    let mut bytes = [0; PIECE];
    for piece in text[leading..].rchunks(8 * PIECE) {
        for (byte, bits) in bytes.iter_mut().zip(piece.rchunks(8)) {
            *byte = bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        }
        push_base64(&bytes[..piece.len().div_ceil(8)], &STANDARD, out);
    }
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_of_any_length_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap();
            let hex: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect();
            let mut out = Vec::new();
            write_bytea(format!("\\x{hex}").as_bytes(), BinaryMode::Bytes, &mut out).unwrap();
            let text: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(STANDARD.decode(text).unwrap(), bytes);
        }

        #[test]
        fn bits_are_a_little_endian_number(number: u64, width in 64usize..20_000) {
            let mut out = Vec::new();
            write_bits(format!("{number:0width$b}").as_bytes(), &mut out).unwrap();
            let mut bytes = STANDARD.decode(&out[1..out.len() - 1]).unwrap();
            prop_assert_ne!(bytes.last(), Some(&0));
            bytes.resize(8, 0);
            prop_assert_eq!(u64::from_le_bytes(bytes.try_into().unwrap()), number);
        }
    }

    #[test]
    fn long_bit_strings_span_pieces() {
        let text = "1".repeat(8 * PIECE * 2 + 3);
        let mut out = Vec::new();
        write_bits(text.as_bytes(), &mut out).unwrap();
        let bytes = STANDARD.decode(&out[1..out.len() - 1]).unwrap();
        assert_eq!(bytes.len(), 2 * PIECE + 1);
        assert_eq!(bytes.last(), Some(&0b111));
    }
}
