//! What is prepared once per relation, and the row images written by it.

use std::sync::{Arc, Mutex, PoisonError};

use super::columns::{Columns, Mask, Shape};
use super::{Lost, Nulls, RowError};
use crate::change::{Cell, Column, Relation, Tuple};
use crate::value::json::write_string;
use crate::value::{Loss, Modes, ValueError, write_default, write_fallback, write_unchanged, write_value};

/// The form of all rows of a capture.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) modes: Modes,
    pub(super) columns: Columns,
    pub(super) nulls: Nulls,
    /// Where values are counted that have no form and are NULL for it; none if such a value is an error.
    pub(super) losses: Option<Losses>,
    /// What Debezium loses is lost too.
    pub(super) losses_too: bool,
}

impl Form {
    /// Whether the row images leave a column out.
    pub(super) fn hides(&self, relation: &Relation, column: &Column) -> bool {
        (self.losses_too && column.loss == Loss::Column)
            || self.columns.hides(&relation.schema, &relation.name, &column.name)
    }
}

/// Counted between two looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses(Arc<Mutex<Option<Lost>>>);

impl Losses {
    pub(super) fn take(&self) -> Option<Lost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn add(&self, error: RowError) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert(Lost { values: 0, first: error }).values += 1;
    }
}

/// A relation's names, escaped once, and what is the same in all of its rows.
pub(super) struct Layout {
    pub(super) relation: Arc<Relation>,
    modes: Modes,
    losses: Option<Losses>,
    /// Per column.
    cells: Vec<CellForm>,
    /// The places of the columns that make the key.
    pub(super) key: Vec<usize>,
    /// `"schema":"public","table":"users"`.
    table: Vec<u8>,
}

/// What is the same in all cells of a column.
struct CellForm {
    /// `"name":`
    name: Box<[u8]>,
    /// The row images leave it out. (The key does not.)
    hidden: bool,
    /// What is done to its value in the row images.
    mask: Option<Mask>,
    /// What of its values is lost on purpose.
    loss: Loss,
    /// What stands for a value that is not there: in the key, and in the row images, where it is masked already.
    absent: [Box<[u8]>; 2],
}

impl CellForm {
    fn new(relation: &Relation, column: &Column, form: &Form) -> Self {
        let mut name = Vec::new();
        write_string(column.name.as_bytes(), &mut name).expect("a name is a string, so it is UTF-8");
        name.push(b':');
        let Shape { mask, .. } = form.columns.shape(&relation.schema, &relation.name, column, form.modes);
        let hidden = form.hides(relation, column);
        // Of a NOT NULL column Debezium could not write null either.
        let loss = if form.losses_too && column.nullable { column.loss } else { Loss::None };
        let mut default = Vec::new();
        // Debezium asks the catalog for the columns that it shows only: of others it knows no more than the name.
        let known = !hidden;
        let has_default = known
            && column.default.as_ref().is_some_and(|text| write_default(&column.kind, form.modes, text, &mut default));
        let absent = |replaced: bool, mask: Option<&Mask>| {
            let mut out = Vec::new();
            match (column.nullable || !known, has_default) {
                (true, _) => out.extend_from_slice(b"null"),
                (false, true) => out.extend_from_slice(&default),
                (false, false) => write_fallback(&column.kind, form.modes, &mut out),
            }
            if let Some(mask) = mask {
                mask.apply(0, &mut out);
            }
            if replaced && has_default && out == b"null" {
                out.clone_from(&default);
            }
            out.into_boxed_slice()
        };
        let Nulls { default_in_keys, default_in_values } = form.nulls;
        let absent = [absent(default_in_keys, None), absent(default_in_values, mask.as_ref())];
        Self { name: name.into_boxed_slice(), hidden, mask, loss, absent }
    }

    /// Whether a value is lost on purpose.
    #[inline]
    fn loses(&self, cell: Cell<'_>, read: bool) -> bool {
        match self.loss {
            Loss::None => false,
            Loss::Streamed => !read,
            Loss::Elements => matches!(cell, Cell::Text(text) if text != b"{}"),
            Loss::Column => true,
        }
    }
}

/// A row, and the old row in which values may stand that the log did not repeat.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) row: &'a Tuple,
    pub(super) old: Option<&'a Tuple>,
    /// A query has read it; otherwise the stream has brought it.
    pub(super) read: bool,
}

impl Layout {
    /// The layout of the relation. It is made anew when another one comes: the source makes a new `Arc` whenever the
    /// server announces a changed relation.
    #[inline]
    pub(super) fn of<'a>(cached: &'a mut Option<Self>, relation: &Arc<Relation>, form: &Form) -> &'a Self {
        if cached.as_ref().is_some_and(|layout| !Arc::ptr_eq(&layout.relation, relation)) {
            *cached = None;
        }
        cached.get_or_insert_with(|| Self::new(relation, form))
    }

    #[cold]
    fn new(relation: &Arc<Relation>, form: &Form) -> Self {
        let quoted = |out: &mut Vec<u8>, name: &str| {
            write_string(name.as_bytes(), out).expect("a name is a string, so it is UTF-8");
        };
        let mut table = b"\"schema\":".to_vec();
        quoted(&mut table, &relation.schema);
        table.extend_from_slice(b",\"table\":");
        quoted(&mut table, &relation.name);
        Self {
            cells: relation.columns.iter().map(|column| CellForm::new(relation, column, form)).collect(),
            key: form.columns.message_key(relation),
            relation: Arc::clone(relation),
            modes: form.modes,
            losses: form.losses.clone(),
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
            out.extend_from_slice(&self.cells[*column].name);
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
        let Some(Image { row, old, read }) = image else {
            out.extend_from_slice(b"null");
            return Ok(());
        };
        self.check_width(row)?;
        let mut old = old.map(Tuple::cells);
        let mut separator = b'{';
        for (column, cell) in row.cells().enumerate() {
            let old_cell = old.as_mut().and_then(Iterator::next);
            let form = &self.cells[column];
            let CellForm { name, hidden, mask, absent, .. } = form;
            if *hidden {
                continue;
            }
            out.push(separator);
            separator = b',';
            out.extend_from_slice(name);
            if cell == Cell::Null || form.loses(cell, read) {
                out.extend_from_slice(&absent[1]);
                continue;
            }
            let from = out.len();
            if let Err(error) = self.write_cell(column, cell, || old_cell, out) {
                self.lose(column, error)?;
                out.truncate(from);
                out.extend_from_slice(&absent[1]);
                continue;
            }
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
        let Column { kind, .. } = &self.relation.columns[column];
        let text = match cell {
            Cell::Text(text) => text,
            Cell::Null => {
                out.extend_from_slice(&self.cells[column].absent[0]);
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

    /// Takes a value without a form for NULL, if it may be.
    #[cold]
    fn lose(&self, column: usize, error: RowError) -> Result<(), RowError> {
        let formless = matches!(error.why, ValueError::Mode(_) | ValueError::Dimensions);
        match &self.losses {
            Some(losses) if formless && self.relation.columns[column].nullable => {
                losses.add(error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn check_width(&self, row: &Tuple) -> Result<(), RowError> {
        if row.width() == self.cells.len() {
            return Ok(());
        }
        Err(self.error(row.width().min(self.cells.len().saturating_sub(1)), ValueError::Width))
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
