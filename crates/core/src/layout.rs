//! Object keys: the template that names an object after its first record, and reads a key back.
//!
//! A template is accepted only if the objects' chain can be found again by their keys alone: each key holds topic,
//! partition and first offset, reads back in one way, and the folders sort by time, so that a descent from the last
//! folder meets the newest objects first.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;

/// The part of the contract's template between the table's folder and the ending.
const CONTRACT: &str = "year={{timestamp:unit=yyyy}}/month={{timestamp:unit=MM}}/day={{timestamp:unit=dd}}/\
                        hour={{timestamp:unit=HH}}/{{topic}}-{{partition:padding=true}}-{{start_offset:padding=true}}";

/// How objects are named. Equal templates are equal layouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    text: String,
    parts: Vec<Part>,
    finest: Option<Unit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Topic,
    Partition { padded: bool },
    StartOffset { padded: bool },
    Time(Unit),
}

/// Parts of a time, from coarse to fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
}

/// Which year, month, day or hour a record belongs to: whatever the finest part of its time in the template is. Only
/// comparable within one layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(i64);

/// Why a template is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LayoutError(String);

impl Layout {
    /// The contract's layout of a table, with an ending such as `.jsonl.gz`.
    pub fn contract(table: &str, ending: &str) -> Self {
        let folder = Part::Text(format!("table={table}/"));
        let text = format!("table={table}/{CONTRACT}{ending}");
        let mut parts = vec![folder];
        parts.extend(parse(CONTRACT).unwrap_or_default());
        parts.push(Part::Text(ending.to_owned()));
        Self { text, parts: joined(parts), finest: Some(Unit::Hour) }
    }

    /// The key of the object whose first record this is.
    pub fn key(&self, topic: &str, partition: i32, first: i64, timestamp_ms: i64) -> String {
        let time = calendar(timestamp_ms);
        let mut key = String::with_capacity(self.text.len() + topic.len() + 32);
        for part in &self.parts {
            part.write(&mut key, topic, partition, first, time);
        }
        key
    }

    /// The partition and the first offset in a key, if it is one of this layout and topic.
    pub fn parse(&self, key: &str, topic: &str) -> Option<(i32, i64)> {
        let (mut rest, mut partition, mut first) = (key, None::<i64>, None::<i64>);
        for part in &self.parts {
            rest = match part {
                Part::Text(text) => rest.strip_prefix(text.as_str())?,
                Part::Topic => rest.strip_prefix(topic)?,
                Part::Partition { padded } => number(rest, padded.then_some(10), &mut partition)?,
                Part::StartOffset { padded } => number(rest, padded.then_some(20), &mut first)?,
                Part::Time(unit) => number(rest, Some(unit.width()), &mut None)?,
            };
        }
        (rest.is_empty()).then_some(())?;
        Some((partition?.try_into().ok()?, first?))
    }

    /// What every key of a topic begins with, or with a partition every key of that.
    pub fn root(&self, topic: &str, partition: Option<i32>) -> String {
        let mut root = String::new();
        for part in &self.parts {
            match (part, partition) {
                (Part::Time(_) | Part::StartOffset { .. }, _) | (Part::Partition { .. }, None) => break,
                (part, partition) => {
                    part.write(&mut root, topic, partition.unwrap_or_default(), 0, OffsetDateTime::UNIX_EPOCH);
                }
            }
        }
        root
    }

    /// The period of a record: its object ends before a record of a later one.
    pub fn period(&self, timestamp_ms: i64) -> Period {
        let at_ms = timestamp_ms.max(0);
        Period(match self.finest {
            None => 0,
            Some(Unit::Hour) => at_ms / 3_600_000,
            Some(Unit::Day) => at_ms / 86_400_000,
            Some(unit) => {
                let time = calendar(at_ms);
                let month = i64::from(u8::from(time.month()) - 1);
                i64::from(time.year()) * 12 + if unit == Unit::Month { month } else { 0 }
            }
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let parts = joined(parse(text)?);
        for (name, found) in [
            ("topic", parts.contains(&Part::Topic)),
            ("partition", parts.iter().any(|part| matches!(part, Part::Partition { .. }))),
            ("start_offset", parts.iter().any(|part| matches!(part, Part::StartOffset { .. }))),
        ] {
            if !found {
                let why = format!("it lacks {{{{{name}}}}}, so two objects could have one name");
                return Err(LayoutError(why));
            }
        }
        unambiguous(&parts)?;
        sorted(&parts)?;
        let finest = parts.iter().filter_map(|part| if let Part::Time(unit) = part { Some(*unit) } else { None }).max();
        Ok(Self { text: text.to_owned(), parts, finest })
    }
}

impl Part {
    fn write(&self, key: &mut String, topic: &str, partition: i32, first: i64, time: OffsetDateTime) {
        use fmt::Write as _;
        // Writing to a text does not fail.
        let _ = match self {
            Self::Text(text) => key.write_str(text),
            Self::Topic => key.write_str(topic),
            Self::Partition { padded: true } => write!(key, "{partition:010}"),
            Self::Partition { padded: false } => write!(key, "{partition}"),
            Self::StartOffset { padded: true } => write!(key, "{first:020}"),
            Self::StartOffset { padded: false } => write!(key, "{first}"),
            Self::Time(Unit::Year) => write!(key, "{:04}", time.year()),
            Self::Time(Unit::Month) => write!(key, "{:02}", u8::from(time.month())),
            Self::Time(Unit::Day) => write!(key, "{:02}", time.day()),
            Self::Time(Unit::Hour) => write!(key, "{:02}", time.hour()),
        };
    }
}

impl Unit {
    const fn width(self) -> usize {
        if matches!(self, Self::Year) { 4 } else { 2 }
    }
}

/// A time that is never negative in a Kafka record; the broker refuses stamps after the year 9999 long before.
fn calendar(timestamp_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(timestamp_ms.max(0) / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Takes digits off; a number that comes twice must be the same.
fn number<'a>(text: &'a str, width: Option<usize>, found: &mut Option<i64>) -> Option<&'a str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let width = width.unwrap_or(digits);
    let (number, rest) = (text.get(..width).filter(|_| width <= digits)?, &text[width..]);
    let number = number.parse().ok()?;
    (*found.get_or_insert(number) == number).then_some(rest)
}

fn parse(text: &str) -> Result<Vec<Part>, LayoutError> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        parts.push(Part::Text(before.to_owned()));
        let Some((variable, after)) = after.split_once("}}") else {
            return Err(LayoutError("a \"{{\" has no \"}}\" after it".to_owned()));
        };
        parts.push(variable_part(variable)?);
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

fn variable_part(text: &str) -> Result<Part, LayoutError> {
    let (name, parameter) = text.split_once(':').map_or((text, None), |(name, parameter)| (name, Some(parameter)));
    let parameter = parameter.map(|text| text.split_once('=').map_or((text.trim(), ""), |(a, b)| (a.trim(), b.trim())));
    let shown = text.trim();
    let padded = |parameter| match parameter {
        None | Some(("padding", "false")) => Ok(false),
        Some(("padding", "true")) => Ok(true),
        Some(_) => {
            Err(LayoutError(format!("{{{{{shown}}}}} has a parameter other than padding=true or padding=false")))
        }
    };
    match (name.trim(), parameter) {
        ("topic", None) => Ok(Part::Topic),
        ("partition", parameter) => Ok(Part::Partition { padded: padded(parameter)? }),
        ("start_offset", parameter) => Ok(Part::StartOffset { padded: padded(parameter)? }),
        ("timestamp", Some(("unit", unit))) => match unit {
            "yyyy" => Ok(Part::Time(Unit::Year)),
            "MM" => Ok(Part::Time(Unit::Month)),
            "dd" => Ok(Part::Time(Unit::Day)),
            "HH" => Ok(Part::Time(Unit::Hour)),
            _ => Err(LayoutError(format!("the unit of {{{{{shown}}}}} is none of yyyy, MM, dd and HH"))),
        },
        ("timestamp", _) => Err(LayoutError(format!("{{{{{shown}}}}} needs a unit: yyyy, MM, dd or HH"))),
        ("key", _) => Err(LayoutError(
            "{{key}} gives each key its own object, which replaces the one before: the native sink keeps each change"
                .to_owned(),
        )),
        _ => Err(LayoutError(format!(
            "{{{{{shown}}}}} is none of {{{{topic}}}}, {{{{partition}}}}, {{{{start_offset}}}} and {{{{timestamp:unit=..}}}}"
        ))),
    }
}

/// Texts that touch become one, empty ones go.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match (joined.last_mut(), part) {
            (_, Part::Text(text)) if text.is_empty() => {}
            (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
            (_, part) => joined.push(part),
        }
    }
    joined
}

/// A topic, or a number without padding, must end where something else than a digit begins.
fn unambiguous(parts: &[Part]) -> Result<(), LayoutError> {
    let open = |part: &Part| {
        matches!(part, Part::Topic | Part::Partition { padded: false } | Part::StartOffset { padded: false })
    };
    for (part, next) in parts.iter().zip(parts.iter().skip(1)) {
        let ends = matches!(next, Part::Text(text) if !text.starts_with(|first: char| first.is_ascii_digit()));
        if open(part) && !ends {
            let why = "{{topic}}, or a number without padding, is followed by a variable or a digit, so its end could not be told";
            return Err(LayoutError(why.to_owned()));
        }
    }
    Ok(())
}

/// Folders must sort by time: the last one holds the newest objects.
fn sorted(parts: &[Part]) -> Result<(), LayoutError> {
    const UNITS: [Unit; 4] = [Unit::Year, Unit::Month, Unit::Day, Unit::Hour];
    let in_folders =
        |index: usize| parts[index..].iter().any(|part| matches!(part, Part::Text(text) if text.contains('/')));
    let mut units = 0;
    for (_, part) in parts.iter().enumerate().filter(|(index, _)| in_folders(*index)) {
        match part {
            Part::StartOffset { padded: true } => return Ok(()),
            Part::StartOffset { padded: false } => {
                let why = "folders named by {{start_offset}} without padding=true do not sort by offset";
                return Err(LayoutError(why.to_owned()));
            }
            Part::Time(unit) if UNITS[..units].contains(unit) => {}
            Part::Time(unit) if UNITS.get(units) == Some(unit) => units += 1,
            Part::Time(_) => {
                let why = "its folders do not sort by time, so the newest objects could not be found: \
                           name the units in the order yyyy, MM, dd, HH, beginning with yyyy";
                return Err(LayoutError(why.to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOPIC: &str = "cdc.public.order_items";

    fn contract() -> Layout {
        Layout::contract("order_items", ".jsonl.gz")
    }

    #[test]
    fn the_name_is_the_contracts() {
        let key = "table=order_items/year=2026/month=11/day=23/hour=00/cdc.public.order_items-0000000000-00000000000000000042.jsonl.gz";
        assert_eq!(contract().key(TOPIC, 0, 42, 1_795_395_599_999), key);
        assert_eq!(contract().to_string().parse(), Ok(contract()));
        assert_eq!(contract().root(TOPIC, None), "table=order_items/year=");
    }

    #[test]
    fn foreign_keys_are_told_apart() {
        for key in [
            "table=order_items/year=2026/month=11/day=23/hour=00/cdc.public.order_items2-0000000000-00000000000000000042.jsonl.gz",
            "table=order_items/year=2026/month=11/day=23/hour=00/cdc.public.order_items-0-1.jsonl.gz",
            "table=users/year=2026/month=11/day=23/hour=00/cdc.public.order_items-0000000000-00000000000000000042.jsonl.gz",
            "x",
            "",
        ] {
            assert_eq!(contract().parse(key, TOPIC), None, "{key}");
        }
        let twice: Layout = "{{topic}}/{{partition}}/{{partition}}-{{start_offset}}".parse().unwrap();
        assert_eq!(twice.parse(&format!("{TOPIC}/3/3-7"), TOPIC), Some((3, 7)));
        assert_eq!(twice.parse(&format!("{TOPIC}/3/4-7"), TOPIC), None);
    }

    #[test]
    fn templates_that_could_not_be_found_again_are_refused() {
        for (template, why) in [
            ("{{topic}}-{{partition}}.gz", "lacks {{start_offset}}"),
            ("{{partition}}-{{start_offset}}", "lacks {{topic}}"),
            ("{{topic}}-{{start_offset}}", "lacks {{partition}}"),
            ("{{key}}/{{topic}}-{{partition}}-{{start_offset}}", "{{key}} gives each key its own object"),
            ("{{topic}}-{{partition}}{{start_offset}}", "its end could not be told"),
            ("{{topic}}{{partition}}-{{start_offset}}", "its end could not be told"),
            ("{{topic}}-{{start_offset}}7-{{partition}}", "its end could not be told"),
            ("{{timestamp:unit=dd}}/{{topic}}-{{partition}}-{{start_offset}}", "do not sort by time"),
            ("{{timestamp:unit=yyyy}}/{{timestamp:unit=dd}}/{{topic}}-{{partition}}-{{start_offset}}", "do not sort"),
            ("{{start_offset}}/{{topic}}-{{partition}}", "do not sort by offset"),
            ("{{timestamp}}/{{topic}}-{{partition}}-{{start_offset}}", "needs a unit"),
            ("{{timestamp:unit=mm}}/{{topic}}-{{partition}}-{{start_offset}}", "none of yyyy"),
            ("{{topic}}-{{partition:width=3}}-{{start_offset}}", "other than padding"),
            ("{{table}}/{{topic}}-{{partition}}-{{start_offset}}", "{{table}} is none of"),
            ("{{topic}}-{{partition}}-{{start_offset", "no \"}}\""),
        ] {
            let refused = template.parse::<Layout>().unwrap_err().to_string();
            assert!(refused.contains(why), "{template}: {refused}");
        }
    }

    #[test]
    fn periods_follow_the_finest_unit() {
        const DAY_MS: i64 = 86_400_000;
        let layout = |time: &str| {
            format!("{time}{{{{topic}}}}-{{{{partition}}}}-{{{{start_offset}}}}").parse::<Layout>().unwrap()
        };
        let none = layout("");
        assert_eq!(none.period(0), none.period(900 * DAY_MS));
        let day = layout("{{timestamp:unit=yyyy}}-{{timestamp:unit=MM}}-{{ timestamp : unit = dd }}/");
        assert_eq!(day.period(0), day.period(DAY_MS - 1));
        assert!(day.period(DAY_MS) > day.period(DAY_MS - 1));
        let month = layout("{{timestamp:unit=yyyy}}/{{timestamp:unit=MM}}/");
        assert_eq!(month.period(0), month.period(30 * DAY_MS));
        assert!(month.period(31 * DAY_MS) > month.period(30 * DAY_MS));
        let year = layout("{{timestamp:unit=yyyy}}/");
        assert_eq!(year.period(0), year.period(364 * DAY_MS));
        assert!(year.period(365 * DAY_MS) > year.period(364 * DAY_MS));
    }

    proptest! {
        #[test]
        fn keys_round_trip(
            first in 0..i64::MAX, partition in 0..i32::MAX, at in 0i64..4_000_000_000_000, which in 0usize..5,
        ) {
            let layout: Layout = [
                contract().to_string().as_str(),
                "{{topic}}-{{partition}}-{{start_offset}}",
                "lake/{{topic}}/p={{partition}}/d={{timestamp:unit=yyyy}}{{timestamp:unit=MM}}/{{start_offset}}.csv.zst",
                "{{partition:padding=true}}{{start_offset:padding=true}}{{topic}}",
                "{{topic}}/{{start_offset:padding=true}}/{{timestamp:unit=dd}}/{{partition}}.json",
            ][which].parse().unwrap();
            let key = layout.key(TOPIC, partition, first, at);
            prop_assert_eq!(layout.parse(&key, TOPIC), Some((partition, first)));
            prop_assert!(key.starts_with(&layout.root(TOPIC, None)));
            prop_assert!(key.starts_with(&layout.root(TOPIC, Some(partition))));
        }

        #[test]
        fn later_periods_sort_later(a in 0i64..4_000_000_000_000, b in 0i64..4_000_000_000_000) {
            let layout = contract();
            let folder = |at| layout.key(TOPIC, 0, 0, at);
            prop_assert_eq!(layout.period(a).cmp(&layout.period(b)), folder(a).cmp(&folder(b)));
        }
    }
}
