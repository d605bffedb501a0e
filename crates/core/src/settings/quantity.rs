//! Durations and sizes as people write them: always with a unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration written with its unit: `500ms`, `10s`, `5m`, `12h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A size written with its unit: `512B`, `64KiB`, `64MiB`, `2GiB` (powers of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: write a whole number and a unit, as in {examples}")]
pub struct QuantityError {
    text: String,
    what: &'static str,
    examples: &'static str,
}

/// Units with their factors, greatest first: milliseconds here, bytes below.
const TIME_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const TIME_EXAMPLES: &str = "\"500ms\", \"10s\", \"5m\", \"12h\" or \"7d\"";
const SIZE_EXAMPLES: &str = "\"512B\", \"64KiB\", \"16MiB\" or \"2GiB\"";

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn print(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let smallest = units[units.len() - 1];
    let whole = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = whole.unwrap_or(&smallest);
    write!(f, "{}{unit}", value / factor)
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text.trim(), &TIME_UNITS).map(Duration::from_millis).map(Self).ok_or_else(|| QuantityError {
            text: text.to_owned(),
            what: "duration",
            examples: TIME_EXAMPLES,
        })
    }
}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text.trim(), &SIZE_UNITS).map(Self).ok_or_else(|| QuantityError {
            text: text.to_owned(),
            what: "size",
            examples: SIZE_EXAMPLES,
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &TIME_UNITS)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self.0, &SIZE_UNITS)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a text by its `FromStr`; a bare number is refused like any other text, because its unit is a guess.
struct Text<T>(&'static str, std::marker::PhantomData<T>);

impl<T: FromStr<Err = QuantityError>> serde::de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number with its unit, as in {}", self.0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(TIME_EXAMPLES, std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(SIZE_EXAMPLES, std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_required_and_examples_shown() {
        let error = "10".parse::<Span>().unwrap_err().to_string();
        assert!(error.contains("\"10s\""), "{error}");
        for text in ["", "s", "-1s", "1.5h", "10 parsecs", "99999999999999999999s", "1KB"] {
            assert!(text.parse::<Span>().is_err() && text.parse::<ByteSize>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_greatest_whole_unit_is_printed() {
        assert_eq!(Span(Duration::from_secs(7 * 86_400)).to_string(), "7d");
        assert_eq!(Span(Duration::from_millis(1500)).to_string(), "1500ms");
        assert_eq!(Span(Duration::ZERO).to_string(), "0ms");
        assert_eq!(ByteSize(64 << 20).to_string(), "64MiB");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(millis in 0..u64::from(u32::MAX), bytes: u64) {
            let span = Span(Duration::from_millis(millis));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
    }
}
