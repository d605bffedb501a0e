//! `float4` and `float8`: PostgreSQL's shortest digits in the notation of Java's `Float.toString` and
//! `Double.toString` (their specification since JDK 19; earlier ones sometimes write more digits of the same number).

use std::ops::Range;

use super::ValueError;
use super::json::write_number;

/// A decimal number `0.d1d2d3... * 10^point`, without leading or trailing zero digits.
struct Decimal {
    digits: [u8; 24],
    length: usize,
    point: i64,
}

/// Writes a `float4`.
pub(super) fn write_float4(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let two_digits =
        |text: &str| text.parse::<f32>().ok().filter(|value| value.is_finite()).map(|value| format!("{value:.1e}"));
    write_float(text, -37..39, two_digits, out)
}

/// Writes a `float8`.
pub(super) fn write_float8(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let two_digits =
        |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| format!("{value:.1e}"));
    write_float(text, -307..309, two_digits, out)
}

/// Writes a decimal number of any length as the nearest `float8`.
pub(super) fn write_double(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let number = str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let number = number.ok_or(ValueError::Form("a decimal number, NaN or an infinity"))?;
    if number.is_finite() {
        return write_float8(format!("{number:e}").as_bytes(), out);
    }
    // Also a number beyond the largest one.
    write_float8(
        if number.is_nan() {
            b"NaN"
        } else if number > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
        },
        out,
    )
}

/// At or below the first of the `points` a single digit is too coarse: there Java writes the nearest number of two
/// digits, which `two_digits` gives. From the last one on a number may be beyond the largest one.
fn write_float(
    text: &[u8],
    points: Range<i64>,
    two_digits: impl Fn(&str) -> Option<String>,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    const FORM: ValueError = ValueError::Form("a floating point number");
    match text {
        b"NaN" | b"Infinity" | b"-Infinity" => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
            return Ok(());
        }
        _ => {}
    }
    let (negative, magnitude) = match text.strip_prefix(b"-") {
        Some(magnitude) => (true, magnitude),
        None => (false, text),
    };
    let mut decimal = parse(magnitude).ok_or(FORM)?;
    let rounded = |magnitude: &[u8]| str::from_utf8(magnitude).ok().and_then(&two_digits);
    if decimal.point >= points.end && rounded(magnitude).is_none() {
        return Err(FORM);
    }
    if decimal.length == 1 && decimal.point <= points.start {
        let exact = rounded(magnitude).ok_or(FORM)?;
        decimal = parse(exact.as_bytes()).ok_or(FORM)?;
    }
    if negative {
        out.push(b'-');
    }
    decimal.write(out);
    Ok(())
}

/// Reads `digits[.digits][e[+|-]digits]` of at most 24 significant digits.
fn parse(text: &[u8]) -> Option<Decimal> {
    let mut decimal = Decimal { digits: [0; 24], length: 0, point: 0 };
    let mut digits_seen = false;
    let mut after_point = false;
    let mut trailing_zeros = 0;
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        match byte {
            b'0' if decimal.length == 0 => decimal.point -= i64::from(after_point),
            b'0' => {
                trailing_zeros += 1;
                decimal.point += i64::from(!after_point);
            }
            b'1'..=b'9' => {
                // The zeros between are known to be digits only now.
                let at = decimal.length + trailing_zeros;
                *decimal.digits.get_mut(at)? = byte - b'0';
                decimal.length = at + 1;
                trailing_zeros = 0;
                decimal.point += i64::from(!after_point);
            }
            b'.' if digits_seen && !after_point && !tail.is_empty() => after_point = true,
            b'e' | b'E' => break,
            _ => return None,
        }
        digits_seen |= byte.is_ascii_digit();
        rest = tail;
    }
    if !digits_seen {
        return None;
    }
    if let [_, exponent @ ..] = rest {
        let exponent = str::from_utf8(exponent).ok()?.parse::<i16>().ok()?;
        decimal.point += i64::from(exponent);
    }
    if decimal.length == 0 {
        decimal.point = 0;
    }
    Some(decimal)
}

impl Decimal {
    /// Plain notation from 10^-3 up to 10^7, else with an exponent; always a digit on both sides of the point.
    fn write(&self, out: &mut Vec<u8>) {
        let digits = &self.digits[..self.length];
        if digits.is_empty() {
            out.extend_from_slice(b"0.0");
        } else if (-2..=0).contains(&self.point) {
            out.extend_from_slice(b"0.");
            out.extend((self.point..0).map(|_| b'0'));
            push_digits(digits, out);
        } else if (1..=7).contains(&self.point) {
            let whole = usize::try_from(self.point).expect("between 1 and 7");
            push_digits(&digits[..whole.min(digits.len())], out);
            out.extend((digits.len()..whole).map(|_| b'0'));
            push_fraction(digits.get(whole..).unwrap_or_default(), out);
        } else {
            push_digits(&digits[..1], out);
            push_fraction(&digits[1..], out);
            out.push(b'E');
            write_number(self.point - 1, out);
        }
    }
}

fn push_digits(digits: &[u8], out: &mut Vec<u8>) {
    out.extend(digits.iter().map(|digit| digit + b'0'));
}

fn push_fraction(digits: &[u8], out: &mut Vec<u8>) {
    out.push(b'.');
    if digits.is_empty() {
        out.push(b'0');
    }
    push_digits(digits, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float8(text: &str) -> String {
        let mut out = Vec::new();
        write_float8(text.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn notation_changes_at_a_thousandth_and_at_ten_millions() {
        for (text, java) in [
            ("0.001", "0.001"),
            ("0.00099", "9.9E-4"),
            ("9999999", "9999999.0"),
            ("1e+07", "1.0E7"),
            ("-0", "-0.0"),
            ("100.05", "100.05"),
            ("5e-324", "4.9E-324"),
            ("1e-323", "9.9E-324"),
        ] {
            assert_eq!(float8(text), java);
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1e", "1e5.", "--1", "1x", "infinity", "nan", "0x1", "1e309", "-2e1160"]
        {
            assert!(write_float8(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_number_keeps_its_value(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            prop_assert_eq!(float8(&format!("{value:e}")).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
