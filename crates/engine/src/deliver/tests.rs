//! What the tests of delivery share.

use std::path::Path;
use std::time::Duration;

use datapipe_core::assignment::Assignment;
use datapipe_core::layout::Layout;
use datapipe_core::object::CutLimits;
use datapipe_core::output::Output;

use super::DeliverSettings;

pub(super) fn settings(folder: &Path, memory_max: usize, output: Output) -> DeliverSettings {
    DeliverSettings {
        connector: "s3-sink-users-connector".to_owned(),
        assignment: Assignment::ALL,
        layout: Layout::contract("users", &output.ending()),
        output,
        topic: "cdc.public.users".to_owned(),
        group: "connect-s3-sink-users-connector".to_owned(),
        dead_letter_topic: None,
        dead_letter_context: true,
        limits: CutLimits { rows_max: 10, bytes_max: 1 << 20, age_max: Duration::from_secs(1) },
        compression_level: 1,
        memory_max,
        spool_folder: folder.to_owned(),
    }
}
