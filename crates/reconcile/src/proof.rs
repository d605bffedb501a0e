//! Takes objects and rows in pieces, without knowing where they come from, and sorts them by their keys' hashes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use datapipe_core::Lsn;
use datapipe_core::object::ObjectMeta;
use datapipe_core::output::Format;
use datapipe_core::port::rows::Moment;
use datapipe_parquet::ReadError;

use crate::compare::Compare;
use crate::content::Content;
use crate::decode::{Decoder, Stopped};
use crate::error::ReconcileError;
use crate::event::{self, Event, Op, What};
use crate::fold::lsn_text;
use crate::kept::{self, Draft, Header, Mark};
use crate::report::{Example, Problem, ProblemKind, Report};
use crate::row;
use crate::rows::RowBatch;
use crate::scope::Scope;
use crate::spill::{Parts, Record, hash};

/// A comparison under way.
pub(crate) struct Proof {
    scope: Scope,
    report: Report,
    objects: Vec<Object>,
    truncates: Vec<Truncate>,
    /// The first one of each partition that the table's rows do not know.
    later: Vec<Truncate>,
    open: Option<Open>,
    events: Parts,
    rows: Parts,
    place: u64,
    key: Vec<u8>,
    /// Where objects end, once they are read.
    ends: Option<BTreeMap<i32, i64>>,
    /// Where the last proof ended.
    since: Option<Header>,
    /// By partition, the first object that the next proof reads again.
    resume: BTreeMap<i32, i64>,
}

pub(crate) struct Object {
    pub(crate) name: Box<str>,
    pub(crate) partition: i32,
    first: i64,
}

/// Whether the last proof has met an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    Not,
    /// In this object.
    There,
    /// Its rows held the event, and all of those were in earlier objects.
    Again,
}

/// The object that is being read.
struct Open {
    decoder: Decoder,
    content: Content,
    /// Of a format that is read from its end.
    whole: Option<File>,
    meta: Option<ObjectMeta>,
    lines: u64,
    broken: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Truncate {
    pub(crate) partition: i32,
    pub(crate) place: u64,
    pub(crate) lsn: u64,
}

impl Proof {
    pub(crate) fn new(scope: Scope) -> Self {
        let folder = scope.limits.folder.as_deref();
        let (events, rows) = (Parts::new(0, folder), Parts::new(0, folder));
        Self {
            report: Report { table: scope.table.clone(), one_of: scope.one_of, ..Report::default() },
            objects: Vec::new(),
            truncates: Vec::new(),
            later: Vec::new(),
            open: None,
            events,
            rows,
            place: 0,
            key: Vec::new(),
            ends: None,
            since: None,
            resume: BTreeMap::new(),
            scope,
        }
    }

    pub(crate) fn problem(&mut self, problem: Problem) {
        self.report.chain.add(self.scope.limits.examples_max, problem);
    }

    /// Objects follow.
    pub(crate) fn objects(&mut self, ends: BTreeMap<i32, i64>, since: Option<Header>) -> Result<(), ReconcileError> {
        self.ends = Some(ends);
        let (Some(since), Some(folder)) = (since, &self.scope.keep) else { return Ok(()) };
        // Rows of no partition: a TRUNCATE clears them by its LSN.
        self.objects.push(Object { name: "(the last proof)".into(), partition: i32::MIN, first: 0 });
        let chosen = |hash| is_chosen(hash, self.scope.one_of);
        let events = &mut self.events;
        let op = Op::Kept.letter();
        let mut take = |record: &Record<'_>| {
            if chosen(record.hash) { events.push(&Record { op, ..*record }) } else { Ok(()) }
        };
        kept::rows(folder, since.rows, &mut take).map_err(ReconcileError::Kept)?;
        self.report.since = Some(since.moment.fence);
        self.since = Some(since);
        Ok(())
    }

    /// An object follows; objects come by partition and first offset.
    pub(crate) fn begin(
        &mut self,
        name: String,
        place: (i32, i64),
        meta: Option<ObjectMeta>,
    ) -> Result<(), ReconcileError> {
        self.report.objects += 1;
        self.report.unattested += u64::from(meta.is_none());
        self.objects.push(Object { name: name.into(), partition: place.0, first: place.1 });
        let (output, line_bytes_max) = (self.scope.output.clone(), self.scope.limits.line_bytes_max);
        let decoder = Decoder::new(output.compression, line_bytes_max)
            .map_err(|error| ReconcileError::BrokenOff(Box::new(error)))?;
        let folder = self.scope.limits.folder.as_deref();
        let whole = match (output.format, folder) {
            (Format::Parquet, Some(folder)) => Some(tempfile::tempfile_in(folder)),
            (Format::Parquet, None) => Some(tempfile::tempfile()),
            _ => None,
        };
        let whole = whole.transpose().map_err(ReconcileError::Spill)?;
        self.open = Some(Open { decoder, content: Content::new(output), whole, meta, lines: 0, broken: false });
        Ok(())
    }

    /// The object's next bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), ReconcileError> {
        self.report.bytes += bytes.len() as u64;
        let mut open = self.open.take().expect("bytes follow the begin of an object");
        open.decoder.digest(bytes);
        if let Some(whole) = &mut open.whole {
            whole.write_all(bytes).map_err(ReconcileError::Spill)?;
        } else if !open.broken {
            let Open { decoder, content, lines, .. } = &mut open;
            let read = decoder.lines(bytes, &mut |line| self.line(line, content, lines));
            open.broken = !self.usable(read)?;
        }
        self.open = Some(open);
        Ok(())
    }

    /// The object ends.
    pub(crate) fn end(&mut self) -> Result<(), ReconcileError> {
        let mut open = self.open.take().expect("an end follows the begin of an object");
        if let Some(whole) = open.whole.take() {
            let Open { content, lines, .. } = &mut open;
            let read = datapipe_parquet::read(whole, &mut |row| self.line(row, content, lines));
            let read = read.map_err(|error| match error {
                ReadError::Content(why) => Stopped::Content(format!("it is no Parquet: {why}")),
                ReadError::Taker(stopped) => stopped,
            });
            open.broken = !self.usable(read)?;
        } else if !open.broken {
            let Open { decoder, content, lines, .. } = &mut open;
            let read = decoder.finish(&mut |line| self.line(line, content, lines));
            let read = read.and_then(|()| content.end().map_err(Stopped::Content));
            open.broken = !self.usable(read)?;
        }
        let (size, sha256) = open.decoder.sum();
        let Some(meta) = open.meta else { return Ok(()) };
        if sha256 != meta.sha256 {
            let what = format!("its {size} bytes have the SHA-256 {sha256}, its metadata say {}", meta.sha256);
            self.object_problem(ProblemKind::Altered, what);
        }
        if !open.broken && open.lines != meta.written {
            let what = format!("it holds {} records, its metadata say {}", open.lines, meta.written);
            self.object_problem(ProblemKind::Altered, what);
        }
        Ok(())
    }

    /// A partition of the log follows; records come in its order.
    pub(crate) fn partition(&mut self, name: String, partition: i32) {
        self.objects.push(Object { name: name.into(), partition, first: 0 });
    }

    /// A record's value in the log.
    pub(crate) fn record(&mut self, envelope: &[u8]) -> Result<(), ReconcileError> {
        self.report.bytes += envelope.len() as u64;
        let number = self.place + 1;
        let read = self.event(envelope, &|why| Stopped::Content(format!("record {number}: {why}")));
        self.usable(read).map(drop)
    }

    fn object_problem(&mut self, kind: ProblemKind, what: String) {
        let object = self.objects.last().map(|object| object.name.to_string()).unwrap_or_default();
        self.problem(Problem { kind, object, what });
    }

    fn usable(&mut self, read: Result<(), Stopped<ReconcileError>>) -> Result<bool, ReconcileError> {
        match read {
            Ok(()) => Ok(true),
            Err(Stopped::Content(what)) => {
                self.object_problem(ProblemKind::Unreadable, what);
                Ok(false)
            }
            Err(Stopped::Taker(error)) => Err(error),
        }
    }

    fn line(&mut self, line: &[u8], content: &mut Content, lines: &mut u64) -> Result<(), Stopped<ReconcileError>> {
        let number = *lines + 1;
        let unusable = |why: &dyn std::fmt::Display| Stopped::Content(format!("record {number}: {why}"));
        let Some(value) = content.value(line).map_err(|why| unusable(&why))? else { return Ok(()) };
        *lines = number;
        self.event(&value, &unusable)
    }

    /// An envelope of the object or partition that came last.
    fn event(
        &mut self,
        value: &[u8],
        unusable: &dyn Fn(&dyn std::fmt::Display) -> Stopped<ReconcileError>,
    ) -> Result<(), Stopped<ReconcileError>> {
        self.place += 1;
        let object = self.objects.len() - 1;
        let Event { what, lsn, xid } = event::parse(value).map_err(|why| unusable(&why))?;
        let is_later = is_later(self.scope.moment.as_ref(), what, lsn, xid);
        if is_later {
            let Object { partition, first, .. } = self.objects[object];
            self.resume.entry(partition).or_insert(first);
        }
        let met = self.met(object, what, lsn, xid);
        let (op, image) = match what {
            What::Row { op, image } if met == Met::There && op.is_reread() => (op.again(), image.as_bytes()),
            What::Row { .. } | What::Truncate if met == Met::There => return Ok(()),
            What::Row { op, image } => (if is_later { Op::Later } else { op }, image.as_bytes()),
            What::Truncate if is_later => {
                self.report.later += 1;
                let partition = self.objects[object].partition;
                if !self.later.iter().any(|before| before.partition == partition) {
                    self.later.push(Truncate { partition, place: self.place, lsn });
                }
                return Ok(());
            }
            What::Truncate => return self.truncate(object, lsn).map_err(Stopped::Taker),
            What::Other => return Ok(()),
        };
        row::write_key(image, &self.scope.key, &mut self.key).map_err(|why| unusable(&why))?;
        let hash = hash(&self.key);
        if !is_chosen(hash, self.scope.one_of) {
            return Ok(());
        }
        self.report.later += u64::from(is_later);
        self.report.events += u64::from(!is_later);
        if met == Met::Again && !op.is_reread() {
            let example = || Example {
                key: String::from_utf8_lossy(&self.key).into_owned(),
                object: Some(self.objects[object].name.to_string()),
                what: format!("its event at {} was in objects that the last proof has read", lsn_text(lsn)),
            };
            self.report.doubled.add(self.scope.limits.examples_max, example);
        }
        let record = Record {
            hash,
            place: self.place,
            lsn,
            object: u32::try_from(object).unwrap_or(u32::MAX),
            op: op.letter(),
            key: &self.key,
            row: if matches!(op, Op::Delete | Op::Later | Op::Missing | Op::MissingAgain) { b"" } else { image },
        };
        self.events.push(&record).map_err(|error| Stopped::Taker(ReconcileError::Spill(error)))
    }

    /// What the last proof knows of an event.
    fn met(&self, object: usize, what: What<'_>, lsn: u64, xid: Option<u32>) -> Met {
        let Some(since) = &self.since else { return Met::Not };
        if is_later(Some(&since.moment), what, lsn, xid) {
            return Met::Not;
        }
        let Object { partition, first, .. } = self.objects[object];
        let was_read = since.partitions.get(&partition).is_some_and(|mark| first < mark.end);
        if was_read { Met::There } else { Met::Again }
    }

    fn truncate(&mut self, object: usize, lsn: u64) -> Result<(), ReconcileError> {
        self.report.events += 1;
        let partition = self.objects[object].partition;
        let examples_max = self.scope.limits.examples_max;
        if lsn > 0 && self.truncates.iter().any(|other| other.partition == partition && other.lsn >= lsn) {
            self.report.doubled.add(examples_max, || Example {
                key: "(truncate)".to_owned(),
                object: Some(self.objects[object].name.to_string()),
                what: format!("at {} comes after one at the same or a higher LSN", lsn_text(lsn)),
            });
        }
        let truncates_max = self.scope.limits.truncates_max;
        if self.truncates.len() >= truncates_max {
            return Err(ReconcileError::Truncates { table: self.scope.table.clone(), truncates_max });
        }
        self.truncates.push(Truncate { partition, place: self.place, lsn });
        Ok(())
    }

    /// Rows of the table.
    pub(crate) fn rows(&mut self, batch: &RowBatch) -> Result<(), ReconcileError> {
        for row in batch.iter() {
            row::write_key(row, &self.scope.key, &mut self.key)
                .map_err(|why| ReconcileError::Row { table: self.scope.table.clone(), why: why.to_string() })?;
            let hash = hash(&self.key);
            if !is_chosen(hash, self.scope.one_of) {
                continue;
            }
            self.report.rows += 1;
            let record = Record { hash, place: 0, lsn: 0, object: 0, op: 0, key: &self.key, row };
            self.rows.push(&record).map_err(ReconcileError::Spill)?;
        }
        Ok(())
    }

    /// Everything is there: compares.
    pub(crate) fn finish(self) -> Result<Report, ReconcileError> {
        let events = self.events.finish().map_err(ReconcileError::Spill)?;
        let mut rows = self.rows.finish().map_err(ReconcileError::Spill)?;
        let keep = self.scope.keep.clone().filter(|_| self.scope.moment.is_some() && self.scope.one_of <= 1);
        let draft = match (keep, self.ends) {
            (Some(folder), Some(ends)) => {
                Some((Draft::of(&folder, &mut rows).map_err(ReconcileError::Kept)?, marks(ends, &self.resume)))
            }
            _ => None,
        };
        let compare =
            Compare { scope: self.scope, objects: self.objects, truncates: self.truncates, later: self.later };
        let mut report = self.report;
        let examples_max = compare.scope.limits.examples_max;
        for found in compare.parts(events.into_iter().zip(rows).collect())? {
            report.add(examples_max, found);
        }
        if let Some((draft, marks)) = draft {
            let kept = if report.proven() { draft.keep(&compare.scope, report.rows, marks) } else { draft.drop() };
            kept.map_err(ReconcileError::Kept)?;
        }
        Ok(report)
    }
}

/// Where the next proof goes on: at the first object that holds something later, or else where objects ended.
fn marks(ends: BTreeMap<i32, i64>, resume: &BTreeMap<i32, i64>) -> BTreeMap<i32, Mark> {
    let mark = |(partition, end)| {
        let resume = resume.get(&partition).copied().unwrap_or(end);
        (partition, Mark { resume, end })
    };
    ends.into_iter().map(mark).collect()
}

/// The hash's lower half sorts the keys into parts.
fn is_chosen(hash: u64, one_of: u32) -> bool {
    one_of <= 1 || (hash >> 32).is_multiple_of(one_of.into())
}

/// Whether rows were read before this. A row of an incremental snapshot does not tell; whoever folds it knows.
fn is_later(moment: Option<&Moment>, what: What<'_>, lsn: u64, xid: Option<u32>) -> bool {
    let Some(moment) = moment else { return false };
    match what {
        What::Other => false,
        What::Row { op, .. } if op.is_reread() => false,
        What::Row { op: Op::Read, .. } => !moment.holds(None, Lsn(lsn)),
        What::Row { .. } | What::Truncate => !moment.holds(xid, Lsn(lsn)),
    }
}
