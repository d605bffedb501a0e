//! The messages of the output plugin `pgoutput`, protocol version 1, in text form: PostgreSQL's chapter "Logical
//! Replication Message Formats". Pure: bytes in, messages out, rows not copied.

use bytes::Bytes;
use datapipe_core::Lsn;
use datapipe_core::change::{Begin, OldRow, ReplicaIdentity, Tuple};

use crate::wire::EPOCH_SECONDS;

/// A decoded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A transaction starts.
    Begin(Begin),
    /// The transaction's end.
    Commit {
        /// Where the commit record ends.
        end: Lsn,
    },
    /// The schema of the rows that follow, until the next one of the same relation.
    Relation(RelationMessage),
    /// A row was inserted.
    Insert {
        /// The relation's OID.
        relation: u32,
        /// The row.
        new: Tuple,
    },
    /// A row was updated.
    Update {
        /// The relation's OID.
        relation: u32,
        /// The old image, as far as sent.
        old: Option<OldRow>,
        /// The new image.
        new: Tuple,
    },
    /// A row was deleted.
    Delete {
        /// The relation's OID.
        relation: u32,
        /// The old image.
        old: OldRow,
    },
    /// Tables were truncated.
    Truncate {
        /// The relations' OIDs.
        relations: Vec<u32>,
    },
    /// Type, Origin or a message of `pg_logical_emit_message`: no change of a row.
    Other(u8),
}

/// A relation as announced in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationMessage {
    /// `pg_class.oid`.
    pub oid: u32,
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// `pg_class.relreplident`.
    pub identity: ReplicaIdentity,
    /// The published columns.
    pub columns: Vec<ColumnMessage>,
}

/// A column as announced in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMessage {
    /// The column is part of the replica identity.
    pub identity: bool,
    /// The name.
    pub name: String,
    /// `pg_attribute.atttypid`.
    pub type_oid: u32,
    /// `pg_attribute.atttypmod`.
    pub modifier: i32,
}

/// Bytes that are no message of protocol version 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {kind:?} is malformed at byte {at}: {what}")]
pub struct DecodeError {
    /// The message's kind.
    pub kind: char,
    /// Offset in the message's bytes.
    pub at: usize,
    /// What was wrong there.
    pub what: &'static str,
}

/// Decodes one message: the payload of an `XLogData`.
///
/// # Errors
/// If the bytes are cut off or hold what version 1 in text form does not know.
pub fn decode(bytes: &Bytes) -> Result<Message, DecodeError> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.u8()? {
        b'B' => reader.begin(),
        b'C' => reader.commit(),
        b'R' => reader.relation(),
        b'I' => {
            let relation = reader.u32()?;
            reader.expect(b'N')?;
            Ok(Message::Insert { relation, new: reader.tuple()? })
        }
        b'U' => reader.update(),
        b'D' => {
            let relation = reader.u32()?;
            let kind = reader.u8()?;
            Ok(Message::Delete { relation, old: reader.old_row(kind)? })
        }
        b'T' => {
            let count = reader.u32()?;
            reader.u8()?;
            // The count is not trusted with an allocation.
            let relations = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
            Ok(Message::Truncate { relations })
        }
        kind @ (b'Y' | b'O' | b'M') => Ok(Message::Other(kind)),
        _ => Err(reader.fail("the kind is none of protocol version 1")),
    }
}

struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn fail(&self, what: &'static str) -> DecodeError {
        let kind = self.bytes.first().map_or('?', |kind| char::from(*kind));
        DecodeError { kind, at: self.at, what }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let part = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk).ok_or_else(|| self.fail("it is cut off"))?;
        self.at += N;
        Ok(*part)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.take().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_be_bytes)
    }

    fn lsn(&mut self) -> Result<Lsn, DecodeError> {
        self.take().map(|bytes| Lsn(u64::from_be_bytes(bytes)))
    }

    fn expect(&mut self, kind: u8) -> Result<(), DecodeError> {
        if self.u8()? == kind { Ok(()) } else { Err(self.fail("a row image of another kind was expected before")) }
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| self.fail("a text has no end"))?;
        let text = std::str::from_utf8(&rest[..end]).map_err(|_| self.fail("a text is no UTF-8"))?;
        let text = text.to_owned();
        self.at += end + 1;
        Ok(text)
    }

    fn tuple(&mut self) -> Result<Tuple, DecodeError> {
        let (tuple, size) = Tuple::parse(&self.bytes.slice(self.at..)).map_err(|error| {
            self.at += error.at;
            self.fail(error.what)
        })?;
        self.at += size;
        Ok(tuple)
    }

    fn old_row(&mut self, kind: u8) -> Result<OldRow, DecodeError> {
        match kind {
            b'K' => Ok(OldRow::Key(self.tuple()?)),
            b'O' => Ok(OldRow::Full(self.tuple()?)),
            _ => Err(self.fail("an old image is neither K nor O")),
        }
    }

    fn begin(&mut self) -> Result<Message, DecodeError> {
        const EPOCH_US: i64 = EPOCH_SECONDS.cast_signed() * 1_000_000;
        let commit = self.lsn()?;
        let since_2000 = i64::from_be_bytes(self.take()?);
        Ok(Message::Begin(Begin { commit, xid: self.u32()?, commit_time_us: since_2000.saturating_add(EPOCH_US) }))
    }

    fn commit(&mut self) -> Result<Message, DecodeError> {
        let _flags = self.u8()?;
        let _start = self.lsn()?;
        Ok(Message::Commit { end: self.lsn()? })
    }

    fn update(&mut self) -> Result<Message, DecodeError> {
        let relation = self.u32()?;
        let old = match self.u8()? {
            b'N' => None,
            kind => {
                let old = self.old_row(kind)?;
                self.expect(b'N')?;
                Some(old)
            }
        };
        Ok(Message::Update { relation, old, new: self.tuple()? })
    }

    fn relation(&mut self) -> Result<Message, DecodeError> {
        let oid = self.u32()?;
        let schema = self.text()?;
        let name = self.text()?;
        let identity = match self.u8()? {
            b'd' => ReplicaIdentity::Default,
            b'n' => ReplicaIdentity::Nothing,
            b'f' => ReplicaIdentity::Full,
            b'i' => ReplicaIdentity::Index,
            _ => return Err(self.fail("the replica identity is none of d, n, f, i")),
        };
        let mut columns = Vec::new();
        for _ in 0..self.u16()? {
            columns.push(ColumnMessage {
                identity: self.u8()? & 1 != 0,
                name: self.text()?,
                type_oid: self.u32()?,
                modifier: i32::from_be_bytes(self.take()?),
            });
        }
        // An empty schema means pg_catalog.
        let schema = if schema.is_empty() { "pg_catalog".to_owned() } else { schema };
        Ok(Message::Relation(RelationMessage { oid, schema, name, identity, columns }))
    }
}

#[cfg(test)]
mod tests;
