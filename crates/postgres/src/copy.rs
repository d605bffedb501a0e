//! `COPY .. TO STDOUT` in text format, turned into row images: PostgreSQL's chapter "COPY", "Text Format".

use bytes::{Buf, Bytes};
use datapipe_core::change::{Cell, Tuple, push_cell};

use crate::error::Error;

/// Reads rows out of the pieces that COPY sends; a row may span pieces.
#[derive(Debug, Default)]
pub struct CopyText {
    /// The beginning of a row whose end has not come yet.
    rest: Vec<u8>,
    /// Rows in the layout of [`Tuple`], not handed out yet.
    done: Vec<u8>,
}

impl CopyText {
    /// Takes a piece in; `width` is the number of columns.
    ///
    /// # Errors
    /// If a row has another number of columns.
    pub fn read(&mut self, piece: &[u8], width: u16) -> Result<(), Error> {
        let mut piece = piece;
        // A line feed inside a value is escaped, so a bare one ends a row.
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&piece[..end], &piece[end + 1..]);
            if self.rest.is_empty() {
                push_row(line, width, &mut self.done)?;
            } else {
                self.rest.extend_from_slice(line);
                push_row(&self.rest, width, &mut self.done)?;
                self.rest.clear();
            }
            piece = after;
        }
        self.rest.extend_from_slice(piece);
        Ok(())
    }

    /// The size in bytes of the rows that are complete.
    pub fn size(&self) -> usize {
        self.done.len()
    }

    /// Appends the rows that are complete. They share one allocation.
    ///
    /// # Errors
    /// None in practice: the rows were built here.
    pub fn take(&mut self, rows: &mut Vec<Tuple>) -> Result<(), Error> {
        let capacity = self.done.len();
        let mut bytes = Bytes::from(std::mem::replace(&mut self.done, Vec::with_capacity(capacity)));
        while !bytes.is_empty() {
            let (row, size) = Tuple::parse(&bytes)?;
            bytes.advance(size);
            rows.push(row);
        }
        Ok(())
    }
}

/// Appends one row, given without its line end.
fn push_row(line: &[u8], width: u16, out: &mut Vec<u8>) -> Result<(), Error> {
    out.extend_from_slice(&width.to_be_bytes());
    let mut fields = line.split(|byte| *byte == b'\t');
    // A table without columns gives empty lines, as does a column of empty texts.
    for _ in 0..width {
        match fields.next() {
            Some(b"\\N") => push_cell(out, Cell::Null),
            Some(field) => push_text(field, out),
            None => return Err(Error::Protocol(format!("a COPY row of fewer than {width} columns"))),
        }
    }
    match fields.next() {
        Some(field) if width > 0 || !field.is_empty() => {
            Err(Error::Protocol(format!("a COPY row of more than {width} columns")))
        }
        _ => Ok(()),
    }
}

/// Appends a cell with its value unescaped.
fn push_text(field: &[u8], out: &mut Vec<u8>) {
    if !field.contains(&b'\\') {
        return push_cell(out, Cell::Text(field));
    }
    let mut text = Vec::with_capacity(field.len());
    unescape(field, &mut text);
    push_cell(out, Cell::Text(&text));
}

/// COPY writes these escapes and no others.
fn unescape(field: &[u8], out: &mut Vec<u8>) {
    let mut rest = field;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let Some(escaped) = rest.get(at + 1) else { return };
        out.push(match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => *other,
        });
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(tuple: &Tuple) -> Vec<Option<Vec<u8>>> {
        tuple.cells().map(|cell| if let Cell::Text(text) = cell { Some(text.to_vec()) } else { None }).collect()
    }

    fn rows<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, width: u16) -> Result<Vec<Tuple>, Error> {
        let mut reader = CopyText::default();
        let mut rows = Vec::new();
        for piece in pieces {
            reader.read(piece, width)?;
        }
        reader.take(&mut rows)?;
        Ok(rows)
    }

    fn escape(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in text {
            match byte {
                8 => out.extend_from_slice(b"\\b"),
                12 => out.extend_from_slice(b"\\f"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                11 => out.extend_from_slice(b"\\v"),
                b'\\' => out.extend_from_slice(b"\\\\"),
                other => out.push(*other),
            }
        }
        out
    }

    #[test]
    fn null_is_told_from_its_text() {
        let rows = rows([&b"1\t\\N\t\\\\N\t\n"[..]], 4).unwrap();
        assert_eq!(cells(&rows[0]), [Some(b"1".to_vec()), None, Some(b"\\N".to_vec()), Some(Vec::new())]);
    }

    #[test]
    fn a_row_of_another_width_is_refused() {
        for line in [&b"1\t2\n"[..], b"\n", b"1\t2\t3\t4\n"] {
            assert!(rows([line], 3).is_err(), "{line:?}");
        }
        assert_eq!(rows([&b"\n\n"[..]], 0).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn what_copy_writes_is_read_however_it_is_cut(
            table in proptest::collection::vec(
                proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..8)), 3), 0..6),
            cut in 1usize..9,
        ) {
            let mut text = Vec::new();
            for row in &table {
                let fields: Vec<Vec<u8>> =
                    row.iter().map(|cell| cell.as_deref().map_or(b"\\N".to_vec(), escape)).collect();
                text.extend_from_slice(&fields.join(&b'\t'));
                text.push(b'\n');
            }
            let rows = rows(text.chunks(cut), 3).unwrap();
            prop_assert_eq!(rows.iter().map(cells).collect::<Vec<_>>(), table);
        }
    }
}
