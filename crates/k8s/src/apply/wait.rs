//! Waiting, with reasons.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, name, title};
use super::events::Warnings;
use super::{ApplyError, ApplyOptions, judge};

const LOOK: Duration = Duration::from_millis(500);

/// Tells a reason once, and again when it has changed.
pub(super) struct Deadline<'a> {
    object: String,
    aim: &'static str,
    begun: Instant,
    how: &'a ApplyOptions<'a>,
    said: String,
}

impl<'a> Deadline<'a> {
    pub(super) fn new(object: String, aim: &'static str, how: &'a ApplyOptions<'a>) -> Self {
        Self { object, aim, begun: Instant::now(), how, said: String::new() }
    }

    /// Waits a little, for that reason; an error if it has been long enough.
    pub(super) async fn wait(&mut self, why: String) -> Result<(), ApplyError> {
        let waited = self.begun.elapsed();
        if waited > self.how.wait_max {
            return Err(ApplyError::NotReady {
                object: self.object.clone(),
                aim: self.aim,
                waited_s: waited.as_secs(),
                why,
            });
        }
        if why != self.said {
            (self.how.say)(&format!("  {} waits: {why}", self.object));
            self.said = why;
        }
        sleep(LOOK).await;
        Ok(())
    }

    /// How long it has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Says that it is there, if anybody was told that it is not.
    pub(super) fn done(&self, what: &str) {
        if !self.said.is_empty() {
            (self.how.say)(&format!("  {} {what} after {} s", self.object, self.begun.elapsed().as_secs()));
        }
    }
}

/// Until the object's pods are ready.
pub(super) async fn ready(
    cluster: &Cluster,
    object: &Value,
    warnings: &mut Warnings,
    how: &ApplyOptions<'_>,
) -> Result<(), ApplyError> {
    let mut deadline = Deadline::new(title(object), "ready", how);
    loop {
        let live = cluster.live(object).await?.unwrap_or_default();
        let Some(unfinished) = judge::unfinished(&live) else {
            deadline.done("is ready");
            return Ok(());
        };
        let mut pods = cluster.pods(name(object)).await?;
        // What was wrong with one that goes is nobody's news.
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        let names: Vec<&str> = pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
        warnings.of(cluster, object, &names).await?.iter().for_each(|line| (how.say)(line));
        let why = pods.iter().find_map(judge::not_ready);
        deadline.wait(why.unwrap_or(unfinished)).await?;
    }
}

/// Until an object that was deleted has gone, and its pods with it.
pub(super) async fn gone(cluster: &Cluster, object: &Value, how: &ApplyOptions<'_>) -> Result<(), ApplyError> {
    let mut deadline = Deadline::new(title(object), "gone", how);
    loop {
        let live = cluster.live(object).await?;
        let pods = if judge::has_pods(object) { cluster.pods(name(object)).await? } else { Vec::new() };
        let Some(why) = judge::remains(live.as_ref(), pods.len()) else {
            deadline.done("is gone");
            return Ok(());
        };
        deadline.wait(why).await?;
    }
}
