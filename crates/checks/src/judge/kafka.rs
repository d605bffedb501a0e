use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;
use datapipe_core::table::WorkerKind;

use super::{AGES_MAX, age_max_ms, age_words, readers};
use crate::finding::Findings;
use crate::seen::{KafkaSeen, Looked, PostgresSeen};

/// A sink is behind if more than this many of its full objects wait.
const OBJECTS_MAX: u64 = 4;
/// What a sink may take beside an object's age: its next attempt, a restart.
const LATE_MS: i64 = 30_000;

pub(super) fn judge(
    pipeline: &PipelinePlan,
    seen: &KafkaSeen,
    postgres: &Looked<PostgresSeen>,
    now_ms: i64,
    found: &mut Findings<'_>,
) {
    found.ok("DP0401", "it answers");
    topics(pipeline, seen, found);
    lag(pipeline, seen, now_ms, found);
    letters(pipeline, seen, found);
    let slot = match postgres {
        Looked::Seen(postgres) => postgres.slot.as_ref().and_then(|slot| slot.confirmed),
        Looked::Silent(_) | Looked::Left(_) => None,
    };
    match (slot, seen.stored) {
        // By its own rule the driver confirms what the connector has not stored, on a quiet table.
        (Some(slot), Some(stored)) if slot > stored && driver_confirms(pipeline) => {
            let next = "set lsn.flush.mode to connector, and heartbeat.action.query to move a quiet table's slot";
            found.warn(
                "DP0405",
                format!("the slot is at {slot}, {stored} is stored: a restart may not find its place"),
                next,
            );
        }
        (Some(slot), Some(stored)) if slot > stored => {
            let next = "rows may be missing: start anew with a snapshot, as the worker's error says";
            found.fail("DP0405", format!("the slot is at {slot}, and only {stored} is stored"), next);
        }
        (Some(slot), Some(stored)) => found.ok("DP0405", format!("the slot is at {slot}, {stored} is stored")),
        (None, _) => found.skip("DP0405", "there is no slot to compare with"),
        (_, None) if !seen.hidden.is_empty() => {
            found.skip("DP0405", "an open transaction hides what is stored (DP0407)");
        }
        (_, None) => found.skip("DP0405", "nothing is stored yet"),
    }
    readers::group(pipeline, seen, found);
    readers::hidden(seen, now_ms, found);
    readers::retention(pipeline, seen, now_ms, found);
}

fn driver_confirms(pipeline: &PipelinePlan) -> bool {
    let mode = pipeline.connector(Role::Source).and_then(|source| source.config.get("lsn.flush.mode"));
    pipeline.worker.kind.runs_in_jvm(Role::Source) && mode.is_some_and(|mode| mode != "connector")
}

fn letters(pipeline: &PipelinePlan, seen: &KafkaSeen, found: &mut Findings<'_>) {
    if seen.dead_letters == 0 {
        return found.ok("DP0404", "empty");
    }
    let (topic, bootstrap) = (&pipeline.names.dead_letter_topic, &seen.bootstrap);
    let mut words = format!("up to {} records in {topic}", seen.dead_letters);
    if let Some(letter) = &seen.last_letter {
        let part = |name: &str, text: &Option<String>| text.as_ref().map(|text| format!("{name}{text}"));
        let class = letter.class.as_ref().map(|class| class.rsplit('.').next().unwrap_or(class).to_owned());
        let parts =
            [part("of ", &letter.place), part("at step ", &letter.stage), part("", &class), part("", &letter.message)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            words = format!("{words}; the last one: {}", parts.join(", "));
        }
    }
    let next = format!(
        "kafka-console-consumer.sh --topic {topic} --from-beginning --property print.headers=true --bootstrap-server {bootstrap}"
    );
    found.warn("DP0404", words, next);
}

fn topics(pipeline: &PipelinePlan, seen: &KafkaSeen, found: &mut Findings<'_>) {
    let (mut missing, mut wrong, mut alter) = (Vec::new(), Vec::new(), None);
    for planned in &pipeline.topics {
        let Some(topic) = seen.topics.iter().find(|topic| topic.name == planned.name) else { continue };
        let Some(partitions) = topic.partitions else {
            missing.push(planned.name.as_str());
            continue;
        };
        if partitions != planned.partitions {
            wrong.push(format!("{} has {partitions} partitions, not {}", planned.name, planned.partitions));
        }
        for (key, value) in &planned.config {
            let Some(live) = topic.configs.get(key).filter(|live| *live != value) else { continue };
            wrong.push(format!("{}: {key} is {live}, not {value}", planned.name));
            alter.get_or_insert_with(|| (planned.name.as_str(), format!("{key}={value}")));
        }
    }
    if !missing.is_empty() {
        let next = "datapipe-run start, or datapipe-deploy apply, makes it";
        found.fail("DP0402", format!("missing: {}", missing.join(", ")), next);
    } else if wrong.is_empty() {
        found.ok("DP0402", format!("{} topics as planned", pipeline.topics.len()));
    } else {
        let (topic, pair) = alter.unwrap_or(("TOPIC", "KEY=VALUE".to_owned()));
        let next = format!(
            "kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {pair} --bootstrap-server {}",
            seen.bootstrap
        );
        found.warn("DP0402", wrong.join("; "), next);
    }
}

fn lag(pipeline: &PipelinePlan, seen: &KafkaSeen, now_ms: i64, found: &mut Findings<'_>) {
    let Some(sink) = pipeline.connector(Role::Sink) else {
        return found.skip("DP0403", "the table has no sink connector");
    };
    let Some(lag) = seen.lag else {
        return found.skip("DP0403", "the topic is missing");
    };
    let rows = sink.config.get("file.max.records").and_then(|rows| rows.parse::<u64>().ok()).filter(|rows| *rows > 0);
    let bound = rows.unwrap_or(50_000).saturating_mul(OBJECTS_MAX);
    let offsets = lag.offsets;
    let age_ms = lag.oldest_ms.map(|oldest_ms| (now_ms - oldest_ms).max(0));
    let oldest = age_ms.map_or(String::new(), |age_ms| format!(", the oldest record waits for {}", age_words(age_ms)));
    let late_ms = age_max_ms(Some(&sink.config)).saturating_mul(AGES_MAX).saturating_add(LATE_MS);
    if lag.lost > 0 && pipeline.worker.kind == WorkerKind::KafkaConnect {
        let words = format!("the next record of {} partitions is deleted already", lag.lost);
        found.fail("DP0403", words, "those rows are in no object; raise topic.retention before it happens again");
    } else if offsets > bound {
        let next = "see whether the sink's task runs (DP0202), and give it more tasks (sink.tasks)";
        found.warn("DP0403", format!("{offsets} offsets are not in objects yet{oldest}"), next);
    } else if age_ms.is_some_and(|age_ms| age_ms > late_ms) {
        let next = "it is stuck, or cannot keep up: see whether the sink's task runs (DP0202), and its log";
        found.warn("DP0403", format!("{offsets} offsets are not in objects yet{oldest}"), next);
    } else if lag.committed {
        found.ok("DP0403", format!("{offsets} offsets are not in objects yet{oldest}"));
    } else {
        found.ok("DP0403", format!("nothing committed yet, {offsets} offsets in the topic{oldest}"));
    }
}
