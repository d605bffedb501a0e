use datapipe_core::plan::PipelinePlan;
use datapipe_core::port::connect::State;
use datapipe_core::settings::Role;

use super::{AGES_MAX, age_max_ms, age_words, size};
use crate::finding::Findings;
use crate::seen::{KafkaSeen, Looked, ObjectSeen, StoreSeen, WorkerSeen};

/// So many small objects, at such a rate, are a storm.
const STORM_MIN: usize = 8;
const STORM_AN_HOUR: i64 = 360;
/// An object below this is small.
const SMALL_BYTES: u64 = 1 << 20;
/// Clocks so far apart are told; what a look takes is no difference of clocks.
const SKEW_LOOK_MS: i64 = 30_000;
const SKEW_MAX_MS: i64 = 120_000;
/// From here on a store refuses requests.
const SKEW_REFUSED_MS: i64 = 900_000;

pub(super) fn judge(
    pipeline: &PipelinePlan,
    seen: &StoreSeen,
    worker: &Looked<WorkerSeen>,
    kafka: &Looked<KafkaSeen>,
    now_ms: i64,
    found: &mut Findings<'_>,
) {
    let prefix = &pipeline.names.object_prefix;
    found.ok("DP0501", format!("{prefix} can be listed"));
    let waiting = match kafka {
        Looked::Seen(KafkaSeen { lag: Some(lag), .. }) if lag.records => lag.offsets,
        Looked::Seen(_) | Looked::Silent(_) | Looked::Left(_) => 0,
    };
    let config = pipeline.connector(Role::Sink).map(|sink| &sink.config);
    let late_ms = age_max_ms(config).saturating_mul(AGES_MAX);
    let next = "see the sink's log, and whether its task runs (DP0202)";
    match (&seen.newest, seen.newest_ms) {
        (None, _) if waiting > 0 => {
            found.warn("DP0502", format!("no object yet, and {waiting} offsets wait"), next);
        }
        (None, _) => found.ok("DP0502", "no object yet, and nothing waits"),
        (Some(key), Some(newest_ms)) => {
            let age_ms = (now_ms - newest_ms).max(0);
            let words = format!("the newest record is {} old, in {key}", age_words(age_ms));
            if waiting > 0 && age_ms > late_ms {
                found.warn("DP0502", format!("{words}; {waiting} offsets wait"), next);
            } else {
                found.ok("DP0502", words);
            }
        }
        (Some(key), None) => found.ok("DP0502", format!("the newest is {key}")),
    }
    sizes(&seen.recent, found);
    clock(seen.clock_ms, now_ms, found);
    conditional(pipeline, worker, found);
}

/// The last objects: few of them, or large ones.
fn sizes(recent: &[ObjectSeen], found: &mut Findings<'_>) {
    let (Some(first), Some(last)) = (recent.first(), recent.last()) else {
        return found.ok("DP0503", "no object says what is in it");
    };
    let mut bytes: Vec<u64> = recent.iter().map(|object| object.bytes).collect();
    bytes.sort_unstable();
    let median = bytes[bytes.len() / 2];
    let span_ms = (last.to_ms - first.from_ms).max(1);
    let an_hour = i64::try_from(recent.len()).unwrap_or(i64::MAX).saturating_mul(3_600_000) / span_ms;
    let words = format!("the last {} objects have {} in the middle", recent.len(), size(median));
    if recent.len() >= STORM_MIN && median < SMALL_BYTES && an_hour > STORM_AN_HOUR {
        let next = "raise sink.age_max, sink.rows_max or sink.bytes_max, whichever cuts them";
        found.warn("DP0503", format!("{words}, {an_hour} an hour at this rate"), next);
    } else {
        found.ok("DP0503", words);
    }
}

fn clock(clock_ms: Option<i64>, now_ms: i64, found: &mut Findings<'_>) {
    let Some(clock_ms) = clock_ms else {
        return found.skip("DP0504", "the store's answers bear no time");
    };
    let away_ms = (now_ms - clock_ms).abs();
    let words = format!("the store's clock and this one are {} s apart", away_ms / 1000);
    if away_ms > SKEW_REFUSED_MS {
        found.fail("DP0504", format!("{words}: it refuses requests"), "timedatectl status, here and on the store");
    } else if away_ms > SKEW_MAX_MS {
        found.warn("DP0504", words, "timedatectl status, here and on the store");
    } else if away_ms > SKEW_LOOK_MS {
        found.ok("DP0504", words);
    } else {
        // Between the store's answer and the judgement lies the rest of the look.
        found.ok("DP0504", format!("the store's clock and this one are less than {} s apart", SKEW_LOOK_MS / 1000));
    }
}

/// What the sink's own test at its start came to.
fn conditional(pipeline: &PipelinePlan, worker: &Looked<WorkerSeen>, found: &mut Findings<'_>) {
    let Some(sink) = pipeline.connector(Role::Sink) else {
        return found.skip("DP0505", "the table has no sink connector");
    };
    if pipeline.worker.kind.runs_in_jvm(Role::Sink) {
        return found.ok("DP0505", "a JVM sink makes no conditional writes: after a crash it may write rows twice");
    }
    let Looked::Seen(worker) = worker else { return found.skip("DP0505", "the worker does not tell it") };
    let status = worker.connectors.get(&sink.name).and_then(|live| live.status.as_ref());
    let Some(status) = status else { return found.skip("DP0505", "the sink is not there") };
    let traces = status.tasks.iter().filter_map(|task| task.trace.as_deref());
    let refused =
        traces.into_iter().find(|trace| trace.contains("If-None-Match") || trace.contains("racing for one key"));
    let running = status.tasks.iter().any(|task| task.state == State::Running);
    match refused.and_then(|trace| trace.lines().next()) {
        Some(line) => {
            let next = "use a store with conditional writes (Amazon S3, MinIO of 2024-12 and later)";
            found.fail("DP0505", line.trim(), next);
        }
        None if running => found.ok("DP0505", "the sink has tried it at its start"),
        None => found.skip("DP0505", "the sink does not run"),
    }
}
