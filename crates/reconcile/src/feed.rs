//! Reads objects, the log and rows, and hands them to the comparing thread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use datapipe_core::object::ObjectMeta;
use datapipe_core::port::log::{LogReader, RecordBatch};
use datapipe_core::port::store::{Head, ObjectStore};
use datapipe_core::port::{ErrorKind, PortError};
use tokio::sync::mpsc;

use crate::chain::Chain;
use crate::driver::Piece;
use crate::error::ReconcileError;
use crate::kept;
use crate::report::{Problem, ProblemKind};
use crate::rows::{RowBatch, Rows};
use crate::scope::Scope;

/// How much of an object is read at a time.
const READ_BYTES: u64 = 1024 * 1024;

/// How long a record of the log is waited for at a time, and a partition's next ones in all.
const POLL: Duration = Duration::from_millis(500);
const READ_MAX: Duration = Duration::from_secs(120);

/// Why feeding stopped.
pub(crate) enum Ended {
    Because(ReconcileError),
    /// The comparing thread has ended; its own result says why.
    NobodyListens,
}

struct Feed<'a> {
    store: &'a dyn ObjectStore,
    scope: &'a Scope,
    pieces: &'a mpsc::Sender<Piece>,
    /// From where on objects are read, by partition.
    floors: BTreeMap<i32, i64>,
}

/// Hands over the table's objects.
pub(crate) async fn objects(store: &dyn ObjectStore, scope: &Scope, pieces: &mpsc::Sender<Piece>) -> Result<(), Ended> {
    let since = kept::header(scope).map_err(|error| Ended::Because(ReconcileError::Kept(error)))?;
    let floors = since.iter().flat_map(|since| &since.partitions);
    let floors: BTreeMap<i32, i64> = floors.map(|(partition, mark)| (*partition, mark.resume)).collect();
    let mut answered = scope.answered.clone();
    for (partition, range) in &mut answered {
        range.start = range.start.max(floors.get(partition).copied().unwrap_or(0));
    }
    let feed = Feed { store, scope, pieces, floors };
    let mut chain = Chain::new(answered);
    feed.send(Piece::Objects { ends: scope.ends.clone(), since: since.map(Box::new) }).await?;
    for (partition, first, key) in feed.objects().await? {
        feed.object(&mut chain, (partition, first), key).await?;
    }
    for problem in chain.end() {
        feed.send(Piece::Problem(problem)).await?;
    }
    Ok(())
}

/// Hands over the log's records: every partition from its first one to the end that it has when its turn comes.
pub(crate) async fn log(log: &mut dyn LogReader, scope: &Scope, pieces: &mpsc::Sender<Piece>) -> Result<(), Ended> {
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
            let records = batch.iter().filter(|record| record.partition == partition && record.offset < end);
            send(Piece::Records(records.filter_map(|record| record.value.map(<[u8]>::to_vec)).collect())).await?;
            if batch.is_empty() && begun.elapsed() > READ_MAX {
                let attempt = format!("reading {} up to offset {end}", scope.topic);
                return Err(failed(PortError::new(ErrorKind::Retry, attempt).because("no more records come")));
            }
        }
    }
    Ok(())
}

/// Hands over the table's rows.
pub(crate) async fn rows(rows: &mut dyn Rows, scope: &Scope, pieces: &mpsc::Sender<Piece>) -> Result<(), Ended> {
    let send = async |piece| pieces.send(piece).await.map_err(|_| Ended::NobodyListens);
    loop {
        let mut batch = RowBatch::default();
        let failed = |source| Ended::Because(ReconcileError::Rows { table: scope.table.clone(), source });
        rows.next(&mut batch).await.map_err(failed)?;
        if batch.is_empty() {
            return Ok(());
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
                    Some((partition, first)) if self.is_left_out(partition, first) => {}
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

    /// Whether an object holds nothing that the rows could hold, or nothing that the last proof has not met. The former
    /// are made while this one looks, and some of them would be missed.
    fn is_left_out(&self, partition: i32, first: i64) -> bool {
        let is_later = self.scope.ends.get(&partition).is_some_and(|end| first >= *end);
        is_later || self.floors.get(&partition).is_some_and(|floor| first < *floor)
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
        self.send(Piece::Begin { name: key.clone(), place: name, meta: meta.map(Box::new) }).await?;
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
