//! One line of an object: an envelope.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::row::has_unavailable;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    before: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Source<'a>,
    op: &'a str,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(default)]
    lsn: Option<u64>,
    #[serde(borrow, default)]
    snapshot: Option<&'a RawValue>,
}

impl Source<'_> {
    fn is_incremental(&self) -> bool {
        self.snapshot.is_some_and(|snapshot| snapshot.get() == r#""incremental""#)
    }
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    /// The row as an incremental snapshot has read it: whatever was said of it before, this holds.
    Reread,
    Create,
    Update,
    /// An update that may lack values which it left alone.
    PartialUpdate,
    Delete,
}

impl Op {
    pub(crate) const fn letter(self) -> u8 {
        match self {
            Self::Read => b'r',
            Self::Reread => b'i',
            Self::Create => b'c',
            Self::Update => b'u',
            Self::PartialUpdate => b'p',
            Self::Delete => b'd',
        }
    }

    pub(crate) const fn of(letter: u8) -> Option<Self> {
        match letter {
            b'r' => Some(Self::Read),
            b'i' => Some(Self::Reread),
            b'c' => Some(Self::Create),
            b'u' => Some(Self::Update),
            b'p' => Some(Self::PartialUpdate),
            b'd' => Some(Self::Delete),
            _ => None,
        }
    }
}

/// An event as far as the fold needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A row is set or removed; `image` is its new image, or for a delete the old one, which holds the key.
    Row { op: Op, lsn: u64, image: &'a str },
    /// The table is emptied.
    Truncate { lsn: u64 },
    /// Nothing of the table's rows (a logical message).
    Other,
}

/// Reads a line, without its end.
pub(crate) fn parse(line: &[u8]) -> Result<Event<'_>, String> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let lsn = envelope.source.lsn.unwrap_or(0);
    let (op, image, name) = match envelope.op {
        "t" => return Ok(Event::Truncate { lsn }),
        "m" => return Ok(Event::Other),
        "r" if envelope.source.is_incremental() => (Op::Reread, envelope.after, "after"),
        "r" => (Op::Read, envelope.after, "after"),
        "c" => (Op::Create, envelope.after, "after"),
        "u" => (Op::Update, envelope.after, "after"),
        "d" => (Op::Delete, envelope.before, "before"),
        other => return Err(format!("op {other:?} is unknown")),
    };
    match image {
        Some(image) if op == Op::Update && has_unavailable(image.get()) => {
            Ok(Event::Row { op: Op::PartialUpdate, lsn, image: image.get() })
        }
        Some(image) => Ok(Event::Row { op, lsn, image: image.get() }),
        None => Err(format!("`{name}` is missing in an event with op {}", envelope.op)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_read() {
        let line =
            br#"{"before":null,"after":{"id":1},"source":{"lsn":7,"txId":3,"snapshot":"false"},"op":"c","ts_ms":1}"#;
        assert_eq!(parse(line), Ok(Event::Row { op: Op::Create, lsn: 7, image: r#"{"id":1}"# }));
        let line = br#"{"before":{"id":1},"after":null,"source":{"lsn":8},"op":"d"}"#;
        assert_eq!(parse(line), Ok(Event::Row { op: Op::Delete, lsn: 8, image: r#"{"id":1}"# }));
        let line = br#"{"before":null,"after":{"id":1},"source":{"snapshot":"incremental","lsn":null},"op":"r"}"#;
        assert_eq!(parse(line), Ok(Event::Row { op: Op::Reread, lsn: 0, image: r#"{"id":1}"# }));
        assert_eq!(parse(br#"{"source":{"lsn":9},"op":"t"}"#), Ok(Event::Truncate { lsn: 9 }));
        assert!(parse(br#"{"before":null,"after":null,"source":{},"op":"u"}"#).unwrap_err().contains("`after`"));
        assert!(parse(br#"{"source":{},"op":"x"}"#).unwrap_err().contains("unknown"));
        assert!(parse(b"{\"op\":").is_err());
    }
}
