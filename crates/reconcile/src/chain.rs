//! Whether objects tile the log.

use std::collections::BTreeMap;
use std::ops::Range;

use datapipe_core::object::ObjectMeta;

use crate::report::{Problem, ProblemKind};

/// Walks the objects of a topic by partition and first offset.
#[derive(Debug)]
pub(crate) struct Chain {
    cluster: Option<String>,
    last: Option<Link>,
    /// What is left to be answered for, by partition.
    answered: BTreeMap<i32, Range<i64>>,
}

#[derive(Debug)]
struct Link {
    partition: i32,
    next: i64,
    object: String,
}

impl Chain {
    /// A chain that must answer for these offsets.
    pub(crate) const fn new(answered: BTreeMap<i32, Range<i64>>) -> Self {
        Self { cluster: None, last: None, answered }
    }

    /// What no object up to the end has answered for.
    pub(crate) fn end(self) -> Vec<Problem> {
        let missing = self.answered.into_iter().filter(|(_, range)| !range.is_empty());
        let problem = |(partition, range): (i32, Range<i64>)| Problem {
            kind: ProblemKind::Hole,
            object: format!("(end of partition {partition})"),
            what: format!("offsets {} to {} were delivered and are in no object", range.start, range.end - 1),
        };
        missing.map(problem).collect()
    }

    /// The next object; `name` is what its key says of its partition and first offset.
    pub(crate) fn link(&mut self, object: &str, topic: &str, name: (i32, i64), meta: &ObjectMeta) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut found = |kind, what| problems.push(Problem { kind, object: object.to_owned(), what });
        let (partition, first) = name;
        if meta.topic != topic || meta.partition != partition {
            let what = format!("its metadata are those of topic {} partition {}", meta.topic, meta.partition);
            found(ProblemKind::Foreign, what);
        }
        let cluster = self.cluster.get_or_insert_with(|| meta.cluster_id.clone());
        if *cluster != meta.cluster_id {
            found(ProblemKind::Foreign, format!("it is of cluster {}, earlier objects of {cluster}", meta.cluster_id));
        }
        let ObjectMeta { covers_from, last, next, .. } = *meta;
        let in_order = covers_from <= first && first <= last && last < next;
        if meta.first != first || !in_order {
            let what = format!(
                "its metadata contradict each other or its name: covers from {covers_from}, first {}, last {last}, next {next}",
                meta.first
            );
            found(ProblemKind::Altered, what);
        }
        match &self.last {
            Some(before) if before.partition == partition && covers_from > before.next => {
                let what = format!(
                    "offsets {} to {} of partition {partition} are in no object: one is missing between {} and this one",
                    before.next,
                    covers_from - 1,
                    before.object
                );
                found(ProblemKind::Hole, what);
            }
            Some(before) if before.partition == partition && covers_from < before.next => {
                let what = format!(
                    "it answers for offsets {covers_from} to {} of partition {partition}, as {} does",
                    before.next.min(next) - 1,
                    before.object
                );
                found(ProblemKind::Overlap, what);
            }
            Some(before) if before.partition == partition => {}
            _ => {
                let start = self.answered.get(&partition).map_or(covers_from, |range| range.start);
                if start < covers_from {
                    let what = format!("offsets {start} to {} before it are in no object", covers_from - 1);
                    found(ProblemKind::Hole, what);
                }
            }
        }
        if let Some(range) = self.answered.get_mut(&partition) {
            range.start = range.start.max(next);
        }
        // An object inside another one does not shorten what the outer one answers for.
        let reached = self
            .last
            .as_ref()
            .filter(|before| before.partition == partition)
            .map_or(next, |before| before.next.max(next));
        self.last = Some(Link { partition, next: reached, object: object.to_owned() });
        problems
    }

    /// An object without metadata: where it ends is not known.
    pub(crate) fn break_off(&mut self, partition: i32) {
        self.last = None;
        self.answered.remove(&partition);
    }
}
