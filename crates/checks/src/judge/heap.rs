//! A JVM worker's heap, by its collections.

use super::{age_words, size};
use crate::finding::Findings;
use crate::heap::CollectionSeen;
use crate::seen::{DeployedSeen, HeapSeen, Looked};

const CODE: &str = "DP0808";
/// By so many of the last collections it is judged what is in use: some minutes of an idle JVM, seconds of a busy one.
const RECENT: usize = 10;
/// One collection of the whole heap, or two, may have met a moment's queue. In a heap that is nearly full each is of all of it.
const FULL_MIN: usize = 3;
/// In percent. With the default settings a worker that falls behind may hold 78 %: 56 MiB of 72, by what the plan counts.
const IN_USE_MAX: u64 = 85;
/// In percent of the time. A worker that catches up at its limit of processor time spends 20 %.
const PAUSES_MAX: u64 = 50;
/// So much time before the last collection is looked at; of less than a minute nothing is said.
const PAUSES_SPAN_MS: u64 = 600_000;
const PAUSES_LEAST_MS: u64 = 60_000;
/// A start fills the heap for the first time and says nothing of what follows.
const START_MS: u64 = 60_000;

pub(super) fn judge(seen: &DeployedSeen, found: &mut Findings<'_>) {
    let heap = seen.pods.iter().find_map(|pod| Some((pod.name.as_str(), pod.heap.as_ref()?)));
    match heap {
        None if seen.pods.is_empty() => found.skip(CODE, "there is no pod"),
        None => found.skip(CODE, "no JVM runs in its pod"),
        Some((_, Looked::Silent(why) | Looked::Left(why))) => found.skip(CODE, why),
        Some((pod, Looked::Seen(heap))) => of_heap(pod, heap, found),
    }
}

fn of_heap(pod: &str, heap: &HeapSeen, found: &mut Findings<'_>) {
    let Some(max) = heap.max_bytes.filter(|max| *max > 0) else {
        return found.skip(CODE, "the command of its container names no -Xmx");
    };
    let all = &heap.collections;
    let recent = &all[all.len().saturating_sub(RECENT)..];
    let Some(in_use) = recent.iter().map(|one| one.left_bytes).min() else {
        let words = "the end of its log tells of no collection: each is told if its command has -Xlog:gc";
        return found.skip(CODE, words);
    };
    let full = recent.iter().filter(|one| one.full).count();
    let paused = pauses(all);
    let words = format!(
        "{} of {} heap in use: the least that the last {} collections left, {full} of them of the whole heap{}",
        size(in_use),
        size(max),
        recent.len(),
        paused.map(|(thousandths, span_ms)| pauses_in_words(thousandths, span_ms)).unwrap_or_default()
    );
    let more = "raise worker.memory, which beyond its default is heap, or lower source.queue_bytes";
    if full >= FULL_MIN && in_use > max / 100 * IN_USE_MAX {
        found.warn(CODE, words, format!("{more}; kubectl logs -n data-ingestion {pod} -c kafka-connect | grep Pause"));
    } else if paused.is_some_and(|(thousandths, _)| thousandths > PAUSES_MAX * 10) {
        let words_next = format!("{more}; if little of the heap is in use, it is processor time that is short");
        found.warn(CODE, words, words_next);
    } else {
        found.ok(CODE, words);
    }
}

/// How much of the last minutes was spent in collections, in thousandths, and how long these were in milliseconds.
fn pauses(all: &[CollectionSeen]) -> Option<(u64, u64)> {
    let last_ms = all.last()?.at_ms;
    let counts = |one: &&CollectionSeen| one.at_ms >= START_MS && one.at_ms + PAUSES_SPAN_MS >= last_ms;
    let mut later = all.iter().filter(counts);
    // The first one's pause is before the time that it begins.
    let span_ms = last_ms.checked_sub(later.next()?.at_ms).filter(|span_ms| *span_ms >= PAUSES_LEAST_MS)?;
    Some((later.map(|one| one.pause_us).sum::<u64>() / span_ms, span_ms))
}

fn pauses_in_words(thousandths: u64, span_ms: u64) -> String {
    let span = age_words(i64::try_from(span_ms).unwrap_or(i64::MAX));
    format!("; {}.{} % of {span} spent in them", thousandths / 10, thousandths % 10)
}
