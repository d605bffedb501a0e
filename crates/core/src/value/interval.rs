//! `interval` as microseconds, a month counting 365.25 / 12 days, or in the parts that it is made of.

use super::ValueError;
use super::json::{write_digits, write_number};

const FORM: ValueError = ValueError::Form("an interval as 1 year 2 mons 3 days 04:05:06.789 (IntervalStyle=postgres)");
const DAYS_PER_MONTH: f64 = 365.25 / 12.0;

/// Debezium computes in binary floating point and cuts the fraction off, so the last microseconds may be off: the
/// same is done here, step by step. The result stops at the limits of 64 bits.
pub(super) fn write_interval(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    write_number(Interval::parse(text)?.micros(), out);
    Ok(())
}

/// As `"P1Y2M3DT4H5M6.789S"`, each part with a sign of its own.
pub(super) fn write_interval_parts(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let Interval { months, days, hours, minutes, second_micros } = Interval::parse(text)?;
    out.extend_from_slice(b"\"P");
    for (number, unit) in [(months / 12, &b"Y"[..]), (months % 12, b"M"), (days, b"DT"), (hours, b"H"), (minutes, b"M")]
    {
        write_number(number.into(), out);
        out.extend_from_slice(unit);
    }
    if second_micros < 0 {
        out.push(b'-');
    }
    let magnitude = u64::from(second_micros.unsigned_abs());
    write_digits(magnitude / 1_000_000, 1, out);
    if !magnitude.is_multiple_of(1_000_000) {
        out.push(b'.');
        write_digits(magnitude % 1_000_000, 6, out);
        let zeros = out.iter().rev().take_while(|byte| **byte == b'0').count();
        out.truncate(out.len() - zeros);
    }
    out.extend_from_slice(b"S\"");
    Ok(())
}

#[derive(Default)]
struct Interval {
    months: i32,
    days: i32,
    hours: i32,
    minutes: i32,
    /// The seconds below a minute, in microseconds.
    second_micros: i32,
}

impl Interval {
    fn parse(text: &[u8]) -> Result<Self, ValueError> {
        let text = str::from_utf8(text).map_err(|_| ValueError::Encoding)?;
        let mut interval = Self::default();
        let mut words = text.split(' ');
        while let Some(word) = words.next() {
            match words.next() {
                Some(unit) => interval.add(word, unit).ok_or(FORM)?,
                None => interval.add_clock(word).ok_or(FORM)?,
            }
        }
        Ok(interval)
    }

    fn add(&mut self, amount: &str, unit: &str) -> Option<()> {
        let amount: i32 = amount.parse().ok()?;
        match unit {
            "year" | "years" => self.months = self.months.wrapping_add(amount.wrapping_mul(12)),
            "mon" | "mons" => self.months = self.months.wrapping_add(amount),
            "day" | "days" => self.days = amount,
            _ => return None,
        }
        Some(())
    }

    /// Reads `[-]hours:minutes:seconds[.fraction]`.
    fn add_clock(&mut self, clock: &str) -> Option<()> {
        let negative = clock.starts_with('-');
        let mut parts = clock.trim_start_matches(['-', '+']).splitn(3, ':');
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let sign = if negative { -1 } else { 1 };
        let micros: i32 = format!("{fraction:0<6}").parse().ok()?;
        self.hours = sign * i32::try_from(hours.parse::<u32>().ok()?).ok()?;
        self.minutes = sign * i32::from(minutes.parse::<u8>().ok()?);
        self.second_micros = sign * (i32::from(whole.parse::<u8>().ok()?) * 1_000_000 + micros);
        Some(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the conversion stops at the limits, as Java's does")]
    fn micros(&self) -> i64 {
        let days = f64::from(self.months) * DAYS_PER_MONTH + f64::from(self.days);
        let hours = days * 24.0 + f64::from(self.hours);
        let below_a_minute =
            f64::from(self.second_micros / 1_000_000) + f64::from(self.second_micros % 1_000_000) / 1e6;
        let seconds = (hours * 60.0 + f64::from(self.minutes)) * 60.0 + below_a_minute;
        (seconds * 1e6) as i64
    }
}
