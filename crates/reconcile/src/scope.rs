//! What is compared, and within which bounds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

/// One table and its objects.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The table as SQL names it; its objects lie below `table={table}/`.
    pub table: String,
    /// The topic that the objects come from.
    pub topic: String,
    /// The key's columns in the key's order; at least one.
    pub key: Vec<String>,
    /// Offsets that the objects must answer for, by partition, as far as they are known: from where delivery began up
    /// to the delivering group's offset. Without them a missing first or last object shows in the rows only.
    pub answered: BTreeMap<i32, Range<i64>>,
    /// Rows may be read again by a later snapshot (snapshot modes `always` and `when_needed`, snapshots by signal). Then
    /// an `r` is doubled only if its snapshot is not later than the key's last `r` and last change.
    pub rereads: bool,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of memory, and of what a report shows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of rows that are held while a part of the keys is compared.
    pub memory_bytes_max: usize,
    /// Bytes of one line of an object.
    pub line_bytes_max: usize,
    /// Examples per kind of finding.
    pub examples_max: usize,
    /// TRUNCATEs in all objects.
    pub truncates_max: usize,
    /// Where temporary files are made; the system's folder if none is given.
    pub folder: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 * 1024 * 1024,
            line_bytes_max: 64 * 1024 * 1024,
            examples_max: 10,
            truncates_max: 10_000,
            folder: None,
        }
    }
}

impl Scope {
    /// A table with the default bounds.
    pub fn new(table: impl Into<String>, topic: impl Into<String>, key: Vec<String>) -> Self {
        let (table, topic, answered) = (table.into(), topic.into(), BTreeMap::new());
        Self { table, topic, key, answered, rereads: false, limits: Limits::default() }
    }

    pub(crate) fn prefix(&self) -> String {
        format!("table={}/", self.table)
    }
}
