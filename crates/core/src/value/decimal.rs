//! `numeric` and `money` as exact binary numbers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ValueError;
use super::json::write_number;
use super::number::{amount, is_decimal};

const NUMBER: ValueError = ValueError::Form("a decimal number");
/// Nine digits fit into a limb of 32 bits.
const LIMB_DIGITS: usize = 9;

/// A `numeric` with a scale: its digits as one number, in base64. NaN and the infinities have no such form.
pub(super) fn write_scaled(text: &[u8], scale: usize, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !is_decimal(text) {
        return Err(no_number(text));
    }
    let (whole, fraction) = split(text);
    if fraction.len() != scale {
        return Err(NUMBER);
    }
    push_unscaled(text.starts_with(b"-"), whole, fraction, out);
    Ok(())
}

/// A `numeric` without a scale: with its own beside it, zeros at its end left out.
pub(super) fn write_variable(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !is_decimal(text) {
        return Err(no_number(text));
    }
    let (whole, fraction) = split(text);
    let zeros = fraction.iter().rev().take_while(|digit| **digit == b'0').count();
    let fraction = &fraction[..fraction.len() - zeros];
    out.extend_from_slice(b"{\"scale\":");
    write_number(i64::try_from(fraction.len()).map_err(|_| NUMBER)?, out);
    out.extend_from_slice(b",\"value\":");
    push_unscaled(text.starts_with(b"-"), whole, fraction, out);
    out.push(b'}');
    Ok(())
}

/// `money` in its smallest unit.
pub(super) fn write_money(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let amount = amount(text)?;
    let (whole, fraction) = split(&amount);
    push_unscaled(amount.starts_with(b"-"), whole, fraction, out);
    Ok(())
}

fn no_number(text: &[u8]) -> ValueError {
    match text {
        b"NaN" | b"Infinity" | b"-Infinity" => ValueError::Mode("neither NaN nor an infinity is a precise decimal"),
        _ => NUMBER,
    }
}

/// The digits before and behind the point, without the sign.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits.iter().position(|byte| *byte == b'.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &[]),
    }
}

/// The number in base64: two's complement, the highest byte first, in as few bytes as hold it.
fn push_unscaled(negative: bool, whole: &[u8], fraction: &[u8], out: &mut Vec<u8>) {
    let mut bytes = magnitude(whole.iter().chain(fraction).copied());
    let high = bytes.last().copied().unwrap_or_default();
    if bytes.is_empty() || high & 0x80 != 0 {
        bytes.push(0);
    }
    if negative {
        negate(&mut bytes);
    }
    bytes.reverse();
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// A number's bytes, the lowest first, without zero bytes at the high end.
fn magnitude(digits: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut limbs: Vec<u32> = Vec::new();
    let digits: Vec<u8> = digits.skip_while(|digit| *digit == b'0').collect();
    let first = digits.len() % LIMB_DIGITS;
    let (head, rest) = digits.split_at(first);
    for piece in std::iter::once(head).filter(|head| !head.is_empty()).chain(rest.chunks(LIMB_DIGITS)) {
        let scale = 10u64.pow(u32::try_from(piece.len()).expect("nine digits at most"));
        let mut carry = piece.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        for limb in &mut limbs {
            let product = u64::from(*limb) * scale + carry;
            *limb = low(product);
            carry = product >> 32;
        }
        if carry > 0 {
            limbs.push(low(carry));
        }
    }
    let mut bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(length);
    bytes
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low(number: u64) -> u32 {
    number as u32
}

/// Two's complement, lowest byte first; a sign byte that has become needless goes.
fn negate(bytes: &mut Vec<u8>) {
    let mut carry = true;
    for byte in bytes.iter_mut() {
        let (negated, overflow) = (!*byte).overflowing_add(u8::from(carry));
        *byte = negated;
        carry = overflow;
    }
    while let [.., below, 0xFF] = bytes[..]
        && below & 0x80 != 0
    {
        bytes.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unscaled(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_scaled(text.as_bytes(), text.split_once('.').map_or(0, |(_, fraction)| fraction.len()), &mut out)
            .unwrap();
        STANDARD.decode(&out[1..out.len() - 1]).unwrap()
    }

    #[test]
    fn the_edges_of_a_byte() {
        for (text, bytes) in [
            ("0", &[0][..]),
            ("-0", &[0]),
            ("127", &[0x7F]),
            ("128", &[0, 0x80]),
            ("-128", &[0x80]),
            ("-129", &[0xFF, 0x7F]),
            ("-255", &[0xFF, 1]),
            ("-256", &[0xFF, 0]),
            ("2.56", &[1, 0]),
        ] {
            assert_eq!(unscaled(text), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_number_comes_back(number: i128) {
            let bytes = unscaled(&number.to_string());
            let fill = if number < 0 { 0xFF } else { 0 };
            let mut whole = vec![fill; 16 - bytes.len()];
            whole.extend(&bytes);
            prop_assert_eq!(i128::from_be_bytes(whole.try_into().unwrap()), number);
            // As few bytes as hold it.
            let needless = bytes.len() > 1 && bytes[0] == fill && (bytes[1] & 0x80 != 0) == (number < 0);
            prop_assert!(!needless, "{:?}", bytes);
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "x", "1.2.3", "NaN", "Infinity", "1e5"] {
            assert!(write_scaled(text.as_bytes(), 0, &mut Vec::new()).is_err(), "{text}");
            assert!(write_variable(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
        assert!(write_scaled(b"1.5", 2, &mut Vec::new()).is_err());
    }
}
