//! What keeps readers of Kafka from their records: groups, open transactions, retention.

use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;

use super::age_words;
use crate::finding::Findings;
use crate::seen::{GroupSeen, HiddenSeen, KafkaSeen};

/// A worker's transaction is open for 5 s at the longest, so one of this age is no worker's at work.
const OPEN_MAX_MS: i64 = 15_000;
/// Kafka Connect's transactions time out after 60 s, so one of this age is not going to end by itself.
const HANGING_MS: i64 = 90_000;
/// Of the time that records are kept, a sink may have used up this share, in percent.
const KEPT_MAX: i64 = 50;

pub(super) fn group(pipeline: &PipelinePlan, seen: &KafkaSeen, found: &mut Findings<'_>) {
    let (name, bootstrap) = (&pipeline.names.group, &seen.bootstrap);
    let Some(GroupSeen { state, protocol, members }) = &seen.group else {
        return found.skip("DP0406", format!("the cluster tells nothing of group {name}"));
    };
    let jvm = pipeline.worker.kind.runs_in_jvm(Role::Source);
    let planned = if jvm { "connect" } else { "consumer" };
    let listed = members.join(", ");
    let next = format!("kafka-consumer-groups.sh --describe --members --group {name} --bootstrap-server {bootstrap}");
    if members.is_empty() {
        found.warn("DP0406", format!("nobody is in {name}, so no worker runs the table"), next);
    } else if protocol != planned {
        let words = format!(
            "its members are of kind {protocol:?}, not {planned:?}: another kind of worker holds the table: {listed}"
        );
        found.fail("DP0406", words, "stop that worker, or plan its kind (worker.kind)");
    } else if state != "Stable" {
        found.warn("DP0406", format!("{name} is {state}: nothing runs until it is at rest; {listed}"), next);
    } else if members.len() > 1 && jvm {
        found.warn("DP0406", format!("{} workers share the table's tasks: {listed}", members.len()), next);
    } else if members.len() > 1 {
        found.ok("DP0406", format!("one owns the table, {} stand by: {listed}", members.len() - 1));
    } else {
        found.ok("DP0406", listed);
    }
}

pub(super) fn hidden(seen: &KafkaSeen, now_ms: i64, found: &mut Findings<'_>) {
    let KafkaSeen { hidden, bootstrap, .. } = seen;
    let age = |one: &HiddenSeen| one.since_ms.map_or(0, |since_ms| now_ms - since_ms);
    let Some(oldest) = hidden.iter().max_by_key(|one| age(one)).filter(|one| age(one) > OPEN_MAX_MS) else {
        let words = if hidden.is_empty() { "none is open" } else { "one is open, and young" };
        return found.ok("DP0407", words);
    };
    let HiddenSeen { topic, partition, offsets, .. } = oldest;
    let words = format!(
        "one is open for {} and hides {offsets} offsets of {topic}, partition {partition}",
        age_words(age(oldest))
    );
    let next = format!(
        "kafka-transactions.sh --bootstrap-server {bootstrap} describe-producers --topic {topic} --partition {partition}"
    );
    if age(oldest) > HANGING_MS {
        found.fail("DP0407", words, next);
    } else {
        found.warn("DP0407", words, next);
    }
}

pub(super) fn retention(pipeline: &PipelinePlan, seen: &KafkaSeen, now_ms: i64, found: &mut Findings<'_>) {
    let Some(sink) = pipeline.connector(Role::Sink) else {
        return found.skip("DP0408", "the table has no sink connector");
    };
    let name = sink.config.get("topics").unwrap_or(&pipeline.names.data_topic);
    let topic = seen.topics.iter().find(|topic| topic.name == *name && topic.partitions.is_some());
    let Some(topic) = topic else { return found.skip("DP0408", "the topic is missing") };
    let kept = topic.configs.get("retention.ms").and_then(|kept| kept.parse::<i64>().ok());
    let Some(kept) = kept.filter(|kept| *kept >= 0) else {
        return found.ok("DP0408", "no record is deleted by age");
    };
    let by_size = topic.configs.get("retention.bytes").filter(|bytes| *bytes != "-1");
    let by_size = by_size.map_or(String::new(), |bytes| format!(", and by size above {bytes} bytes of a partition"));
    let words = format!("deleted after {}{by_size}", age_words(kept));
    match seen.lag.and_then(|lag| lag.oldest_ms).map(|oldest_ms| (now_ms - oldest_ms).max(0)) {
        Some(age) if age > kept / 100 * KEPT_MAX => {
            let next = format!(
                "kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config retention.ms={} --bootstrap-server {}",
                kept.saturating_mul(4),
                seen.bootstrap
            );
            found.warn("DP0408", format!("{words}; the oldest unread record is {} old", age_words(age)), next);
        }
        Some(age) => found.ok("DP0408", format!("{words}; the oldest unread record is {} old", age_words(age))),
        None => found.ok("DP0408", words),
    }
}
