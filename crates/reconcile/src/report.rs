//! What was found.

use std::fmt;

use datapipe_core::Lsn;
use serde::{Deserialize, Serialize};

/// Examples of one kind that are shown in words.
const SHOWN_MAX: usize = 10;

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The table as SQL names it.
    pub table: String,
    /// Of how many keys one was compared; all counts of rows and events are of these.
    pub one_of: u32,
    /// The moment of the earlier proof that this one goes on from; its rows are the beginning, and only objects that came
    /// since were read.
    pub since: Option<Lsn>,
    /// Rows in `PostgreSQL`.
    pub rows: u64,
    /// Rows that the objects lead to.
    pub folded: u64,
    /// Events in the objects.
    pub events: u64,
    /// Events of transactions that the rows do not hold, because they were read before; they are not folded.
    pub later: u64,
    /// Objects.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Objects without datapipe's metadata, written by another sink: their content is compared, but whether they tile
    /// the log cannot be told.
    pub unattested: u64,
    /// Rows of `PostgreSQL` that the objects do not lead to.
    pub lost: Sample,
    /// Rows that the objects lead to and `PostgreSQL` does not have.
    pub surplus: Sample,
    /// Rows on both sides with other values.
    pub differing: Sample,
    /// Events delivered twice.
    pub doubled: Sample,
    /// Updates and deletes of rows that the events before them do not have, and creates of rows that they have: an event is
    /// missing. What comes before an incremental snapshot's word on the row does not count.
    pub orphaned: Sample,
    /// Objects that do not tile the log, or are not what their metadata says.
    pub chain: Problems,
}

/// A count, and some examples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// How many there are.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// One row or event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The key's JSON.
    pub key: String,
    /// The object that holds the event in question.
    pub object: Option<String>,
    /// What is wrong with it.
    pub what: String,
}

/// A count of problems, and some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    /// How many there are.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<Problem>,
}

/// Something wrong with an object or its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Of which kind.
    pub kind: ProblemKind,
    /// The object's key.
    pub object: String,
    /// In words.
    pub what: String,
}

/// Kinds of problems of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// No object answers for some offsets before this one: an object is missing.
    Hole,
    /// Another object answers for some of the same offsets.
    Overlap,
    /// The object is not of this chain: another cluster, topic or partition, or not datapipe's at all.
    Foreign,
    /// Its content or its metadata are not what was written.
    Altered,
    /// It cannot be read to its end.
    Unreadable,
}

impl Report {
    /// True if the objects hold what the table holds, each event once, in a chain without faults.
    pub fn proven(&self) -> bool {
        let findings = [&self.lost, &self.surplus, &self.differing, &self.doubled, &self.orphaned];
        self.chain.count == 0 && findings.iter().all(|sample| sample.count == 0)
    }

    /// Leaves at most so many examples of each kind.
    pub fn keep_examples(&mut self, most: usize) {
        let Self { lost, surplus, differing, doubled, orphaned, .. } = self;
        for sample in [lost, surplus, differing, doubled, orphaned] {
            sample.examples.truncate(most);
        }
        self.chain.examples.truncate(most);
    }

    /// Adds what was found in one part of the keys.
    pub(crate) fn add(&mut self, examples_max: usize, part: Self) {
        self.folded += part.folded;
        self.lost.append(examples_max, part.lost);
        self.surplus.append(examples_max, part.surplus);
        self.differing.append(examples_max, part.differing);
        self.doubled.append(examples_max, part.doubled);
        self.orphaned.append(examples_max, part.orphaned);
    }

    fn samples(&self) -> [(&'static str, &Sample); 5] {
        [
            ("lost", &self.lost),
            ("surplus", &self.surplus),
            ("differing", &self.differing),
            ("doubled", &self.doubled),
            ("orphaned", &self.orphaned),
        ]
    }
}

impl Sample {
    pub(crate) fn add(&mut self, examples_max: usize, example: impl FnOnce() -> Example) {
        self.count += 1;
        if self.examples.len() < examples_max {
            self.examples.push(example());
        }
    }

    pub(crate) fn append(&mut self, examples_max: usize, other: Self) {
        self.count += other.count;
        let room = examples_max.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }
}

impl Problems {
    pub(crate) fn add(&mut self, examples_max: usize, problem: Problem) {
        self.count += 1;
        if self.examples.len() < examples_max {
            self.examples.push(problem);
        }
    }
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.what)?;
        match &self.object {
            Some(object) => write!(f, " (in {object})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, rows, folded, events, objects, bytes, unattested, chain, .. } = self;
        write!(
            f,
            "table {table}: {rows} rows in PostgreSQL, {folded} rows from {events} events in {objects} objects "
        )?;
        write!(f, "({bytes} bytes):")?;
        for (name, sample) in self.samples() {
            write!(f, " {name} {},", sample.count)?;
        }
        write!(f, " chain problems {}", chain.count)?;
        if let Some(since) = self.since {
            write!(f, "\n  beginning with the rows that were proven at {since}")?;
        }
        if self.one_of > 1 {
            write!(f, "\n  of one key in {}", self.one_of)?;
        }
        if self.later > 0 {
            write!(f, "\n  {} events are of transactions after the moment of the rows", self.later)?;
        }
        if *unattested > 0 {
            write!(
                f,
                "\n  {unattested} objects were written by another sink: their place in the log cannot be checked"
            )?;
        }
        for (name, sample) in self.samples() {
            write_examples(f, name, sample.count, &sample.examples)?;
        }
        write_examples(f, "chain problem", chain.count, &chain.examples)
    }
}

fn write_examples<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, count: u64, examples: &[T]) -> fmt::Result {
    let shown = examples.len().min(SHOWN_MAX);
    for example in &examples[..shown] {
        write!(f, "\n  {name}: {example}")?;
    }
    match count - shown as u64 {
        0 => Ok(()),
        more => write!(f, "\n  {name}: and {more} more"),
    }
}
