//! What is compared, and within which bounds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use datapipe_core::layout::Layout;
use datapipe_core::output::Output;
use datapipe_core::port::rows::Moment;
use datapipe_core::table::Compression;

/// One table and its objects.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The table as SQL names it.
    pub table: String,
    /// How its objects are named; the contract's way without another.
    pub layout: Layout,
    /// What they hold; lines of JSON in gzip without another.
    pub output: Output,
    /// The topic that the objects come from.
    pub topic: String,
    /// The key's columns in the key's order; at least one.
    pub key: Vec<String>,
    /// Offsets that the objects must answer for, by partition, as far as they are known: from where delivery began up
    /// to the delivering group's offset. Without them a missing first or last object shows in the rows only.
    pub answered: BTreeMap<i32, Range<i64>>,
    /// The moment of the rows, if others write meanwhile: an event is folded only if the rows hold its transaction. Without
    /// it all events are.
    pub moment: Option<Moment>,
    /// Where what the rows hold ends in the log, by partition, as far as it is known: objects that begin there or later are
    /// not read, so some may be written meanwhile.
    pub ends: BTreeMap<i32, i64>,
    /// Of how many keys one is compared; 1 for all. Which ones is the same in every run. Objects are read whole all the same,
    /// so this saves temporary files, not reading.
    pub one_of: u32,
    /// A folder in which a proof leaves its rows for the next one, which then reads only the objects that came since. Needs
    /// [`Scope::moment`]; rows of a sample are not kept.
    pub keep: Option<PathBuf>,
    /// Of which server and in which forms the rows are, in words of the caller's: rows that were kept with others are not
    /// used.
    pub forms: String,
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
        let output = Output::lines(Compression::Gzip);
        let layout = Layout::contract(&table, &output.ending());
        Self {
            table,
            layout,
            output,
            topic,
            key,
            answered,
            moment: None,
            ends: BTreeMap::new(),
            one_of: 1,
            keep: None,
            forms: String::new(),
            rereads: false,
            limits: Limits::default(),
        }
    }

    /// What the keys of its objects begin with. The contract's folder is the table's alone, so what else lies there is
    /// found too.
    pub(crate) fn root(&self) -> String {
        let (root, folder) = (self.layout.root(&self.topic, None), format!("table={}/", self.table));
        if root.starts_with(&folder) { folder } else { root }
    }
}
