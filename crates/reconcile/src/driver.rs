//! Reads objects and rows and hands them to the comparing thread.

use std::time::{Duration, Instant};

use bytes::Bytes;
use datapipe_core::object::ObjectMeta;
use datapipe_core::port::log::{LogReader, RecordBatch};
use datapipe_core::port::store::{Head, ObjectStore};
use datapipe_core::port::{ErrorKind, PortError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::chain::Chain;
use crate::error::ReconcileError;
use crate::proof::Proof;
use crate::report::{Problem, ProblemKind, Report};
use crate::rows::{RowBatch, Rows};
use crate::scope::Scope;

/// How much of an object is read at a time.
const READ_BYTES: u64 = 1024 * 1024;

/// Pieces on their way to the comparing thread.
const PIECES_MAX: usize = 2;

/// Records on their way to it.
const RECORDS_MAX: usize = 64;
/// How long a record of the log is waited for at a time, and a partition's next ones in all.
const POLL: Duration = Duration::from_millis(500);
const READ_MAX: Duration = Duration::from_secs(120);

/// What the comparing thread is given.
enum Piece {
    Problem(Problem),
    Begin {
        name: String,
        partition: i32,
        meta: Option<Box<ObjectMeta>>,
    },
    Bytes(Bytes),
    End,
    /// A partition of the log itself follows.
    Partition(String, i32),
    Record(Vec<u8>),
    Rows(RowBatch),
    Finish,
}

/// Folds the table's objects and compares them with its rows.
///
/// The work is done on a thread of its own; it takes about one core. The objects are read first, then the rows: see
/// [`Rows`] for what must hold meanwhile.
pub async fn reconcile(store: &dyn ObjectStore, rows: &mut dyn Rows, scope: &Scope) -> Result<Report, ReconcileError> {
    if scope.key.is_empty() {
        return Err(ReconcileError::NoKey(scope.table.clone()));
    }
    let (pieces, taken) = mpsc::channel(PIECES_MAX);
    let owned = scope.clone();
    let comparing = tokio::task::spawn_blocking(move || compare(owned, taken));
    let fed = feed(store, rows, scope, &pieces).await;
    drop(pieces);
    outcome(fed, comparing).await
}

/// The same for the events in the log itself, where nothing writes objects: every partition from its first record to
/// the end that it has when its turn comes, committed records only. Its report counts no objects.
pub async fn reconcile_log(
    log: &mut dyn LogReader,
    rows: &mut dyn Rows,
    scope: &Scope,
) -> Result<Report, ReconcileError> {
    if scope.key.is_empty() {
        return Err(ReconcileError::NoKey(scope.table.clone()));
    }
    let (pieces, taken) = mpsc::channel(RECORDS_MAX);
    let owned = scope.clone();
    let comparing = tokio::task::spawn_blocking(move || compare(owned, taken));
    let fed = async {
        feed_log(log, scope, &pieces).await?;
        feed_rows(rows, scope, &pieces).await
    };
    let fed = fed.await;
    drop(pieces);
    outcome(fed, comparing).await
}

async fn outcome(
    fed: Result<(), Ended>,
    comparing: JoinHandle<Result<Option<Report>, ReconcileError>>,
) -> Result<Report, ReconcileError> {
    let compared = comparing.await.map_err(|error| ReconcileError::BrokenOff(Box::new(error)))?;
    match (fed, compared) {
        (Err(Ended::Because(error)), _) | (_, Err(error)) => Err(error),
        (_, Ok(Some(report))) => Ok(report),
        (_, Ok(None)) => Err(ReconcileError::BrokenOff("the comparing thread was not fed to the end".into())),
    }
}

fn compare(scope: Scope, mut taken: mpsc::Receiver<Piece>) -> Result<Option<Report>, ReconcileError> {
    let mut proof = Proof::new(scope);
    while let Some(piece) = taken.blocking_recv() {
        match piece {
            Piece::Problem(problem) => proof.problem(problem),
            Piece::Begin { name, partition, meta } => proof.begin(name, partition, meta.map(|meta| *meta))?,
            Piece::Bytes(bytes) => proof.bytes(&bytes)?,
            Piece::End => proof.end()?,
            Piece::Partition(name, partition) => proof.partition(name, partition),
            Piece::Record(envelope) => proof.record(&envelope)?,
            Piece::Rows(batch) => proof.rows(&batch)?,
            Piece::Finish => return proof.finish().map(Some),
        }
    }
    Ok(None)
}

/// Why feeding stopped.
enum Ended {
    Because(ReconcileError),
    /// The comparing thread has ended; its own result says why.
    NobodyListens,
}

struct Feed<'a> {
    store: &'a dyn ObjectStore,
    scope: &'a Scope,
    pieces: &'a mpsc::Sender<Piece>,
}

async fn feed(
    store: &dyn ObjectStore,
    rows: &mut dyn Rows,
    scope: &Scope,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), Ended> {
    let feed = Feed { store, scope, pieces };
    let mut chain = Chain::new(scope.answered.clone());
    for (partition, first, key) in feed.objects().await? {
        feed.object(&mut chain, (partition, first), key).await?;
    }
    for problem in chain.end() {
        feed.send(Piece::Problem(problem)).await?;
    }
    feed_rows(rows, scope, pieces).await
}

async fn feed_log(log: &mut dyn LogReader, scope: &Scope, pieces: &mpsc::Sender<Piece>) -> Result<(), Ended> {
    let failed = |source| Ended::Because(ReconcileError::Log { topic: scope.topic.clone(), source });
    let send = async |piece| pieces.send(piece).await.map_err(|_| Ended::NobodyListens);
    let partitions = log.identity().await.map_err(failed)?.partitions;
    let mut batch = RecordBatch::default();
    for partition in 0..partitions {
        let (first, end) = log.bounds(partition).await.map_err(failed)?;
        let name = format!("partition {partition} of topic {}", scope.topic);
        send(Piece::Partition(name, partition)).await?;
        log.seek(partition, first).await.map_err(failed)?;
        let begun = Instant::now();
        while log.position(partition).is_none_or(|position| position < end) && first < end {
            batch.clear();
            log.poll(POLL, &mut batch).await.map_err(failed)?;
            for record in batch.iter().filter(|record| record.partition == partition && record.offset < end) {
                if let Some(envelope) = record.value {
                    send(Piece::Record(envelope.to_vec())).await?;
                }
            }
            if batch.is_empty() && begun.elapsed() > READ_MAX {
                let attempt = format!("reading {} up to offset {end}", scope.topic);
                return Err(failed(PortError::new(ErrorKind::Retry, attempt).because("no more records come")));
            }
        }
    }
    Ok(())
}

async fn feed_rows(rows: &mut dyn Rows, scope: &Scope, pieces: &mpsc::Sender<Piece>) -> Result<(), Ended> {
    let send = async |piece| pieces.send(piece).await.map_err(|_| Ended::NobodyListens);
    loop {
        let mut batch = RowBatch::default();
        let failed = |source| Ended::Because(ReconcileError::Rows { table: scope.table.clone(), source });
        rows.next(&mut batch).await.map_err(failed)?;
        if batch.is_empty() {
            return send(Piece::Finish).await;
        }
        send(Piece::Rows(batch)).await?;
    }
}

impl Feed<'_> {
    async fn send(&self, piece: Piece) -> Result<(), Ended> {
        self.pieces.send(piece).await.map_err(|_| Ended::NobodyListens)
    }

    async fn problem(&self, kind: ProblemKind, object: String, what: String) -> Result<(), Ended> {
        self.send(Piece::Problem(Problem { kind, object, what })).await
    }

    fn failed(&self, source: PortError) -> Ended {
        Ended::Because(ReconcileError::Store { table: self.scope.table.clone(), source })
    }

    /// The table's objects by partition and first offset: the hours in their keys need not be in that order.
    async fn objects(&self) -> Result<Vec<(i32, i64, String)>, Ended> {
        let prefix = self.scope.root();
        let (mut objects, mut from) = (Vec::new(), None::<String>);
        loop {
            let listed = self.store.list(&prefix, false, from.as_deref()).await;
            let page = listed.map_err(|error| self.failed(error))?;
            for key in page.keys {
                match self.scope.layout.parse(&key, &self.scope.topic) {
                    Some((partition, first)) => objects.push((partition, first, key)),
                    None if hidden(&key) => {}
                    None => {
                        let what = format!("it lies among the objects of topic {} and is none", self.scope.topic);
                        self.problem(ProblemKind::Foreign, key, what).await?;
                    }
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        objects.sort_unstable();
        Ok(objects)
    }

    async fn object(&self, chain: &mut Chain, name: (i32, i64), key: String) -> Result<(), Ended> {
        let Some(head) = self.store.head(&key).await.map_err(|error| self.failed(error))? else {
            return self.problem(ProblemKind::Unreadable, key, "it vanished after it was listed".to_owned()).await;
        };
        let meta = self.meta(&key, &head).await?;
        match &meta {
            Some(meta) => {
                for problem in chain.link(&key, &self.scope.topic, name, meta) {
                    self.send(Piece::Problem(problem)).await?;
                }
            }
            None => chain.break_off(name.0),
        }
        self.send(Piece::Begin { name: key.clone(), partition: name.0, meta: meta.map(Box::new) }).await?;
        let mut offset = 0;
        while offset < head.size {
            let length = READ_BYTES.min(head.size - offset);
            let bytes = self.store.read(&key, offset, length).await.map_err(|error| self.failed(error))?;
            if bytes.is_empty() {
                let what = format!("it ends after {offset} of {} bytes", head.size);
                self.problem(ProblemKind::Unreadable, key, what).await?;
                break;
            }
            offset += bytes.len() as u64;
            self.send(Piece::Bytes(bytes)).await?;
        }
        self.send(Piece::End).await
    }

    /// The object's metadata; none if it was not written by datapipe.
    async fn meta(&self, key: &str, head: &Head) -> Result<Option<ObjectMeta>, Ended> {
        match ObjectMeta::from_map(&head.metadata) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) => {
                if head.metadata.keys().any(|name| name.starts_with("datapipe-")) {
                    self.problem(ProblemKind::Altered, key.to_owned(), error.to_string()).await?;
                }
                Ok(None)
            }
        }
    }
}

/// Names that readers of hive partitions leave out.
fn hidden(key: &str) -> bool {
    key.rsplit('/').next().is_some_and(|name| name.starts_with(['.', '_']))
}
