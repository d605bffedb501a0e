//! `datapipe-run shadow`: runs beside a table's worker, and prints what differs.

use std::time::Duration;

use datapipe_boot::{SystemClock, report};
use datapipe_core::plan::Plan;
use datapipe_shadow::Shadow;
use tokio_util::sync::CancellationToken;

use crate::adapters::secret;
use crate::start::{StartError, kafka_config};

/// Runs beside each table's worker for `span`. True if something was compared, and nothing differs.
pub(crate) async fn run(plan: &Plan, span: Duration, stop: &CancellationToken) -> Result<bool, StartError> {
    let kafka = kafka_config(plan)?;
    let secret = |value: &_, key: &str| secret(value, key, &plan.run.config_providers);
    let shadow = Shadow { kafka: &kafka, secret: &secret, clock: &SystemClock, span };
    let mut sound = true;
    for pipeline in &plan.tables {
        let verdict = shadow.of(pipeline, stop).await?;
        report::print(&format!("{}: {verdict}", pipeline.names.table));
        sound &= verdict.sound();
    }
    Ok(sound)
}
