use datapipe_core::plan::PipelinePlan;

use crate::finding::{Finding, Findings};
use crate::seen::{CanarySeen, Hop};

/// Judges how far a canary got.
pub fn judge_canary(pipeline: &PipelinePlan, seen: &CanarySeen) -> Vec<Finding> {
    let mut findings = Findings::of(&pipeline.names.table);
    let found = &mut findings;
    let next = "what stands between is stuck: the other findings, and the worker's log, say why";
    let told = |hops: &[Hop]| {
        let hop = |hop: &Hop| format!("{} after {}", hop.place, seconds(hop.took_ms));
        hops.iter().map(hop).collect::<Vec<_>>().join(", ")
    };
    let stopped = |hops: &[Hop], why: &str| {
        if hops.is_empty() { why.to_owned() } else { format!("{why}; {}", told(hops)) }
    };
    match &seen.stopped {
        Some(why) if seen.row.is_empty() && !seen.message_arrived() => {
            found.fail("DP0701", stopped(&seen.message, why), next);
            found.skip("DP0702", "the message did not arrive");
            return findings.into_inner();
        }
        _ => found.ok("DP0701", told(&seen.message)),
    }
    match &seen.stopped {
        _ if !seen.row_allowed => {
            found.skip("DP0702", "no row may be touched: --canary-table names a table where one may");
        }
        None => found.ok("DP0702", told(&seen.row)),
        Some(why) if seen.row.is_empty() => {
            let next = format!("GRANT UPDATE ON {} TO the pipeline's role, if it may not", pipeline.qualified());
            found.fail("DP0702", why, next);
        }
        Some(why) => found.fail("DP0702", stopped(&seen.row, why), next),
    }
    findings.into_inner()
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}
