//! `preflight`, `prepare` and `slots`: the servers that a plan needs, looked at from here and made ready. A deployment runs
//! them in a pod of its own, where the workers will be.

use std::time::Duration;

use datapipe_boot::{Exit, report};
use datapipe_core::plan::{PipelinePlan, Plan, Problem, Problems, ServerReport, SlotUse};
use datapipe_core::table::WorkerKind;
use datapipe_kafka::KafkaConfig;
use datapipe_kafka::topics::{self, TopicDifference, TopicReport, TopicSpec, UnseenTopic};
use datapipe_postgres::preflight::preflight;
use datapipe_postgres::publication::ensure_publication;
use datapipe_postgres::slot_uses;
use tokio::time::{Instant, sleep};

use crate::cli::{Output, Server, ServerArguments};
use crate::preflight::{expected, look_at_stores, patiently, problem, refused, unique};
use crate::start::{StartError, kafka_config, topic_specs};

/// Between two looks at the slots.
const LOOK: Duration = Duration::from_millis(500);

/// Looks at these servers, all of them if none is named. Nothing is made but the probe object of a native sink.
pub(crate) async fn look(plan: &Plan, servers: &[Server], wait: Duration) -> ServerReport {
    let asked = |server| servers.is_empty() || servers.contains(&server);
    let mut report = ServerReport::default();
    for pipeline in &plan.tables {
        let native = pipeline.connectors.iter().filter(|one| !pipeline.worker.kind.runs_in_jvm(one.role));
        report.problems.extend(native.filter_map(refused));
    }
    let (kafka, stores, database) = tokio::join!(
        async { if asked(Server::Kafka) { topics_of(plan, true, wait).await } else { ServerReport::default() } },
        async { if asked(Server::S3) { look_at_stores(plan, wait).await } else { Vec::new() } },
        async { if asked(Server::Postgres) { look_at_database(plan, wait).await } else { ServerReport::default() } },
    );
    report.problems.extend(database.problems.into_iter().chain(kafka.problems).chain(stores));
    report.problems = unique(report.problems);
    ServerReport { notes: kafka.notes, topics_missing: kafka.topics_missing, slots: database.slots, ..report }
}

async fn look_at_database(plan: &Plan, wait: Duration) -> ServerReport {
    let mut report = ServerReport::default();
    let expected = expected(plan, &mut report.problems);
    match patiently(wait, async || preflight(&expected).await).await {
        Ok(found) => {
            report.problems.extend(found.problems);
            report.slots = found.slots;
        }
        Err(error) => report.problems.push(problem("postgres", &error)),
    }
    report
}

/// Makes the topics that are missing, or in a rehearsal only asks whether they could be; says what differs in others.
async fn topics_of(plan: &Plan, rehearsal: bool, wait: Duration) -> ServerReport {
    let mut report = ServerReport::default();
    let kafka = match kafka_config(plan) {
        Ok(kafka) => kafka,
        Err(StartError::Preflight(Problems(problems))) => return ServerReport { problems, ..report },
        Err(StartError::Step(error)) => {
            report.problems.push(problem("kafka.properties", &error));
            return report;
        }
    };
    let specs = topic_specs(plan);
    match patiently(wait, async || create_and_compare(&kafka, &specs, rehearsal).await).await {
        Ok(found) => {
            compared(plan, &specs, &found, &mut report);
            let missing = found.created;
            if rehearsal {
                report.topics_missing = missing;
            } else {
                report.made.extend(missing.into_iter().map(|topic| format!("topic {topic}")));
            }
        }
        Err(error) => report.problems.push(problem("kafka", &error)),
    }
    report
}

/// Brokers are asked for something small first: whether they answer at all is a question of its own.
async fn create_and_compare(
    kafka: &KafkaConfig,
    specs: &[TopicSpec],
    rehearsal: bool,
) -> Result<TopicReport, datapipe_core::port::PortError> {
    datapipe_kafka::identity::cluster_id(kafka).await?;
    topics::create_and_compare(kafka, specs, rehearsal).await
}

/// What would lose records is a problem; all else may be on purpose.
fn compared(plan: &Plan, specs: &[TopicSpec], found: &TopicReport, report: &mut ServerReport) {
    for difference in &found.differing {
        let TopicDifference { topic, what, wanted, found: value, hint } = difference;
        // A JVM worker reads internal topics, and writes the table's, in any number of partitions.
        let partitions_only = what == "partitions" && plan.tables.iter().all(|pipeline| !natively(pipeline, topic));
        if found.dangerous(specs).any(|one| one == difference) && !partitions_only {
            let text = format!("its {what} is {value}, where {wanted} is needed to lose nothing");
            report.problems.push(Problem::new(format!("topic {topic}"), text, hint.clone()));
        } else {
            report.notes.push(format!("topic {topic}: {what} is {value}, planned is {wanted}; {hint}"));
        }
    }
    for UnseenTopic { topic, wanted, hint } in &found.unseen {
        report.notes.push(format!("topic {topic}: whether it has {wanted} is hidden from this user; {hint}"));
    }
}

/// Whether a native worker, or the native part of a hybrid, uses that topic of this table.
fn natively(pipeline: &PipelinePlan, topic: &str) -> bool {
    let names = &pipeline.names;
    let jvms = [&names.configs_topic, &names.offsets_topic, &names.status_topic];
    let native = match pipeline.worker.kind {
        WorkerKind::KafkaConnect => false,
        WorkerKind::Hybrid => !jvms.into_iter().any(|name| name == topic),
        WorkerKind::Native => true,
    };
    native && pipeline.topics.iter().any(|one| one.name == topic)
}

/// Makes topics and publications that are missing. A publication that the role may not make is its owner's to make, and
/// so only told.
pub(crate) async fn prepare(plan: &Plan, wait: Duration) -> ServerReport {
    let mut report = topics_of(plan, false, wait).await;
    for expected in expected(plan, &mut report.problems) {
        match patiently(wait, async || ensure_publication(&expected.spec).await).await {
            Ok(true) => report.made.push(format!("publication {}", expected.spec.publication)),
            Ok(false) => {}
            Err(error) => report.notes.push(error.report()),
        }
    }
    report
}

/// Waits until a stream reads each table's slot, and says at last how it is.
pub(crate) async fn slots(plan: &Plan, wait: Duration) -> ServerReport {
    let begun = Instant::now();
    let mut report = ServerReport::default();
    let specs: Vec<_> = expected(plan, &mut report.problems).into_iter().map(|one| one.spec).collect();
    loop {
        match patiently(wait.saturating_sub(begun.elapsed()), async || slot_uses(&specs).await).await {
            Ok(slots) => report.slots = slots,
            Err(error) => {
                report.problems.push(problem("postgres", &error));
                return report;
            }
        }
        if report.slots.values().all(|slot| *slot == SlotUse::Active) || begun.elapsed() >= wait {
            return report;
        }
        sleep(LOOK).await;
    }
}

/// Prints a report, and ends well if nothing is wrong.
pub(crate) fn tell(report: &ServerReport, arguments: &ServerArguments, headline: &str) -> Exit {
    let text = match arguments.output {
        // In one line: what reads a pod's log finds it among others.
        Output::Json => serde_json::to_string(report).expect("a report is plain values") + "\n",
        Output::Yaml => serde_yaml_ng::to_string(report).expect("a report is plain values"),
        Output::Table => words(report),
    };
    let printed = report::result(&text);
    if report.problems.is_empty() {
        return printed;
    }
    report::print(&report::problems(headline, &Problems(report.problems.clone())));
    Exit::Unavailable
}

fn words(report: &ServerReport) -> String {
    let made = report.made.iter().map(|made| format!("made {made}"));
    let missing = report.topics_missing.iter().map(|topic| format!("topic {topic} is not there yet"));
    let slots = report.slots.iter().map(|(slot, usage)| {
        let how = match usage {
            SlotUse::Active => "is read by a stream",
            SlotUse::Idle => "is there, and nobody reads it",
            SlotUse::Missing => "is not there yet",
        };
        format!("slot {slot} {how}")
    });
    let lines: Vec<String> = made.chain(missing).chain(slots).chain(report.notes.iter().cloned()).collect();
    if lines.is_empty() { "nothing to tell\n".to_owned() } else { lines.join("\n") + "\n" }
}

#[cfg(test)]
mod tests {
    use datapipe_core::settings::Settings;
    use serde_json::json;

    use super::*;

    /// What is said of a topic of users' that differs in this, served by this kind of worker.
    fn told(kind: &str, topic: &str, what: &str) -> (usize, usize) {
        let settings: Settings = serde_json::from_value(json!({
            "postgres": { "url": "postgres://cdc@localhost/shop", "password": "${env:P}" },
            "kafka": { "bootstrap": "k:9092" },
            "s3": { "bucket": "lake", "region": "r", "access_key_id": "${env:A}", "secret_access_key": "${env:B}" },
            "worker": { "kind": kind },
        }))
        .unwrap();
        let plan = Plan::new(&datapipe_catalog::all().unwrap(), &settings).unwrap();
        let difference = TopicDifference {
            topic: topic.to_owned(),
            what: what.to_owned(),
            wanted: "1".to_owned(),
            found: "25".to_owned(),
            hint: "do y".to_owned(),
        };
        let found = TopicReport { differing: vec![difference], ..TopicReport::default() };
        let mut report = ServerReport::default();
        compared(&plan, &topic_specs(&plan), &found, &mut report);
        (report.problems.len(), report.notes.len())
    }

    #[test]
    fn a_topic_that_loses_records_is_a_problem_and_partitions_are_one_for_who_minds_them() {
        let (problem, note) = ((1, 0), (0, 1));
        for kind in ["kafka-connect", "hybrid", "native"] {
            assert_eq!(told(kind, "connect-offsets-users", "cleanup.policy"), problem, "{kind}");
            assert_eq!(told(kind, "cdc.public.users", "retention.ms"), note, "{kind}");
        }
        assert_eq!(told("native", "connect-offsets-users", "partitions"), problem);
        assert_eq!(told("hybrid", "connect-offsets-users", "partitions"), note, "the JVM's part");
        assert_eq!(told("hybrid", "cdc.public.users", "partitions"), problem, "the native sink's");
        assert_eq!(told("kafka-connect", "cdc.public.users", "partitions"), note);
    }

    #[test]
    fn a_report_in_words() {
        let slots = [("a", SlotUse::Active), ("b", SlotUse::Idle), ("c", SlotUse::Missing)];
        let report = ServerReport {
            made: vec!["topic t".to_owned()],
            topics_missing: vec!["u".to_owned()],
            slots: slots.map(|(slot, usage)| (slot.to_owned(), usage)).into(),
            ..ServerReport::default()
        };
        let lines = "made topic t\ntopic u is not there yet\nslot a is read by a stream\nslot b is there, and nobody reads it\n\
                     slot c is not there yet\n";
        assert_eq!(words(&report), lines);
        assert_eq!(words(&ServerReport::default()), "nothing to tell\n");
    }
}
