use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;
use datapipe_core::table::WorkerKind;

use crate::finding::Findings;
use crate::seen::{KafkaSeen, Looked, PostgresSeen, TopicSeen};

/// A sink is behind if more than this many of its full objects wait.
const OBJECTS_MAX: u64 = 4;

pub(super) fn judge(
    pipeline: &PipelinePlan,
    seen: &KafkaSeen,
    postgres: &Looked<PostgresSeen>,
    found: &mut Findings<'_>,
) {
    found.ok("DP0401", "it answers");
    topics(pipeline, &seen.topics, found);
    lag(pipeline, seen, found);
    match seen.dead_letters {
        0 => found.ok("DP0404", "empty"),
        count => {
            let topic = &pipeline.names.dead_letter_topic;
            let next = format!(
                "kafka-console-consumer.sh --topic {topic} --from-beginning --property print.headers=true --bootstrap-server .."
            );
            found.warn("DP0404", format!("up to {count} records in {topic}"), next);
        }
    }
    let slot = match postgres {
        Looked::Seen(postgres) => postgres.slot.as_ref().and_then(|slot| slot.confirmed),
        Looked::Silent(_) | Looked::Left(_) => None,
    };
    match (slot, seen.stored) {
        (Some(slot), Some(stored)) if slot > stored => {
            let next = "rows may be missing: start anew with a snapshot, as the worker's error says";
            found.fail("DP0405", format!("the slot is at {slot}, and only {stored} is stored"), next);
        }
        (Some(slot), Some(stored)) => found.ok("DP0405", format!("the slot is at {slot}, {stored} is stored")),
        (None, _) => found.skip("DP0405", "there is no slot to compare with"),
        (_, None) => found.skip("DP0405", "nothing is stored yet"),
    }
}

fn topics(pipeline: &PipelinePlan, seen: &[TopicSeen], found: &mut Findings<'_>) {
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    for planned in &pipeline.topics {
        let Some(topic) = seen.iter().find(|topic| topic.name == planned.name) else { continue };
        let Some(partitions) = topic.partitions else {
            missing.push(planned.name.as_str());
            continue;
        };
        if partitions != planned.partitions {
            wrong.push(format!("{} has {partitions} partitions, not {}", planned.name, planned.partitions));
        }
        let differing = planned.config.iter().filter_map(|(key, value)| {
            let live = topic.configs.get(key)?;
            (live != value).then(|| format!("{}: {key} is {live}, not {value}", planned.name))
        });
        wrong.extend(differing);
    }
    if !missing.is_empty() {
        let next = "datapipe-run start, or datapipe-deploy apply, makes it";
        found.fail("DP0402", format!("missing: {}", missing.join(", ")), next);
    } else if wrong.is_empty() {
        found.ok("DP0402", format!("{} topics as planned", pipeline.topics.len()));
    } else {
        let next = "kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config KEY=VALUE --bootstrap-server ..";
        found.warn("DP0402", wrong.join("; "), next);
    }
}

fn lag(pipeline: &PipelinePlan, seen: &KafkaSeen, found: &mut Findings<'_>) {
    let Some(sink) = pipeline.connector(Role::Sink) else {
        return found.skip("DP0403", "the table has no sink connector");
    };
    let Some(lag) = seen.lag else {
        return found.skip("DP0403", "the topic is missing");
    };
    let rows = sink.config.get("file.max.records").and_then(|rows| rows.parse::<u64>().ok()).filter(|rows| *rows > 0);
    let bound = rows.unwrap_or(50_000).saturating_mul(OBJECTS_MAX);
    let offsets = lag.offsets;
    if lag.lost > 0 && pipeline.worker.kind == WorkerKind::KafkaConnect {
        let words = format!("the next record of {} partitions is deleted already", lag.lost);
        found.fail("DP0403", words, "those rows are in no object; raise topic.retention before it happens again");
    } else if offsets > bound {
        let next = "see whether the sink's task runs (DP0202), and give it more tasks (sink.tasks)";
        found.warn("DP0403", format!("{offsets} offsets are not in objects yet"), next);
    } else if lag.committed {
        found.ok("DP0403", format!("{offsets} offsets are not in objects yet"));
    } else {
        found.ok("DP0403", format!("nothing committed yet, {offsets} offsets in the topic"));
    }
}
