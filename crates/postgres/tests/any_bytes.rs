//! Whatever bytes a server sends, they are decoded or refused, and what was decoded can be read.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use datapipe_core::change::{OldRow, Tuple};
use datapipe_postgres::copy::CopyText;
use datapipe_postgres::pgoutput::{Message, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Rows of three columns, with every escape of COPY.
const ROWS: &[u8] = b"1\ta\\tb\\nc\\\\\t\\N\n2\t\\b\\f\\r\\v\t\n3\t\\N\t\xc3\xbc\n";
/// An UPDATE with an old image and cells of each kind.
const UPDATE: &[u8] = b"U\0\0\x40\x0dO\0\x03t\0\0\0\x012nn\x4e\0\x03t\0\0\0\x012ut\0\0\0\x03sad";

fn altered(sound: &[u8], edits: &[(Index, u8)], end: Index) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for (at, byte) in edits {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes.truncate(end.index(sound.len() + 1));
    bytes
}

/// Reads every cell: a tuple promises as many as its width.
fn read_all(tuple: &Tuple) {
    assert_eq!(tuple.cells().count(), tuple.width());
}

fn decoded(bytes: Vec<u8>) {
    let old_image = |old: OldRow| match old {
        OldRow::Key(tuple) | OldRow::Full(tuple) => tuple,
    };
    match decode(&bytes.into()) {
        Ok(Message::Insert { new, .. }) => read_all(&new),
        Ok(Message::Update { old, new, .. }) => {
            old.map(old_image).iter().for_each(read_all);
            read_all(&new);
        }
        Ok(Message::Delete { old, .. }) => read_all(&old_image(old)),
        Ok(_) | Err(_) => {}
    }
}

/// Reads a text in pieces. Every row that comes out is as wide as was asked, and the pieces do not matter.
fn copied(text: &[u8], width: u16, piece_bytes: usize) -> Option<Vec<Tuple>> {
    let mut copy = CopyText::default();
    let read = text.chunks(piece_bytes).try_for_each(|piece| copy.read(piece, width));
    let mut rows = Vec::new();
    let taken = copy.take(&mut rows);
    read.ok()?;
    taken.unwrap();
    for row in &rows {
        assert_eq!(row.width(), usize::from(width));
        read_all(row);
    }
    Some(rows)
}

#[test]
fn the_sound_samples_are_read() {
    assert!(matches!(decode(&Bytes::from_static(UPDATE)), Ok(Message::Update { old: Some(OldRow::Full(_)), .. })));
    assert_eq!(copied(ROWS, 3, 7).map(|rows| rows.len()), Some(3));
}

proptest! {
    #[test]
    fn replication_messages(kind in proptest::sample::select(b"BCROYIUDTMS".to_vec()), rest in vec(any::<u8>(), 0..80)) {
        decoded([vec![kind], rest].concat());
    }

    #[test]
    fn altered_replication_messages(edits in vec((any::<Index>(), any::<u8>()), 0..4), end in any::<Index>()) {
        decoded(altered(UPDATE, &edits, end));
    }

    #[test]
    fn copied_text(text in vec(any::<u8>(), 0..120), width in 0u16..5, piece_bytes in 1usize..9) {
        prop_assert_eq!(copied(&text, width, piece_bytes), copied(&text, width, usize::MAX));
    }

    #[test]
    fn altered_copied_text(
        edits in vec((any::<Index>(), proptest::sample::select(b"\\\t\n\rN.0x\xff".to_vec())), 0..6),
        end in any::<Index>(),
        piece_bytes in 1usize..9,
    ) {
        let text = altered(ROWS, &edits, end);
        prop_assert_eq!(copied(&text, 3, piece_bytes), copied(&text, 3, usize::MAX));
    }
}
