//! What is prepared once per relation, and the row images written by it.

use std::sync::Arc;

use super::RowError;
use super::columns::{Columns, Shape};
use crate::change::{Cell, Column, Relation, Tuple};
use crate::value::json::write_string;
use crate::value::{Modes, ValueError, write_fallback, write_unchanged, write_value};

/// A relation's names, escaped once.
pub(super) struct Layout {
    relation: Arc<Relation>,
    modes: Modes,
    /// Per column `"name":`.
    names: Vec<Box<[u8]>>,
    /// Per column what becomes of it in the row images.
    shapes: Vec<Shape>,
    /// The places of the columns that make the key.
    key: Vec<usize>,
    /// `"schema":"public","table":"users"`.
    table: Vec<u8>,
}

/// A row, and the old row in which values may stand that the log did not repeat.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) row: &'a Tuple,
    pub(super) old: Option<&'a Tuple>,
}

impl Layout {
    /// The layout of the relation. It is made anew when another one comes: the source makes a new `Arc` whenever the
    /// server announces a changed relation.
    #[inline]
    pub(super) fn of<'a>(
        cached: &'a mut Option<Self>,
        relation: &Arc<Relation>,
        modes: Modes,
        columns: &Columns,
    ) -> &'a Self {
        if cached.as_ref().is_some_and(|layout| !Arc::ptr_eq(&layout.relation, relation)) {
            *cached = None;
        }
        cached.get_or_insert_with(|| Self::new(relation, modes, columns))
    }

    #[cold]
    fn new(relation: &Arc<Relation>, modes: Modes, columns: &Columns) -> Self {
        let quoted = |out: &mut Vec<u8>, name: &str| {
            write_string(name.as_bytes(), out).expect("a name is a string, so it is UTF-8");
        };
        let name = |column: &Column| {
            let mut out = Vec::new();
            quoted(&mut out, &column.name);
            out.push(b':');
            out.into_boxed_slice()
        };
        let mut table = b"\"schema\":".to_vec();
        quoted(&mut table, &relation.schema);
        table.extend_from_slice(b",\"table\":");
        quoted(&mut table, &relation.name);
        let shape = |column| columns.shape(&relation.schema, &relation.name, column, modes);
        Self {
            names: relation.columns.iter().map(name).collect(),
            shapes: relation.columns.iter().map(shape).collect(),
            key: columns.message_key(relation),
            relation: Arc::clone(relation),
            modes,
            table,
        }
    }

    /// `"schema":"public","table":"users"`.
    pub(super) fn table(&self) -> &[u8] {
        &self.table
    }

    /// Writes `{"id":1}` of the key columns in the key's order, none of them masked; false, and nothing, if there are
    /// none.
    pub(super) fn write_key(&self, image: Image<'_>, out: &mut Vec<u8>) -> Result<bool, RowError> {
        self.check_width(image.row)?;
        let mut separator = b'{';
        for column in &self.key {
            out.push(separator);
            separator = b',';
            let cell = image.row.cells().nth(*column).expect("the width was checked");
            let old = || image.old.and_then(|old| old.cells().nth(*column));
            out.extend_from_slice(&self.names[*column]);
            self.write_cell(*column, cell, old, out)?;
        }
        if !self.key.is_empty() {
            out.push(b'}');
        }
        Ok(!self.key.is_empty())
    }

    /// Writes `{"before":..,"after":..,` of an envelope.
    pub(super) fn write_images(
        &self,
        before: Option<Image<'_>>,
        after: Option<Image<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        out.extend_from_slice(b"{\"before\":");
        self.write_image(before, out)?;
        out.extend_from_slice(b",\"after\":");
        self.write_image(after, out)?;
        out.push(b',');
        Ok(())
    }

    pub(super) fn write_image(&self, image: Option<Image<'_>>, out: &mut Vec<u8>) -> Result<(), RowError> {
        let Some(Image { row, old }) = image else {
            out.extend_from_slice(b"null");
            return Ok(());
        };
        self.check_width(row)?;
        let mut old = old.map(Tuple::cells);
        let mut separator = b'{';
        for (column, cell) in row.cells().enumerate() {
            let old_cell = old.as_mut().and_then(Iterator::next);
            let Shape { hidden, mask } = &self.shapes[column];
            if *hidden {
                continue;
            }
            out.push(separator);
            separator = b',';
            out.extend_from_slice(&self.names[column]);
            let from = out.len();
            self.write_cell(column, cell, || old_cell, out)?;
            if let Some(mask) = mask {
                mask.apply(from, out);
            }
        }
        if separator == b'{' {
            out.push(separator);
        }
        out.push(b'}');
        Ok(())
    }

    #[inline]
    fn write_cell<'a>(
        &self,
        column: usize,
        cell: Cell<'_>,
        old: impl FnOnce() -> Option<Cell<'a>>,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        let Column { kind, nullable, .. } = &self.relation.columns[column];
        let text = match cell {
            Cell::Text(text) => text,
            Cell::Null => {
                if *nullable {
                    out.extend_from_slice(b"null");
                } else {
                    write_fallback(kind, self.modes, out);
                }
                return Ok(());
            }
            Cell::Unchanged => {
                let Some(Cell::Text(text)) = old() else {
                    write_unchanged(kind, self.modes, out);
                    return Ok(());
                };
                return write_value(kind, self.modes, text, out).map_err(|why| self.error(column, why));
            }
        };
        write_value(kind, self.modes, text, out).map_err(|why| self.error(column, why))
    }

    fn check_width(&self, row: &Tuple) -> Result<(), RowError> {
        if row.width() == self.names.len() {
            return Ok(());
        }
        Err(self.error(row.width().min(self.names.len().saturating_sub(1)), ValueError::Width))
    }

    #[cold]
    fn error(&self, column: usize, why: ValueError) -> RowError {
        let (column, kind) = match self.relation.columns.get(column) {
            Some(column) => (column.name.clone(), column.kind.to_string()),
            None => (String::new(), String::new()),
        };
        RowError { column, kind, why }
    }
}
