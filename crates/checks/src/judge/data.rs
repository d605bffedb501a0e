use datapipe_core::plan::PipelinePlan;

use crate::finding::{Finding, Findings};
use crate::look::Proof;

/// Judges a comparison of rows.
pub fn judge_data(pipeline: &PipelinePlan, proof: &Proof) -> Vec<Finding> {
    let mut findings = Findings::of(&pipeline.names.table);
    match proof {
        Proof::Compared(report) if report.proven() => {
            let words =
                format!("{} rows are what {} events in {} objects lead to", report.rows, report.events, report.objects);
            findings.ok("DP0601", words);
        }
        Proof::Compared(report) => {
            let next = "what is under way counts as lost: ask again with --wait; what stays so is wrong";
            findings.fail("DP0601", report.to_string(), next);
        }
        Proof::Broken(why) => findings.fail("DP0601", why, "the other findings say what is missing"),
        Proof::Left(why) => findings.skip("DP0601", why),
    }
    findings.into_inner()
}
