//! Booleans, integers, numeric and money.

use super::ValueError;

/// `t` or `f`.
pub(super) fn write_bool(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match text {
        b"t" => out.extend_from_slice(b"true"),
        b"f" => out.extend_from_slice(b"false"),
        _ => return Err(ValueError::Form("t or f")),
    }
    Ok(())
}

/// Digits with an optional minus, copied as they are.
#[inline]
pub(super) fn write_integer(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let leading_zero = digits.len() > 1 && digits[0] == b'0';
    if digits.is_empty() || leading_zero || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ValueError::Form("a whole number"));
    }
    out.extend_from_slice(text);
    Ok(())
}

/// A decimal number as a string of the same digits; the names of the others are those of Debezium's constants.
pub(super) fn write_numeric(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let name: &[u8] = match text {
        b"NaN" => b"NAN",
        b"Infinity" => b"POSITIVE_INFINITY",
        b"-Infinity" => b"NEGATIVE_INFINITY",
        _ if is_decimal(text) => text,
        _ => return Err(ValueError::Form("a decimal number, NaN or an infinity")),
    };
    out.push(b'"');
    out.extend_from_slice(name);
    out.push(b'"');
    Ok(())
}

pub(super) fn is_decimal(text: &[u8]) -> bool {
    let number = text.strip_prefix(b"-").unwrap_or(text);
    let mut points = 0;
    let digits = number.iter().all(|byte| {
        points += usize::from(*byte == b'.');
        byte.is_ascii_digit() || *byte == b'.'
    });
    digits && points < 2 && number.first().is_some_and(u8::is_ascii_digit) && number.last() != Some(&b'.')
}

/// An amount as `lc_monetary=C` writes it, `-$1,234.56`, as a string without currency and grouping.
pub(super) fn write_money(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.push(b'"');
    out.extend_from_slice(&amount(text)?);
    out.push(b'"');
    Ok(())
}

/// An amount without currency and grouping, as `-1234.56`.
pub(super) fn amount(text: &[u8]) -> Result<Vec<u8>, ValueError> {
    let (minus, amount): (&[u8], _) = match text.strip_prefix(b"-") {
        Some(amount) => (b"-", amount),
        None => (b"", text),
    };
    let amount = amount.strip_prefix(b"$").ok_or(ValueError::Form("an amount as -$1,234.56 (lc_monetary=C)"))?;
    let digits = amount.iter().filter(|byte| **byte != b',');
    let plain: Vec<u8> = minus.iter().chain(digits).copied().collect();
    if !is_decimal(&plain) {
        return Err(ValueError::Form("an amount as -$1,234.56 (lc_monetary=C)"));
    }
    Ok(plain)
}
