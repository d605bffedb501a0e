//! Dates and times in ISO 8601, UTC, as `time.precision.mode=isostring` has them; `timetz` and `timestamptz` in every mode.
//!
//! Years before 1 are written in the proleptic way (1 BC is `0000`, 44 BC is `-0043`), years above 9999 with a plus.

use super::ValueError;
use super::json::write_digits;

pub(super) const DATE: ValueError = ValueError::Form("a date as 2024-02-29, perhaps with BC");
pub(super) const TIME: ValueError = ValueError::Form("a time as 12:34:56.789");
const TIMETZ: ValueError = ValueError::Form("a time with an offset as 12:34:56.789+02");
pub(super) const TIMESTAMP: ValueError = ValueError::Form("a timestamp as 2024-02-29 12:34:56.789, perhaps with BC");
const TIMESTAMPTZ: ValueError = ValueError::Form("a timestamp as 2024-02-29 12:34:56.789+00 (TimeZone=UTC)");

/// `date`. The infinities are the days that Debezium streams for them.
pub(super) fn write_date(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match text {
        b"infinity" => out.extend_from_slice(b"\"+5877611-06-21Z\""),
        b"-infinity" => out.extend_from_slice(b"\"-5877611-06-22Z\""),
        _ => {
            let (date, before_christ) = split_era(text);
            out.push(b'"');
            push_date(date, before_christ, out).ok_or(DATE)?;
            out.extend_from_slice(b"Z\"");
        }
    }
    Ok(())
}

/// `time`. The end of the day, 24:00:00, becomes its start.
pub(super) fn write_time(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let clock = Clock::parse(text).ok_or(TIME)?;
    out.push(b'"');
    clock.push(out);
    out.extend_from_slice(b"Z\"");
    Ok(())
}

/// An element of `time[]`: cut to milliseconds, as the real one does.
pub(super) fn write_time_element(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut clock = Clock::parse(text).ok_or(TIME)?;
    let fraction = &clock.fraction[..clock.fraction.len().min(3)];
    let zeros = fraction.iter().rev().take_while(|digit| **digit == b'0').count();
    clock.fraction = &fraction[..fraction.len() - zeros];
    out.push(b'"');
    clock.push(out);
    out.extend_from_slice(b"Z\"");
    Ok(())
}

/// `timetz`, moved to UTC. The end of the day stays what it is where nothing is moved, as in the real one.
pub(super) fn write_timetz(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if text == b"24:00:00+00" {
        out.extend_from_slice(b"\"24:00:00Z\"");
        return Ok(());
    }
    let clock = parse_timetz(text).ok_or(TIMETZ)?;
    out.push(b'"');
    clock.push(out);
    out.extend_from_slice(b"Z\"");
    Ok(())
}

/// `timestamp`. The infinities are the moments that Debezium writes for them.
pub(super) fn write_timestamp(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match text {
        b"infinity" => out.extend_from_slice(b"\"+292278994-08-16T23:00:00Z\""),
        b"-infinity" => out.extend_from_slice(b"\"-292275055-05-16T23:00:00Z\""),
        _ => {
            let (text, before_christ) = split_era(text);
            let (date, time) = split_at_byte(text, b' ').ok_or(TIMESTAMP)?;
            out.push(b'"');
            push_date(date, before_christ, out).ok_or(TIMESTAMP)?;
            out.push(b'T');
            Clock::parse(time).ok_or(TIMESTAMP)?.push(out);
            out.extend_from_slice(b"Z\"");
        }
    }
    Ok(())
}

/// `timestamptz`, always with `digits` digits of the second.
pub(super) fn write_timestamptz(text: &[u8], digits: u8, out: &mut Vec<u8>) -> Result<(), ValueError> {
    match text {
        b"infinity" => out.extend_from_slice(b"\"infinity\""),
        b"-infinity" => out.extend_from_slice(b"\"-infinity\""),
        _ => {
            let (text, before_christ) = split_era(text);
            let text = text.strip_suffix(b"+00").ok_or(TIMESTAMPTZ)?;
            let (date, time) = split_at_byte(text, b' ').ok_or(TIMESTAMPTZ)?;
            let clock = Clock::parse(time).ok_or(TIMESTAMPTZ)?;
            out.push(b'"');
            push_date(date, before_christ, out).ok_or(TIMESTAMPTZ)?;
            out.push(b'T');
            clock.push(out);
            let padding = usize::from(digits).saturating_sub(clock.fraction.len());
            if padding > 0 && clock.fraction.is_empty() {
                out.push(b'.');
            }
            out.extend((0..padding).map(|_| b'0'));
            out.extend_from_slice(b"Z\"");
        }
    }
    Ok(())
}

pub(super) fn split_era(text: &[u8]) -> (&[u8], bool) {
    match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    }
}

pub(super) fn split_at_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|found| *found == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Reads `year-month-day`, the year in four digits or more, and writes it.
fn push_date(date: &[u8], before_christ: bool, out: &mut Vec<u8>) -> Option<()> {
    let (year, month_day) = date.split_at_checked(date.len().checked_sub(6)?)?;
    let [b'-', m1, m2, b'-', d1, d2] = month_day else { return None };
    if !([m1, m2, d1, d2].iter().all(|digit| digit.is_ascii_digit()) && (4..=9).contains(&year.len())) {
        return None;
    }
    if year.len() == 4 && !before_christ && year.iter().all(u8::is_ascii_digit) {
        out.extend_from_slice(date);
        return Some(());
    }
    let year = number(year)?;
    let (sign, magnitude): (&[u8], _) = match (before_christ, year) {
        (false, ..=9999) => (b"", year),
        (false, _) => (b"+", year),
        (true, 0) => return None,
        (true, 1) => (b"", 0),
        (true, _) => (b"-", year - 1),
    };
    out.extend_from_slice(sign);
    write_digits(magnitude, 4, out);
    out.extend_from_slice(month_day);
    Some(())
}

/// Reads a number of 1 to 18 digits.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// A time of day.
pub(super) struct Clock<'a> {
    pub(super) hour: u64,
    pub(super) minute: u64,
    pub(super) second: u64,
    /// The digits after the point, 6 at most.
    pub(super) fraction: &'a [u8],
}

impl<'a> Clock<'a> {
    /// Reads `hours:minutes:seconds[.fraction]`; 24:00:00 is 00:00:00.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (clock, fraction) = match split_at_byte(text, b'.') {
            Some((clock, fraction)) => (clock, fraction),
            None => (text, [].as_slice()),
        };
        let [h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
        let has_point = clock.len() < text.len();
        if (has_point && fraction.is_empty()) || fraction.len() > 6 || !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let hour = number(&[*h1, *h2])? % 24;
        Some(Self { hour, minute: number(&[*m1, *m2])?, second: number(&[*s1, *s2])?, fraction })
    }

    fn push(&self, out: &mut Vec<u8>) {
        write_digits(self.hour, 2, out);
        out.push(b':');
        write_digits(self.minute, 2, out);
        out.push(b':');
        write_digits(self.second, 2, out);
        if !self.fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(self.fraction);
        }
    }
}

/// Reads a time with an offset `+HH[:MM[:SS]]` and moves it to UTC.
fn parse_timetz(text: &[u8]) -> Option<Clock<'_>> {
    const DAY: u64 = 86_400;
    let sign = text.iter().position(|byte| matches!(byte, b'+' | b'-'))?;
    let clock = Clock::parse(&text[..sign])?;
    let mut offset = 0;
    let mut unit = 3600;
    for part in text[sign + 1..].split(|byte| *byte == b':') {
        if unit == 0 {
            return None;
        }
        offset += number(part)?.checked_mul(unit).filter(|seconds| *seconds < DAY)?;
        unit /= 60;
    }
    let east = text[sign] == b'+';
    let local = clock.hour * 3600 + clock.minute * 60 + clock.second + 2 * DAY;
    let utc = (if east { local - offset % DAY } else { local + offset }) % DAY;
    Some(Clock { hour: utc / 3600, minute: utc / 60 % 60, second: utc % 60, fraction: clock.fraction })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&[u8], &mut Vec<u8>) -> Result<(), ValueError>, text: &str) -> String {
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn years_are_proleptic() {
        assert_eq!(written(write_date, "0044-03-15 BC"), "\"-0043-03-15Z\"");
        assert_eq!(written(write_date, "0001-01-01 BC"), "\"0000-01-01Z\"");
        assert_eq!(written(write_date, "10000-01-01"), "\"+10000-01-01Z\"");
    }

    #[test]
    fn offsets_with_seconds_are_moved_to_utc() {
        assert_eq!(written(write_timetz, "01:00:00+15:59:59"), "\"09:00:01Z\"");
        assert_eq!(written(write_timetz, "24:00:00-01"), "\"01:00:00Z\"");
    }

    #[test]
    fn digits_are_padded_to_the_precision() {
        let write = |text: &[u8], out: &mut Vec<u8>| write_timestamptz(text, 3, out);
        assert_eq!(written(write, "2024-02-29 12:34:56.7+00"), "\"2024-02-29T12:34:56.700Z\"");
    }

    #[test]
    fn other_zones_and_broken_texts_are_refused() {
        for text in ["", "2024-02-29", "2024-02-29 12:34:56+02", "2024-02-29 12:34:56", "2024-2-29 12:34:56+00", "x"] {
            assert!(write_timestamptz(text.as_bytes(), 6, &mut Vec::new()).is_err(), "{text}");
        }
        for text in ["", "12:34", "12:34:56.", "12:34:5x", "1:2:3"] {
            assert!(write_time(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
        for text in ["", "29-02-2024", "2024-02-2x", "0000-01-01 BC"] {
            assert!(write_date(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
    }
}
