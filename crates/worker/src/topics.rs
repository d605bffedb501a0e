//! The topics that connectors use, as Kafka Connect keeps track of them.

use std::collections::BTreeMap;

use datapipe_core::port::connect::{ActiveTopic, ConnectStore, StatusChange};

use crate::connectors::Connector;
use crate::lifecycle::TaskKey;
use crate::tasks::{Gauges, Task};
use crate::view::View;
use crate::worker::{Shown, lock};

/// How many records each task had moved when it was last looked at: only further ones bring a topic back that was
/// reset.
#[derive(Debug, Default)]
pub(crate) struct TopicsSeen(BTreeMap<TaskKey, u64>);

impl TopicsSeen {
    /// Puts the topics of connectors on record that move records and are not on it.
    pub(crate) async fn write(&mut self, shown: &Shown, store: &dyn ConnectStore, view: &View) {
        let tasks: Vec<_> = lock(&shown.tasks).values().cloned().collect();
        for task in tasks {
            self.write_of(&task, shown, store, view).await;
        }
    }

    /// The same for one task, which may have ended.
    pub(crate) async fn write_of(&mut self, task: &Task, shown: &Shown, store: &dyn ConnectStore, view: &View) {
        let (name, key) = (&task.connector, (task.connector.clone(), task.number));
        let topic = match view.get(name) {
            Some((_, Connector::Source(config))) => config.topic(),
            Some((_, Connector::Sink(config))) => config.topic.clone(),
            Some((_, Connector::Unusable(_))) | None => return,
        };
        let moved = moved(&task.gauges);
        // A new run counts from the start.
        let further = moved > 0 && self.0.get(&key) != Some(&moved);
        self.0.insert(key.clone(), moved);
        if !further || view.statuses.topics.contains_key(&(name.clone(), topic.clone())) {
            return;
        }
        let discover_timestamp = shown.clock.now_us() / 1000;
        let (connector, task) = (name.clone(), task.number);
        let active = ActiveTopic { name: topic.clone(), connector, task, discover_timestamp };
        let change = StatusChange::Topic { connector: name.clone(), topic, active: Some(active) };
        if let Err(error) = store.put_status(&change).await {
            tracing::warn!(connector = %name, "topic not put on record: {}", error.report());
            self.0.remove(&key);
        }
    }
}

/// Records written to the topic, or read from it.
fn moved(gauges: &Gauges) -> u64 {
    match gauges {
        Gauges::Capture(gauges) => gauges.rows.get(),
        Gauges::Deliver(gauges, _) => {
            let unwritten = u64::try_from(gauges.unwritten.get()).unwrap_or_default();
            gauges.rows.get() + gauges.skipped.get() + gauges.dead_letters.get() + unwritten
        }
    }
}
