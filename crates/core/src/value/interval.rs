//! `interval` as microseconds, a month counting 365.25 / 12 days.

use super::ValueError;
use super::json::write_number;

const FORM: ValueError = ValueError::Form("an interval as 1 year 2 mons 3 days 04:05:06.789 (IntervalStyle=postgres)");
const DAYS_PER_MONTH: f64 = 365.25 / 12.0;

/// Debezium computes in binary floating point and cuts the fraction off, so the last microseconds may be off: the
/// same is done here, step by step. The result stops at the limits of 64 bits.
pub(super) fn write_interval(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let text = str::from_utf8(text).map_err(|_| ValueError::Encoding)?;
    let mut interval = Interval::default();
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        match words.next() {
            Some(unit) => interval.add(word, unit).ok_or(FORM)?,
            None => interval.add_clock(word).ok_or(FORM)?,
        }
    }
    write_number(interval.micros(), out);
    Ok(())
}

#[derive(Default)]
struct Interval {
    months: i32,
    days: i32,
    hours: i32,
    minutes: i32,
    seconds: f64,
}

impl Interval {
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
        self.seconds = f64::from(sign * i32::from(whole.parse::<u8>().ok()?)) + f64::from(sign * micros) / 1e6;
        Some(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the conversion stops at the limits, as Java's does")]
    fn micros(&self) -> i64 {
        let days = f64::from(self.months) * DAYS_PER_MONTH + f64::from(self.days);
        let hours = days * 24.0 + f64::from(self.hours);
        let seconds = (hours * 60.0 + f64::from(self.minutes)) * 60.0 + self.seconds;
        (seconds * 1e6) as i64
    }
}
