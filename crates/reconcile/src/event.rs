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
    #[serde(default, rename = "txId")]
    xid: Option<u64>,
    #[serde(borrow, default)]
    snapshot: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sequence: Option<&'a RawValue>,
}

impl Source<'_> {
    fn is_incremental(&self) -> bool {
        self.snapshot.is_some_and(|snapshot| snapshot.get() == r#""incremental""#)
    }

    /// The second LSN of a text that holds an array of two.
    fn point(&self) -> Option<u64> {
        let text = self.sequence?.get().trim_end_matches(['"', ']', '\\']);
        text.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
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
    /// Whatever it was, it happened after the table's rows were read.
    Later,
    /// The row as the last proof had it.
    Kept,
    /// A reread that the last proof has met: it counts if that proof left it out for what came before it.
    RereadAgain,
    /// An incremental snapshot has found that the row is not there: as [`Op::Reread`].
    Missing,
    /// As [`Op::RereadAgain`].
    MissingAgain,
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
            Self::Later => b'l',
            Self::Kept => b'k',
            Self::RereadAgain => b'j',
            Self::Missing => b'm',
            Self::MissingAgain => b'n',
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
            b'l' => Some(Self::Later),
            b'k' => Some(Self::Kept),
            b'j' => Some(Self::RereadAgain),
            b'm' => Some(Self::Missing),
            b'n' => Some(Self::MissingAgain),
            _ => None,
        }
    }

    /// Whether an incremental snapshot says it, which knows everything that comes before.
    pub(crate) const fn is_reread(self) -> bool {
        matches!(self, Self::Reread | Self::RereadAgain | Self::Missing | Self::MissingAgain)
    }

    /// As the last proof has met it.
    pub(crate) const fn again(self) -> Self {
        match self {
            Self::Reread => Self::RereadAgain,
            Self::Missing => Self::MissingAgain,
            other => other,
        }
    }
}

/// An event as far as the fold needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// What happened.
    pub(crate) what: What<'a>,
    /// `source.lsn`, or of what an incremental snapshot says the last change before it, by `source.sequence`; 0 without one.
    pub(crate) lsn: u64,
    /// `source.txId`, without its epoch as Debezium writes it.
    pub(crate) xid: Option<u32>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What<'a> {
    /// A row is set or removed; `image` is its new image, or for a delete the old one, which holds the key.
    Row { op: Op, image: &'a str },
    /// The table is emptied.
    Truncate,
    /// Nothing of the table's rows (a logical message).
    Other,
}

/// Reads a line, without its end.
pub(crate) fn parse(line: &[u8]) -> Result<Event<'_>, String> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let lsn = envelope.source.lsn.unwrap_or(0);
    // The lower half tells the transaction, whether the epoch is there or not.
    let xid = envelope.source.xid.and_then(|xid| u32::try_from(xid & u64::from(u32::MAX)).ok());
    let lsn = if envelope.source.is_incremental() { envelope.source.point().unwrap_or(0) } else { lsn };
    let event = |what| Event { what, lsn, xid };
    let (op, image, name) = match envelope.op {
        "t" => return Ok(event(What::Truncate)),
        "m" => return Ok(event(What::Other)),
        "r" if envelope.source.is_incremental() => (Op::Reread, envelope.after, "after"),
        "r" => (Op::Read, envelope.after, "after"),
        "c" => (Op::Create, envelope.after, "after"),
        "u" => (Op::Update, envelope.after, "after"),
        "d" if envelope.source.is_incremental() => (Op::Missing, envelope.before, "before"),
        "d" => (Op::Delete, envelope.before, "before"),
        other => return Err(format!("op {other:?} is unknown")),
    };
    match image {
        Some(image) if op == Op::Update && has_unavailable(image.get()) => {
            Ok(event(What::Row { op: Op::PartialUpdate, image: image.get() }))
        }
        Some(image) => Ok(event(What::Row { op, image: image.get() })),
        None => Err(format!("`{name}` is missing in an event with op {}", envelope.op)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_read() {
        let row = |op, lsn, xid, image| Ok(Event { what: What::Row { op, image }, lsn, xid });
        let line =
            br#"{"before":null,"after":{"id":1},"source":{"lsn":7,"txId":3,"snapshot":"false"},"op":"c","ts_ms":1}"#;
        assert_eq!(parse(line), row(Op::Create, 7, Some(3), r#"{"id":1}"#));
        let line = br#"{"before":{"id":1},"after":null,"source":{"lsn":8,"txId":4294967299},"op":"d"}"#;
        assert_eq!(parse(line), row(Op::Delete, 8, Some(3), r#"{"id":1}"#));
        let line = br#"{"before":null,"after":{"id":1},"source":{"snapshot":"incremental","lsn":null},"op":"r"}"#;
        assert_eq!(parse(line), row(Op::Reread, 0, None, r#"{"id":1}"#));
        let line = br#"{"before":{"id":1},"after":null,"source":{"snapshot":"incremental","lsn":null},"op":"d"}"#;
        assert_eq!(parse(line), row(Op::Missing, 0, None, r#"{"id":1}"#));
        for (sequence, lsn) in [
            (r#""[\"24\",\"31\"]""#, 31),
            (r#""[null,\"31\"]""#, 31),
            (r#""[\"24\",null]""#, 0),
            (r#""[]""#, 0),
            ("null", 0),
            ("7", 7),
        ] {
            let line = format!(
                r#"{{"before":{{"id":1}},"source":{{"snapshot":"incremental","sequence":{sequence}}},"op":"d"}}"#
            );
            assert_eq!(parse(line.as_bytes()), row(Op::Missing, lsn, None, r#"{"id":1}"#), "{sequence}");
        }
        let truncate = Event { what: What::Truncate, lsn: 9, xid: None };
        assert_eq!(parse(br#"{"source":{"lsn":9},"op":"t"}"#), Ok(truncate));
        assert!(parse(br#"{"before":null,"after":null,"source":{},"op":"u"}"#).unwrap_err().contains("`after`"));
        assert!(parse(br#"{"source":{},"op":"x"}"#).unwrap_err().contains("unknown"));
        assert!(parse(b"{\"op\":").is_err());
    }
}
