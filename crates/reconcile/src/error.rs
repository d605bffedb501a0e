//! Why no report could be made. What is wrong with the data stands in the report instead.

use datapipe_core::port::PortError;

/// The comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The object store failed.
    #[error("reading the objects of table {table}")]
    Store {
        /// The table.
        table: String,
        /// The store's failure.
        #[source]
        source: PortError,
    },
    /// The log failed.
    #[error("reading topic {topic}")]
    Log {
        /// The topic.
        topic: String,
        /// The log's failure.
        #[source]
        source: PortError,
    },
    /// The table's rows could not be read.
    #[error("reading the rows of table {table}")]
    Rows {
        /// The table.
        table: String,
        /// The failure.
        #[source]
        source: PortError,
    },
    /// A temporary file failed.
    #[error("writing and reading temporary files (is there room? the images of all events must fit uncompressed)")]
    Spill(#[source] std::io::Error),
    /// What the last proof has kept cannot be used, or what this one keeps cannot be written.
    #[error("using the rows that a proof has kept for the next one")]
    Kept(#[source] std::io::Error),
    /// The table has no key, so that events cannot be told to belong to a row.
    #[error("table {0} has no primary key: its events cannot be folded to rows")]
    NoKey(String),
    /// A row of the table is no JSON object with the key's columns.
    #[error("a row of table {table} is not usable: {why}")]
    Row {
        /// The table.
        table: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two rows of the table have the same key.
    #[error("table {table} has two rows with the key {key}: the columns given as its key are not unique")]
    KeyNotUnique {
        /// The table.
        table: String,
        /// The key's JSON.
        key: String,
    },
    /// The memory given is too small for the rows.
    #[error("a row does not fit into the {memory_bytes_max} bytes given for the comparison: raise memory_bytes_max")]
    Memory {
        /// The bound.
        memory_bytes_max: usize,
    },
    /// More TRUNCATEs than can be kept.
    #[error("more than {truncates_max} truncates are in the objects of table {table}: raise truncates_max")]
    Truncates {
        /// The table.
        table: String,
        /// The bound.
        truncates_max: usize,
    },
    /// The comparing thread ended without a result.
    #[error("the comparison was broken off")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ReconcileError {
    /// Whether trying again may help without anybody's doing.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Store { source, .. } | Self::Rows { source, .. } => {
                source.kind() != datapipe_core::port::ErrorKind::Refused
            }
            _ => false,
        }
    }
}
