//! The proof of data: what lies in the object store for a table, folded to rows, is what lies in `PostgreSQL`.
//!
//! [`reconcile`] reads every object of a table, folds the events in them to the rows they lead to, compares these with
//! the table's own rows, and says in a [`Report`] what it found:
//!
//! * **lost**: a row of `PostgreSQL` that the objects do not lead to;
//! * **surplus**: a row that the objects lead to and that `PostgreSQL` does not have;
//! * **differing**: a row on both sides with other values (a stale one, most likely);
//! * **doubled**: an event that was delivered twice, see below;
//! * **orphaned**: an update or a delete of a row that the events before it do not have;
//! * **problems of the chain**: objects that do not tile the log, or whose content is not what their metadata says.
//!
//! # Order
//!
//! Events are folded per partition in the order of the log: objects by their first offset, then lines. The last event
//! of a key wins. `r`, `c` and `u` set a row, `d` removes it, `t` clears the table. Keys of one partition are cleared
//! by a `t` of another one if their last LSN is lower: TRUNCATE locks the table, so LSNs order it against all changes.
//!
//! # Beside writers
//!
//! With [`Scope::moment`] an event counts if the rows hold its transaction, the row of a snapshot if its LSN is not beyond
//! the moment, and a row of an incremental snapshot (it holds whatever comes before it in the log) unless an event of its
//! key that does not count came before. [`Proving`] takes the rows first, so that the pipeline can be waited for in between.
//! One case is not told: a row made after the moment whose `c` is lost, and which an incremental snapshot has read since, is
//! surplus.
//!
//! # What doubled means
//!
//! An event of a key is doubled if one of these holds; nothing else is counted:
//!
//! 1. it is an `r`, and any event of that key was before it (a snapshot gives a row once, and first; where rows are read
//!    again on purpose, [`Scope::rereads`] allows those of a later snapshot);
//! 2. it is a change whose `source.lsn` is not above that of the key's last change (row locks order the changes of one
//!    key by LSN, so this is a change delivered again, or out of order);
//! 3. it is a `c` of a row that is there (delivered again, or contained in the row's `r`);
//! 4. it is a `u` next after the row's `r`, with an LSN below the snapshot's and the same image as the `r` holds (a
//!    change contained in its `r`; a lower LSN alone is none: its transaction may have committed after the snapshot).
//!
//! Not decidable from envelopes, and so not counted: an update that changed nothing, in a transaction open at the
//! moment of the snapshot, looks as in 4. An update that exchanges keys among rows in one statement (deferred unique
//! constraints) gives a log in which keys collide, with any reader.
//!
//! # Values
//!
//! Rows are compared by `PostgreSQL`'s columns. A column that an object's row lacks counts as null (it was added
//! later); one that `PostgreSQL` lacks is not compared (it was dropped). An unchanged TOASTed value in an update keeps
//! the row's earlier value.
//!
//! # Memory
//!
//! Bounded by [`Limits`], whatever the table's size: events and rows go to temporary files by the hash of their key,
//! which are folded one after another and split again if one does not fit. Beside [`Limits::memory_bytes_max`] there
//! are 4 MiB of buffers per level of splitting (one level up to some hundred times the memory), the longest line
//! twice, and about 200 bytes per object. The temporary files take about the size of the uncompressed images.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod chain;
mod compare;
mod content;
mod decode;
mod driver;
mod error;
mod event;
mod feed;
mod fold;
mod inflate;
mod kept;
mod proof;
mod report;
mod row;
mod rows;
mod scope;
mod spill;

pub use driver::{Proving, reconcile, reconcile_log};
pub use error::ReconcileError;
pub use report::{Example, Problem, ProblemKind, Problems, Report, Sample};
pub use rows::{RowBatch, Rows, TupleRows};
pub use scope::{Limits, Scope};
