//! datapipe's protocol as two small state machines, checked exhaustively within stated bounds.
//!
//! The path of a row has two halves that meet in the log, and so has its proof. [`capture`] goes from PostgreSQL's slot to
//! Kafka's log, [`chain`] from the log to the objects, and [`contract`] says what the one promises and the other relies on.
//! [`table`] runs the checks, [`report`] says what they covered. `cargo run -p datapipe-model --example check` prints all of it.
//!
//! # The capture
//!
//! | action | in the real code |
//! |---|---|
//! | `DatabaseCommits` | an application commits; its rows share one LSN, and a commit's LSN is also the next row's |
//! | `InitTransactions` | `init_transactions`: a new epoch, the older producer fenced, its open transaction aborted, a decided one kept |
//! | `ReadProgress` | `confirmed_flush_lsn` is looked at, then progress is read (read committed) up to the high watermark, waiting while the last stable offset is behind it; slot ahead: refuse |
//! | `StartReplication` | `START_REPLICATION` when no walsender holds the slot, then a second look at the slot, now that nobody else can move it; slot ahead: begin again, and let `ReadProgress` decide |
//! | `Send` | messages received, those at or below the stored `(commit_lsn, index)` skipped, the rest and the progress record written in one Kafka transaction; a batch may end inside a source transaction; a keepalive alone gives an offsets-only transaction |
//! | `EndTransaction`, `Decide`, `WriteMarkers`, `ReceiveReply` | `commit_transaction`, in the four moments between which everything else may happen |
//! | `Confirm` | a standby status update with the end LSN of the newest progress record known to be committed |
//! | `LearnFenced`, `LearnDisconnected` | an error that ends the run: everything in memory is forgotten |
//! | `Crash`, `SessionTimesOut`, `TransactionTimesOut`, `LoseReply`, `LoseInitReply`, `SlotMoved` | kill -9; a pause longer than `wal_sender_timeout`, or than `transaction.timeout.ms`; an answer that never arrives; a slot dropped and made anew, or advanced |
//!
//! A dead sender's `EndTxn` may still arrive: the open transaction stays, and `Decide` is possible until somebody fences it.
//! A pause shorter than a timeout needs no action of its own: between two steps of one instance the other may take any number.
//! Two instances start at once and nothing elects one, so group membership is a matter of economy, not of safety.
//!
//! The coordinator here lets a new producer begin to read while the markers of a decided commit are still being written. Kafka
//! promises more (`init_transactions` waits for them); the proof does not need it, because the reader waits.
//!
//! **Left out**: more than one partition of the data topic, protocol 2's streaming of open transactions (the index is then
//! counted at Stream Commit), the snapshot, identity checks (system identifier, timeline, publication), and a producer that
//! goes on with the same epoch after an abort or a failed produce: the engine must throw it away, as `LoseReply` does.
//!
//! # The chain
//!
//! | action | in the real code |
//! |---|---|
//! | `Start`, `Head` | the group's offset is read; HEAD of the key that the next record would give, as often as one exists |
//! | `Close` | the buffer is closed at any record, for size, age or hour: cutting is left to the wall clock, so any cut is allowed |
//! | `Apply` | the store handles the PUT with `If-None-Match: *`: created, or 412 |
//! | `Adopt` | the answer arrives; after a 412, HEAD, and the stored object's `next` is where the buffer begins now |
//! | `CommitOffset` | the group's offset is committed, late, never, or by a sink that is long behind |
//! | `Crash`, `LoseReply`, `StrayArrives`, `MoveOffsetBack` | kill -9; a PUT or its answer lost; a PUT that arrives after its sender gave up; the group's offset lost, or an old commit landing late |
//!
//! Both sinks run all the time without knowing of each other, so every pause and every double start is among the runs.
//!
//! **Left out**: the hour in the key (a function of the first record, hence no more than the offset), the digest that tells a
//! recreated topic, more than one partition (each has its own chain), multipart uploads (created at their completion).
//!
//! # What is proven, and how far
//!
//! Every reachable state within the bounds is visited, and in each the invariants hold. A last invariant makes it a proof of
//! progress too: each step raises a bounded measure, so no run is endless, and a state without a next step is one where the
//! work is done. Milestones guard against an empty proof: a check fails if no run splits a transaction, fences an instance,
//! meets a longer and a shorter stored object, and so on. And each rule is broken once on purpose ([`capture::Mutation`],
//! [`chain::Mutation`]): a rule whose breaking no check notices would be a rule that nothing holds.
//!
//! The bounds are constants: [`capture::Capture::BOUNDS`], [`capture::Capture::SLOT_CHANGE_BOUNDS`],
//! [`chain::Chain::BOUNDS`], [`chain::Chain::EVERY_LOG_BOUNDS`]. Beyond them nothing is claimed; there the simulation of the
//! real engine goes on at random.

pub mod capture;
pub mod chain;
pub mod contract;
pub mod report;
pub mod table;
