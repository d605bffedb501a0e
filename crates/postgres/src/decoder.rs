//! From the bytes of a stream to events. Pure: what it needs of the catalog it asks its caller for.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use datapipe_core::Lsn;
use datapipe_core::change::{Action, Cell, Change, Event, OldRow, Relation, Tuple};
use datapipe_core::signal::Signal;
use datapipe_core::value::ColumnType;

use crate::error::{Error, ServerError};
use crate::pgoutput::{Message, RelationMessage, decode};
use crate::wire::{Keepalive, cut_whole, server_error};

/// `XLogData` before its payload: kind, start, end, time.
const DATA_HEADER: usize = 25;

/// Turns messages into events of one table.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    relations: HashMap<u32, Known>,
    in_transaction: bool,
}

/// A relation that the stream has announced.
#[derive(Debug)]
enum Known {
    /// The table; whether an update may leave a part of its key out as unchanged.
    Ours(Arc<Relation>, bool),
    /// The signaling table.
    Signals,
    /// Another table of the same publication: its changes are passed over.
    Other,
}

/// A message of the stream that is not about rows.
#[derive(Clone, Debug)]
pub(crate) enum Pause {
    /// A relation is announced: [`Decoder::announce`] it or [`Decoder::pass_over`] it, then go on.
    Relation(RelationMessage),
    /// The server says that it skips something.
    Notice(ServerError),
}

impl Decoder {
    /// Decodes messages off `bytes` until they are used up (none) or the caller is needed.
    pub(crate) fn run(&mut self, bytes: &mut Bytes, events: &mut Vec<Event>) -> Result<Option<Pause>, Error> {
        while let Some((tag, body)) = cut_whole(bytes) {
            match tag {
                b'd' if body.first() == Some(&b'w') => {
                    if let Some(message) = self.data(body, events)? {
                        return Ok(Some(Pause::Relation(message)));
                    }
                }
                b'd' => match Keepalive::parse(&body) {
                    Some(keepalive) => self.keepalive(keepalive, events),
                    None => return Err(Error::Protocol("CopyData that is neither rows nor a keepalive".to_owned())),
                },
                b'N' => return Ok(Some(Pause::Notice(server_error(&body)))),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Rows of this relation are ours from here on, under this schema.
    pub(crate) fn announce(&mut self, oid: u32, relation: Arc<Relation>) {
        let may_toast = |at: &usize| {
            let fixed = [ColumnType::Int2, ColumnType::Int4, ColumnType::Int8, ColumnType::Uuid];
            !fixed.contains(&relation.columns[*at].kind)
        };
        let key_may_be_left_out = relation.key.iter().any(may_toast);
        self.relations.insert(oid, Known::Ours(relation, key_may_be_left_out));
    }

    /// Rows of this relation are signals: an id, a type and data, in this order.
    pub(crate) fn announce_signals(&mut self, oid: u32) {
        self.relations.insert(oid, Known::Signals);
    }

    /// Rows of this relation are none of ours.
    pub(crate) fn pass_over(&mut self, oid: u32) {
        self.relations.insert(oid, Known::Other);
    }

    /// Inside a transaction a keepalive says nothing: the transaction's own end is yet to come.
    fn keepalive(&self, keepalive: Keepalive, events: &mut Vec<Event>) {
        if self.in_transaction {
            return;
        }
        let position = Lsn(keepalive.position);
        match events.last_mut() {
            Some(Event::Keepalive { position: last, urgent }) => {
                *last = position.max(*last);
                *urgent |= keepalive.reply;
            }
            _ => events.push(Event::Keepalive { position, urgent: keepalive.reply }),
        }
    }

    fn data(&mut self, mut body: Bytes, events: &mut Vec<Event>) -> Result<Option<RelationMessage>, Error> {
        let start = body.get(1..).and_then(<[u8]>::first_chunk).filter(|_| body.len() > DATA_HEADER);
        let Some(start) = start.copied().map(u64::from_be_bytes) else {
            return Err(Error::Protocol("XLogData that is cut off".to_owned()));
        };
        body.advance(DATA_HEADER);
        let lsn = Lsn(start);
        match decode(&body)? {
            Message::Begin(begin) => {
                self.in_transaction = true;
                events.push(Event::Begin(begin));
            }
            Message::Commit { end } => {
                self.in_transaction = false;
                events.push(Event::Commit { end });
            }
            Message::Relation(message) => return Ok(Some(message)),
            Message::Insert { relation, new } if matches!(self.relations.get(&relation), Some(Known::Signals)) => {
                events.extend(signal(&new).map(Event::Signal));
            }
            Message::Insert { relation, new } => self.push(lsn, relation, events, |_, _| Action::Insert(new))?,
            Message::Update { relation, old, new } => self.push(lsn, relation, events, |relation, may_lack| {
                let new = if may_lack { with_key(relation, old.as_ref(), new) } else { new };
                Action::Update { old, new }
            })?,
            Message::Delete { relation, old } => self.push(lsn, relation, events, |_, _| Action::Delete(old))?,
            Message::Truncate { relations } => {
                for relation in relations {
                    self.push(lsn, relation, events, |_, _| Action::Truncate)?;
                }
            }
            Message::Other(_) => {}
        }
        Ok(None)
    }

    fn push(
        &self,
        lsn: Lsn,
        relation: u32,
        events: &mut Vec<Event>,
        action: impl FnOnce(&Relation, bool) -> Action,
    ) -> Result<(), Error> {
        match self.relations.get(&relation) {
            Some(Known::Ours(relation, may_lack)) => {
                let action = action(relation, *may_lack);
                events.push(Event::Change(Change { lsn, relation: Arc::clone(relation), action }));
                Ok(())
            }
            Some(Known::Other | Known::Signals) => Ok(()),
            None => Err(Error::Protocol(format!("a row of relation {relation}, which was never announced"))),
        }
    }
}

/// A row of the signaling table; none if it lacks a type.
fn signal(row: &Tuple) -> Option<Signal> {
    let text = |cell| match cell {
        Cell::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Cell::Null | Cell::Unchanged => None,
    };
    let mut cells = row.cells().map(text);
    let (id, kind, data) = (cells.next()?, cells.next()?, cells.next().flatten());
    Some(Signal { id: id.unwrap_or_default(), kind: kind?, data })
}

/// A long key that an update leaves alone may be TOASTed, and then stands in the old image only.
fn with_key(relation: &Relation, old: Option<&OldRow>, new: Tuple) -> Tuple {
    let lacks = |(at, cell)| cell == Cell::Unchanged && relation.key.contains(&at);
    let (Some(OldRow::Key(old) | OldRow::Full(old)), true) = (old, new.cells().enumerate().any(lacks)) else {
        return new;
    };
    let cells = new.cells().zip(old.cells()).enumerate();
    Tuple::from_cells(cells.map(|(at, (new, old))| if lacks((at, new)) { old } else { new }))
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use datapipe_core::change::{Column, ReplicaIdentity};

    use super::*;

    fn frame(body: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(b'd');
        out.put_u32(u32::try_from(body.len()).unwrap() + 4);
        out.put_slice(body);
        out.freeze()
    }

    fn keepalive(position: u64, reply: bool) -> Bytes {
        let mut body = vec![b'k'];
        body.extend_from_slice(&position.to_be_bytes());
        body.extend_from_slice(&[0; 8]);
        body.push(u8::from(reply));
        frame(&body)
    }

    fn data(lsn: u64, payload: &[u8]) -> Bytes {
        let mut body = vec![b'w'];
        body.extend_from_slice(&lsn.to_be_bytes());
        body.extend_from_slice(&[0; 16]);
        body.extend_from_slice(payload);
        frame(&body)
    }

    fn begin(commit: u64) -> Bytes {
        let mut payload = vec![b'B'];
        payload.extend_from_slice(&commit.to_be_bytes());
        payload.extend_from_slice(&[0; 12]);
        data(1, &payload)
    }

    fn commit(end: u64) -> Bytes {
        let mut payload = vec![b'C', 0];
        payload.extend_from_slice(&[0; 8]);
        payload.extend_from_slice(&end.to_be_bytes());
        payload.extend_from_slice(&[0; 8]);
        data(1, &payload)
    }

    fn relation(kind: ColumnType) -> Arc<Relation> {
        let columns = vec![Column::new("k", kind, false), Column::new("v", ColumnType::Text, true)];
        let (schema, name) = ("public".to_owned(), "t".to_owned());
        Arc::new(Relation { schema, name, columns, key: vec![0], identity: ReplicaIdentity::Default })
    }

    fn run(decoder: &mut Decoder, parts: &[Bytes]) -> Result<Vec<Event>, Error> {
        let mut bytes = Bytes::from(parts.concat());
        let mut events = Vec::new();
        while decoder.run(&mut bytes, &mut events)?.is_some() {}
        Ok(events)
    }

    #[test]
    fn keepalives_come_behind_what_precedes_them_and_never_inside_a_transaction() {
        let parts =
            [keepalive(5, false), keepalive(7, true), begin(10), keepalive(9, true), commit(12), keepalive(12, false)];
        let events = run(&mut Decoder::default(), &parts).unwrap();
        assert!(matches!(events[0], Event::Keepalive { position: Lsn(7), urgent: true }), "{events:?}");
        assert!(matches!(events[1], Event::Begin(_)));
        assert_eq!(events[2], Event::Commit { end: Lsn(12) });
        assert_eq!(events[3..], [Event::Keepalive { position: Lsn(12), urgent: false }]);
    }

    #[test]
    fn a_row_of_an_unknown_relation_is_an_error_and_of_another_table_is_passed_over() {
        let insert = data(11, b"I\0\0\0\x09N\0\x02t\0\0\0\x01an");
        let mut decoder = Decoder::default();
        assert!(run(&mut decoder, &[begin(10), insert.clone()]).is_err());
        decoder.pass_over(9);
        assert_eq!(run(&mut decoder, &[begin(10), insert.clone(), commit(12)]).unwrap().len(), 2);
        decoder.announce(9, relation(ColumnType::Text));
        let events = run(&mut decoder, &[begin(10), insert, commit(12)]).unwrap();
        assert!(matches!(&events[1], Event::Change(change) if change.lsn == Lsn(11)), "{events:?}");
    }

    #[test]
    fn a_row_of_the_signaling_table_is_a_signal() {
        let row = [Cell::Text(b"7"), Cell::Text(b"log"), Cell::Null];
        let expected = Signal { id: "7".to_owned(), kind: "log".to_owned(), data: None };
        assert_eq!(signal(&Tuple::from_cells(row)), Some(expected));
        assert_eq!(signal(&Tuple::from_cells([Cell::Text(b"7"), Cell::Null])), None);
        assert_eq!(signal(&Tuple::from_cells([Cell::Text(b"7")])), None);
        let insert = data(11, b"I\0\0\0\x09N\0\x02t\0\0\0\x01at\0\0\0\x03log");
        let mut decoder = Decoder::default();
        decoder.announce_signals(9);
        let events = run(&mut decoder, &[begin(10), insert, commit(12)]).unwrap();
        assert!(matches!(&events[1], Event::Signal(signal) if signal.kind == "log"), "{events:?}");
    }

    #[test]
    fn a_toasted_key_is_taken_from_the_old_image() {
        let update = data(11, b"U\0\0\0\x09K\0\x02t\0\0\0\x01knN\0\x02ut\0\0\0\x01v");
        let mut decoder = Decoder::default();
        decoder.announce(9, relation(ColumnType::Text));
        let events = run(&mut decoder, &[update]).unwrap();
        let Event::Change(Change { action: Action::Update { new, .. }, .. }) = &events[0] else { panic!("{events:?}") };
        assert_eq!(*new, Tuple::from_cells([Cell::Text(b"k"), Cell::Text(b"v")]));
    }
}
