//! What a worker's containers take of memory, beside their limits.

use super::size;
use crate::finding::Findings;
use crate::seen::{DeployedSeen, Looked, UsageSeen};

const CODE: &str = "DP0809";
/// In percent. JVMs under load take up to 85 % of their limits as a hybrid's part and 88 % with a sink, which is no fault.
const USED_MAX: u64 = 95;

pub(super) fn judge(seen: &DeployedSeen, found: &mut Findings<'_>) {
    let mut all: Vec<&UsageSeen> = Vec::new();
    for pod in &seen.pods {
        match &pod.usage {
            Some(Looked::Seen(containers)) => all.extend(containers),
            Some(Looked::Silent(why) | Looked::Left(why)) => return found.skip(CODE, why),
            None => return found.skip(CODE, "nobody asked what its pods take"),
        }
    }
    if all.is_empty() {
        return found.skip(CODE, "there is no pod");
    }
    let words = all.iter().map(|one| in_words(one)).collect::<Vec<_>>().join("; ");
    let is_near = |one: &&UsageSeen| one.limit_bytes.is_some_and(|limit| one.used_bytes > limit / 100 * USED_MAX);
    if all.iter().any(is_near) {
        let next = "raise worker.memory; kubectl top pod -n data-ingestion --containers shows how it grows";
        found.warn(CODE, words, next);
    } else {
        found.ok(CODE, words);
    }
}

fn in_words(one: &UsageSeen) -> String {
    let UsageSeen { container, used_bytes, limit_bytes } = one;
    let used = size(*used_bytes);
    match limit_bytes {
        Some(limit) if *limit > 0 => {
            format!("{container} takes {used} of {}, {} %", size(*limit), used_bytes.saturating_mul(100) / limit)
        }
        _ => format!("{container} takes {used}, without a limit"),
    }
}
