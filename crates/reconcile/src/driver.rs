//! The thread that compares, and what is handed to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use datapipe_core::object::ObjectMeta;
use datapipe_core::port::log::LogReader;
use datapipe_core::port::store::ObjectStore;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::ReconcileError;
use crate::feed::{self, Ended};
use crate::kept::Header;
use crate::proof::Proof;
use crate::report::{Problem, Report};
use crate::rows::{RowBatch, Rows};
use crate::scope::Scope;

/// Pieces on their way to the comparing thread: some MiB.
const PIECES_MAX: usize = 4;

/// What the comparing thread is given.
pub(crate) enum Piece {
    Problem(Problem),
    /// Objects follow: where they end by partition, and what the last proof has left.
    Objects {
        ends: BTreeMap<i32, i64>,
        since: Option<Box<Header>>,
    },
    /// An object follows; its place is its partition and first offset.
    Begin {
        name: String,
        place: (i32, i64),
        meta: Option<Box<ObjectMeta>>,
    },
    Bytes(Bytes),
    End,
    /// A partition of the log itself follows.
    Partition(String, i32),
    Records(Vec<Vec<u8>>),
    Rows(RowBatch),
    Finish,
}

/// Folds the table's objects and compares them with its rows, which nobody changes meanwhile: see [`Rows`].
pub async fn reconcile(store: &dyn ObjectStore, rows: &mut dyn Rows, scope: &Scope) -> Result<Report, ReconcileError> {
    Proving::begin(scope)?.rows(rows, scope).await?.objects(store, scope).await?.finish().await
}

/// The same for the events in the log itself, where nothing writes objects: every partition from its first record to
/// the end that it has when its turn comes, committed records only. Its report counts no objects.
pub async fn reconcile_log(
    log: &mut dyn LogReader,
    rows: &mut dyn Rows,
    scope: &Scope,
) -> Result<Report, ReconcileError> {
    Proving::begin(scope)?.rows(rows, scope).await?.log(log, scope).await?.finish().await
}

/// A comparison under way: first the rows, then, once everything that they hold is where it is compared with, the objects
/// or the log.
///
/// The work is done on a thread of its own, which takes about one core; the comparison in the end takes all.
pub struct Proving {
    pieces: mpsc::Sender<Piece>,
    comparing: JoinHandle<Result<Option<Report>, ReconcileError>>,
}

impl Proving {
    /// Starts the thread.
    pub fn begin(scope: &Scope) -> Result<Self, ReconcileError> {
        if scope.key.is_empty() {
            return Err(ReconcileError::NoKey(scope.table.clone()));
        }
        let (pieces, taken) = mpsc::channel(PIECES_MAX);
        let owned = scope.clone();
        Ok(Self { pieces, comparing: tokio::task::spawn_blocking(move || compare(owned, taken)) })
    }

    /// Takes the table's rows. Their transaction may end afterwards.
    pub async fn rows(self, rows: &mut dyn Rows, scope: &Scope) -> Result<Self, ReconcileError> {
        let fed = feed::rows(rows, scope, &self.pieces).await;
        self.went_on(fed).await
    }

    /// Takes the table's objects. The scope may know more by now: the offsets that were answered for, and where what the
    /// rows hold ends.
    pub async fn objects(self, store: &dyn ObjectStore, scope: &Scope) -> Result<Self, ReconcileError> {
        let fed = feed::objects(store, scope, &self.pieces).await;
        self.went_on(fed).await
    }

    /// Takes the log's committed records, up to the end of now.
    pub async fn log(self, log: &mut dyn LogReader, scope: &Scope) -> Result<Self, ReconcileError> {
        let fed = feed::log(log, scope, &self.pieces).await;
        self.went_on(fed).await
    }

    /// Compares.
    pub async fn finish(self) -> Result<Report, ReconcileError> {
        let fed = self.pieces.send(Piece::Finish).await.map_err(|_| Ended::NobodyListens);
        self.end(fed).await
    }

    async fn went_on(self, fed: Result<(), Ended>) -> Result<Self, ReconcileError> {
        match fed {
            Ok(()) => Ok(self),
            Err(ended) => Err(match self.end(Err(ended)).await {
                Err(error) => error,
                Ok(_) => broken_off(),
            }),
        }
    }

    async fn end(self, fed: Result<(), Ended>) -> Result<Report, ReconcileError> {
        let Self { pieces, comparing } = self;
        drop(pieces);
        let compared = comparing.await.map_err(|error| ReconcileError::BrokenOff(Box::new(error)))?;
        match (fed, compared) {
            (Err(Ended::Because(error)), _) | (_, Err(error)) => Err(error),
            (_, Ok(Some(report))) => Ok(report),
            (_, Ok(None)) => Err(broken_off()),
        }
    }
}

fn broken_off() -> ReconcileError {
    ReconcileError::BrokenOff("the comparing thread was not fed to the end".into())
}

fn compare(scope: Scope, mut taken: mpsc::Receiver<Piece>) -> Result<Option<Report>, ReconcileError> {
    let mut proof = Proof::new(scope);
    while let Some(piece) = taken.blocking_recv() {
        match piece {
            Piece::Problem(problem) => proof.problem(problem),
            Piece::Objects { ends, since } => proof.objects(ends, since.map(|since| *since))?,
            Piece::Begin { name, place, meta } => proof.begin(name, place, meta.map(|meta| *meta))?,
            Piece::Bytes(bytes) => proof.bytes(&bytes)?,
            Piece::End => proof.end()?,
            Piece::Partition(name, partition) => proof.partition(name, partition),
            Piece::Records(records) => records.iter().try_for_each(|envelope| proof.record(envelope))?,
            Piece::Rows(batch) => proof.rows(&batch)?,
            Piece::Finish => return proof.finish().map(Some),
        }
    }
    Ok(None)
}
