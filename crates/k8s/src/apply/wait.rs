//! Waiting, with reasons.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, name, title};
use super::{ApplyError, ApplyOptions, judge};

const LOOK: Duration = Duration::from_millis(500);

/// Tells a reason once, and again when it has changed.
pub(super) struct Deadline<'a> {
    object: String,
    begun: Instant,
    how: &'a ApplyOptions<'a>,
    said: String,
}

impl<'a> Deadline<'a> {
    pub(super) fn new(object: String, how: &'a ApplyOptions<'a>) -> Self {
        Self { object, begun: Instant::now(), how, said: String::new() }
    }

    /// Waits a little, for that reason; an error if it has been long enough.
    pub(super) async fn wait(&mut self, why: String) -> Result<(), ApplyError> {
        let waited = self.begun.elapsed();
        if waited > self.how.wait_max {
            return Err(ApplyError::NotReady { object: self.object.clone(), waited_s: waited.as_secs(), why });
        }
        if why != self.said {
            (self.how.say)(&format!("  {} waits: {why}", self.object));
            self.said = why;
        }
        sleep(LOOK).await;
        Ok(())
    }

    /// Says that it is there, if anybody was told that it is not.
    pub(super) fn done(&self, what: &str) {
        if !self.said.is_empty() {
            (self.how.say)(&format!("  {} {what} after {} s", self.object, self.begun.elapsed().as_secs()));
        }
    }
}

/// Until the object's pods are ready.
pub(super) async fn ready(cluster: &Cluster, object: &Value, how: &ApplyOptions<'_>) -> Result<(), ApplyError> {
    let mut deadline = Deadline::new(title(object), how);
    loop {
        let live = cluster.live(object).await?.unwrap_or_default();
        let Some(unfinished) = judge::unfinished(&live) else {
            deadline.done("is ready");
            return Ok(());
        };
        let pods = cluster.pods(name(object)).await?;
        let why = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).find_map(judge::not_ready);
        deadline.wait(why.unwrap_or(unfinished)).await?;
    }
}
