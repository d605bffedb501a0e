//! Dates, times and timestamps as numbers since 1970-01-01, or since midnight.

use super::ValueError;
use super::json::write_number;
use super::modes::TimeMode;
use super::time::{Clock, DATE, TIME, TIMESTAMP, number, split_at_byte, split_era};

const DAY_MICROS: i64 = 86_400_000_000;
/// The days that Debezium writes for the infinities, which are those of its driver's dates.
const DATE_INFINITY: i64 = 2_146_033_979;
const DATE_MINUS_INFINITY: i64 = -2_147_472_691;
/// The milliseconds that its driver has for the infinities; finer units have the ends of 64 bits.
const MILLIS_INFINITY: i64 = 9_223_372_036_825_200_000;
const MILLIS_MINUS_INFINITY: i64 = -9_223_372_036_832_400_000;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// The unit of a `time` or `timestamp` of so many digits of the second; none for a string.
    pub(crate) fn of(mode: TimeMode, digits: u8, is_time: bool) -> Option<Self> {
        match mode {
            TimeMode::Isostring => None,
            TimeMode::Connect => Some(Self::Millis),
            TimeMode::Nanoseconds => Some(Self::Nanos),
            TimeMode::AdaptiveTimeMicroseconds if is_time => Some(Self::Micros),
            TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds if digits <= 3 => Some(Self::Millis),
            TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => Some(Self::Micros),
        }
    }

    /// Digits of a millisecond, and of a microsecond, are cut off towards the past.
    fn of_micros(self, micros: i128) -> Option<i64> {
        let count = match self {
            Self::Millis => micros.div_euclid(1000),
            Self::Micros => micros,
            Self::Nanos => micros * 1000,
        };
        i64::try_from(count).ok()
    }
}

/// `date` in days.
pub(super) fn write_date(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let days = match text {
        b"infinity" => DATE_INFINITY,
        b"-infinity" => DATE_MINUS_INFINITY,
        _ => {
            let (date, before_christ) = split_era(text);
            days(date, before_christ).ok_or(DATE)?
        }
    };
    write_number(days, out);
    Ok(())
}

/// `time` since midnight. The end of the day, 24:00:00, is a whole day.
pub(super) fn write_time(text: &[u8], unit: Unit, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let micros = if text.starts_with(b"24:00:00") { DAY_MICROS } else { micros(text).ok_or(TIME)? };
    let count = unit.of_micros(micros.into()).expect("a day's nanoseconds fit into 64 bits");
    write_number(count, out);
    Ok(())
}

/// An element of `time[]`: cut to milliseconds, and 24:00:00 is 0, as in the real one.
pub(super) fn write_time_element(text: &[u8], unit: Unit, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let micros = micros(text).ok_or(TIME)?;
    let count = unit.of_micros(i128::from(micros - micros % 1000)).expect("a day's nanoseconds fit into 64 bits");
    write_number(count, out);
    Ok(())
}

/// `timestamp` since 1970-01-01 00:00:00.
pub(super) fn write_timestamp(text: &[u8], unit: Unit, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let count = match (text, unit) {
        (b"infinity", Unit::Millis) => MILLIS_INFINITY,
        (b"-infinity", Unit::Millis) => MILLIS_MINUS_INFINITY,
        (b"infinity", _) => i64::MAX,
        (b"-infinity", _) => i64::MIN,
        _ => {
            let (text, before_christ) = split_era(text);
            let (date, time) = split_at_byte(text, b' ').ok_or(TIMESTAMP)?;
            let days = i128::from(days(date, before_christ).ok_or(TIMESTAMP)?);
            let micros = days * i128::from(DAY_MICROS) + i128::from(micros(time).ok_or(TIMESTAMP)?);
            unit.of_micros(micros).ok_or(ValueError::Mode("the moment does not fit into 64 bits of its unit"))?
        }
    };
    write_number(count, out);
    Ok(())
}

/// The microseconds of a time of day; 24:00:00 is 0.
fn micros(text: &[u8]) -> Option<i64> {
    let Clock { hour, minute, second, fraction } = Clock::parse(text)?;
    let padding = u32::try_from(6 - fraction.len()).ok()?;
    let fraction = if fraction.is_empty() { 0 } else { number(fraction)? * 10u64.pow(padding) };
    i64::try_from(((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction).ok()
}

/// The days of `year-month-day` in the proleptic Gregorian calendar. Years begin in March here, so that the day that
/// only some of them have is their last, and 400 of them have 146,097 days.
fn days(date: &[u8], before_christ: bool) -> Option<i64> {
    let (year, month_day) = date.split_at_checked(date.len().checked_sub(6)?)?;
    let [b'-', m1, m2, b'-', d1, d2] = month_day else { return None };
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    if !((4..=9).contains(&year.len()) && (1..=12).contains(&month) && (1..=31).contains(&day)) {
        return None;
    }
    let year = i64::try_from(number(year)?).ok()?;
    let year = match (before_christ, year) {
        (true, 0) => return None,
        (true, year) => 1 - year,
        (false, year) => year,
    };
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = i64::try_from((month + 9) % 12).ok()?;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::try_from(day).ok()? - 1;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_below_the_unit_are_cut_off_towards_the_past() {
        let mut out = Vec::new();
        write_timestamp(b"1969-12-31 23:59:59.9999", Unit::Millis, &mut out).unwrap();
        assert_eq!(out, b"-1");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in ["1677-09-20 00:00:00", "2263-01-01 00:00:00", "0001-01-01 00:00:00 BC"] {
            assert!(write_timestamp(text.as_bytes(), Unit::Nanos, &mut Vec::new()).is_err(), "{text}");
        }
        for text in ["", "2024-13-01", "2024-00-10", "0000-01-01 BC", "2024-02-x1"] {
            assert!(write_date(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
    }

    proptest! {
        /// Against another implementation of the calendar.
        #[test]
        fn days_are_those_of_the_calendar(year in 1i32..9999, ordinal in 1u16..=365) {
            let date = time::Date::from_ordinal_date(year, ordinal).unwrap();
            let text = format!("{year:04}-{:02}-{:02}", u8::from(date.month()), date.day());
            let epoch = time::Date::from_calendar_date(1970, time::Month::January, 1).unwrap();
            prop_assert_eq!(days(text.as_bytes(), false), Some((date - epoch).whole_days()));
        }
    }
}
