//! The comparison itself: takes objects and rows in pieces, without knowing where they come from.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::Write as _;

use datapipe_core::object::ObjectMeta;
use datapipe_core::output::Format;
use datapipe_parquet::ReadError;

use crate::content::Content;
use crate::decode::{Decoder, Stopped};
use crate::error::ReconcileError;
use crate::event::{self, Event, Op};
use crate::fold::{Fault, State, lsn_text};
use crate::report::{Example, Problem, ProblemKind, Report};
use crate::row;
use crate::rows::RowBatch;
use crate::scope::Scope;
use crate::spill::{LEVELS_MAX, Part, Parts, Record, Records, hash, split};

/// What a key costs in memory beside its own bytes and its row's: the map's slot, the state, the allocator.
const KEY_OVERHEAD_BYTES: usize = 256;

/// A comparison under way.
pub(crate) struct Proof {
    scope: Scope,
    report: Report,
    objects: Vec<Object>,
    truncates: Vec<Truncate>,
    open: Option<Open>,
    events: Parts,
    rows: Parts,
    place: u64,
    key: Vec<u8>,
}

struct Object {
    name: Box<str>,
    partition: i32,
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
struct Truncate {
    partition: i32,
    place: u64,
    lsn: u64,
}

type Keys = HashMap<Box<[u8]>, (State, bool)>;

impl Proof {
    pub(crate) fn new(scope: Scope) -> Self {
        let folder = scope.limits.folder.as_deref();
        let (events, rows) = (Parts::new(0, folder), Parts::new(0, folder));
        Self {
            report: Report { table: scope.table.clone(), ..Report::default() },
            objects: Vec::new(),
            truncates: Vec::new(),
            open: None,
            events,
            rows,
            place: 0,
            key: Vec::new(),
            scope,
        }
    }

    pub(crate) fn problem(&mut self, problem: Problem) {
        self.report.chain.add(self.scope.limits.examples_max, problem);
    }

    /// An object follows; objects come by partition and first offset.
    pub(crate) fn begin(
        &mut self,
        name: String,
        partition: i32,
        meta: Option<ObjectMeta>,
    ) -> Result<(), ReconcileError> {
        self.report.objects += 1;
        self.report.unattested += u64::from(meta.is_none());
        self.objects.push(Object { name: name.into(), partition });
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
        self.objects.push(Object { name: name.into(), partition });
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
        let (op, lsn, image) = match event::parse(value).map_err(|why| unusable(&why))? {
            Event::Row { op, lsn, image } => (op, lsn, image.as_bytes()),
            Event::Truncate { lsn } => return self.truncate(object, lsn).map_err(Stopped::Taker),
            Event::Other => return Ok(()),
        };
        self.report.events += 1;
        row::write_key(image, &self.scope.key, &mut self.key).map_err(|why| unusable(&why))?;
        let record = Record {
            hash: hash(&self.key),
            place: self.place,
            lsn,
            object: u32::try_from(object).unwrap_or(u32::MAX),
            op: op.letter(),
            key: &self.key,
            row: if op == Op::Delete { b"" } else { image },
        };
        self.events.push(&record).map_err(|error| Stopped::Taker(ReconcileError::Spill(error)))
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
            self.report.rows += 1;
            row::write_key(row, &self.scope.key, &mut self.key)
                .map_err(|why| ReconcileError::Row { table: self.scope.table.clone(), why: why.to_string() })?;
            let record = Record { hash: hash(&self.key), place: 0, lsn: 0, object: 0, op: 0, key: &self.key, row };
            self.rows.push(&record).map_err(ReconcileError::Spill)?;
        }
        Ok(())
    }

    /// Everything is there: compares.
    pub(crate) fn finish(self) -> Result<Report, ReconcileError> {
        let events = self.events.finish().map_err(ReconcileError::Spill)?;
        let rows = self.rows.finish().map_err(ReconcileError::Spill)?;
        let compare = Compare { scope: self.scope, objects: self.objects, truncates: self.truncates };
        let mut report = self.report;
        for (events, rows) in events.into_iter().zip(rows) {
            compare.part(events, rows, 0, &mut report)?;
        }
        Ok(report)
    }
}

/// The second half: parts of the keys, one after another.
struct Compare {
    scope: Scope,
    objects: Vec<Object>,
    truncates: Vec<Truncate>,
}

impl Compare {
    fn part(&self, mut events: Part, mut rows: Part, level: u32, report: &mut Report) -> Result<(), ReconcileError> {
        let mut found = Report::default();
        if let Some(keys) = self.fold(&mut events, &mut found)? {
            self.match_rows(keys, &mut rows, &mut found)?;
            let examples_max = self.scope.limits.examples_max;
            report.folded += found.folded;
            report.lost.append(examples_max, found.lost);
            report.surplus.append(examples_max, found.surplus);
            report.differing.append(examples_max, found.differing);
            report.doubled.append(examples_max, found.doubled);
            report.orphaned.append(examples_max, found.orphaned);
            return Ok(());
        }
        let deeper = level + 1;
        if deeper >= LEVELS_MAX {
            return Err(ReconcileError::Memory { memory_bytes_max: self.scope.limits.memory_bytes_max });
        }
        let folder = self.scope.limits.folder.as_deref();
        let event_parts = split(&mut events, deeper, folder).map_err(ReconcileError::Spill)?;
        let row_parts = split(&mut rows, deeper, folder).map_err(ReconcileError::Spill)?;
        // Frees the disk before the parts are split further.
        drop((events, rows));
        event_parts.into_iter().zip(row_parts).try_for_each(|(events, rows)| self.part(events, rows, deeper, report))
    }

    /// Folds a part's events; none if the keys do not fit into memory.
    fn fold(&self, events: &mut Part, found: &mut Report) -> Result<Option<Keys>, ReconcileError> {
        let limits = &self.scope.limits;
        let mut keys = Keys::new();
        let mut memory = 0usize;
        let mut records = Records::of(events).map_err(ReconcileError::Spill)?;
        while let Some(record) = records.next().map_err(ReconcileError::Spill)? {
            let op = Op::of(record.op).expect("written by Proof::line");
            if !keys.contains_key(record.key) {
                memory += record.key.len() + KEY_OVERHEAD_BYTES;
                keys.insert(record.key.into(), (State::default(), false));
            }
            let (state, _) = keys.get_mut(record.key).expect("inserted above");
            memory -= state.size();
            if self.cleared(state, record.object, record.place, record.lsn) {
                state.row = None;
            }
            let fault = state
                .apply(&record, op, self.scope.rereads)
                .map_err(|error| ReconcileError::BrokenOff(Box::new(error)))?;
            memory += state.size();
            if let Some(fault) = fault {
                self.note(fault, &record, found);
            }
            if memory > limits.memory_bytes_max {
                if keys.len() == 1 {
                    return Err(ReconcileError::Memory { memory_bytes_max: limits.memory_bytes_max });
                }
                return Ok(None);
            }
        }
        // What was truncated after a key's last event.
        for (state, _) in keys.values_mut() {
            if self.cleared(state, state.object, u64::MAX, u64::MAX) {
                state.row = None;
            }
        }
        Ok(Some(keys))
    }

    /// Whether a TRUNCATE lies between a key's last event and the moment given by place and LSN.
    fn cleared(&self, state: &State, object: u32, place: u64, lsn: u64) -> bool {
        if self.truncates.is_empty() || state.row.is_none() {
            return false;
        }
        let partition = self.objects[object as usize].partition;
        self.truncates.iter().any(|truncate| {
            if truncate.partition == partition {
                (state.place..place).contains(&truncate.place)
            } else {
                (state.lsn..lsn).contains(&truncate.lsn)
            }
        })
    }

    fn note(&self, fault: Fault, record: &Record<'_>, found: &mut Report) {
        let (sample, what) = match fault {
            Fault::Doubled(what) => (&mut found.doubled, what),
            Fault::Orphaned(what) => (&mut found.orphaned, format!("{what} at {}", lsn_text(record.lsn))),
        };
        sample.add(self.scope.limits.examples_max, || self.example(record.key, Some(record.object), what));
    }

    fn example(&self, key: &[u8], object: Option<u32>, what: String) -> Example {
        let object = object.map(|object| self.objects[object as usize].name.to_string());
        Example { key: String::from_utf8_lossy(key).into_owned(), object, what }
    }

    /// Compares a part's folded keys with its rows.
    fn match_rows(&self, mut keys: Keys, rows: &mut Part, found: &mut Report) -> Result<(), ReconcileError> {
        let examples_max = self.scope.limits.examples_max;
        found.folded += keys.values().filter(|(state, _)| state.row.is_some()).count() as u64;
        let mut records = Records::of(rows).map_err(ReconcileError::Spill)?;
        while let Some(record) = records.next().map_err(ReconcileError::Spill)? {
            let entry = match keys.entry(record.key.into()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(_) => {
                    found.lost.add(examples_max, || self.example(record.key, None, "is in no object".to_owned()));
                    continue;
                }
            };
            let (state, matched) = entry;
            if std::mem::replace(matched, true) {
                let key = String::from_utf8_lossy(record.key).into_owned();
                return Err(ReconcileError::KeyNotUnique { table: self.scope.table.clone(), key });
            }
            let Some(row) = &state.row else {
                let what = format!("was removed at {}, PostgreSQL has it", lsn_text(state.lsn));
                found.lost.add(examples_max, || self.example(record.key, Some(state.object), what));
                continue;
            };
            let columns =
                row::differing_columns(record.row, row).map_err(|error| ReconcileError::BrokenOff(Box::new(error)))?;
            if !columns.is_empty() {
                let what = format!("differs in {}; its last event is at {}", columns.join(", "), lsn_text(state.lsn));
                found.differing.add(examples_max, || self.example(record.key, Some(state.object), what));
            }
        }
        for (key, (state, matched)) in &keys {
            if state.row.is_some() && !matched {
                let what = format!("is not in PostgreSQL; its last event is at {}", lsn_text(state.lsn));
                found.surplus.add(examples_max, || self.example(key, Some(state.object), what));
            }
        }
        Ok(())
    }
}
