use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;

use crate::finding::Findings;
use crate::seen::{KafkaSeen, Looked, StoreSeen};

/// An object is late after so many times its greatest age.
const AGES_MAX: i64 = 3;

pub(super) fn judge(
    pipeline: &PipelinePlan,
    seen: &StoreSeen,
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
    let age = config.and_then(|config| config.get("datapipe.object.max.age.ms")?.parse::<i64>().ok());
    let late_ms = age.unwrap_or(60_000).saturating_mul(AGES_MAX);
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
}

fn age_words(age_ms: i64) -> String {
    match age_ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
