//! Where the table's own rows come from.

use async_trait::async_trait;
use datapipe_core::change::Tuple;
use datapipe_core::envelope::RowWriter;
use datapipe_core::port::rows::RowSource;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::value::Modes;

use crate::scope::Scope;

/// The rows of a table, read once from begin to end.
///
/// * **Form**: a row is a JSON object in exactly the representation of an envelope's `after`.
/// * **Order**: any.
/// * **Consistency**: all rows as of one moment. If others write meanwhile, [`crate::Scope::moment`] says which one;
///   otherwise the report tells of rows that are merely under way.
#[async_trait]
pub trait Rows: Send {
    /// Appends the next rows, some MiB at most. No row means the end.
    async fn next(&mut self, batch: &mut RowBatch) -> Result<(), PortError>;
}

/// Rows read in one go, in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowBatch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl RowBatch {
    /// Adds a row by copying its JSON object.
    pub fn push(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
    }

    /// Adds a row that `write` appends to the buffer.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let from = self.bytes.len();
        match write(&mut self.bytes) {
            Ok(()) => {
                self.ends.push(self.bytes.len());
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(from);
                Err(error)
            }
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The size of all rows in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The rows in the order of pushing.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, to)| &self.bytes[from..*to])
    }
}

/// A table's own rows, written as an envelope's `after` would hold them.
pub struct TupleRows<S> {
    source: S,
    writer: RowWriter,
    tuples: Vec<Tuple>,
}

impl<S: RowSource> TupleRows<S> {
    /// All rows of a source, in the forms that the pipeline's source connector asks for.
    pub const fn new(source: S, modes: Modes) -> Self {
        Self { source, writer: RowWriter::new(modes), tuples: Vec::new() }
    }

    /// The source's table and key, and the topic of its pipeline, with the default bounds.
    pub fn scope(&self, topic: impl Into<String>) -> Scope {
        let relation = self.source.relation();
        let key = relation.key.iter().map(|column| relation.columns[*column].name.clone()).collect();
        Scope::new(&relation.name, topic, key)
    }
}

#[async_trait]
impl<S: RowSource> Rows for TupleRows<S> {
    async fn next(&mut self, batch: &mut RowBatch) -> Result<(), PortError> {
        let Self { source, writer, tuples } = self;
        tuples.clear();
        source.read(tuples).await?;
        let relation = source.relation();
        for tuple in tuples.iter() {
            batch.push_with(|out| writer.write(&relation, tuple, out)).map_err(|error| {
                PortError::new(ErrorKind::Refused, format!("writing a row of {}", relation.name)).because(error)
            })?;
        }
        Ok(())
    }
}
