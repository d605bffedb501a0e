use std::fmt::Write as _;

use datapipe_core::plan::PipelinePlan;
use datapipe_reconcile::Report;

use crate::finding::{Finding, Findings};
use crate::look::Proof;

/// Judges a comparison of rows.
pub fn judge_data(pipeline: &PipelinePlan, proof: &Proof) -> Vec<Finding> {
    let mut findings = Findings::of(&pipeline.names.table);
    match proof {
        Proof::Compared { report, took, waited, asked } if report.proven() => {
            let Report { rows, events, objects, later, one_of, since, .. } = report.as_ref();
            let place = if *objects == 0 { "the topic".to_owned() } else { format!("{objects} objects") };
            let mut words = format!("{rows} rows are what {events} events in {place} lead to");
            if let Some(since) = since {
                let _ = write!(words, " since the proof at {since}");
            }
            if *one_of > 1 {
                let _ = write!(words, ", of one key in {one_of}");
            }
            if *later > 0 {
                let _ = write!(words, "; {later} events came after them");
            }
            if asked.read > 0 {
                let _ = write!(words, "; {} rows were read again first", asked.read);
            }
            if asked.removed > 0 {
                let _ =
                    write!(words, "; {} keys were looked for first, to be deleted if no row has them", asked.removed);
            }
            let (took, waited) = (took.as_secs_f64(), waited.as_secs_f64());
            let _ = write!(words, "; {took:.1} s, {waited:.1} of them waiting for the pipeline");
            findings.ok("DP0601", words);
        }
        Proof::Compared { report, asked, .. } => {
            let next = "rows are lost or altered, or somebody has changed objects: the keys and objects above say which; \
                        --repair has lost and differing rows read again, and surplus ones deleted";
            let left = asked.left.as_ref().map(|left| format!("\n  not repaired: {left}"));
            findings.fail("DP0601", format!("{report}{}", left.unwrap_or_default()), next);
        }
        Proof::Broken(why) => {
            let next =
                "the other findings say what is missing; --catch-up gives a pipeline that is only behind more time";
            findings.fail("DP0601", why, next);
        }
        Proof::Left(why) => findings.skip("DP0601", why),
    }
    findings.into_inner()
}
