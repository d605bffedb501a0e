//! A second `start` with the same settings finds everything as it should be, and leaves it so.

use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_e2e::load;
use datapipe_e2e::process::Worker;
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{PATIENCE, PG15, Stage, eventually, names};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

const REQUEST_MAX: Duration = Duration::from_secs(10);

/// What a start may make or change.
#[derive(Debug, PartialEq)]
struct State {
    /// Every topic with its partitions and all its configurations.
    topics: BTreeMap<String, (usize, BTreeMap<String, Option<String>>)>,
    /// Where the topics of configurations and of rows end.
    ends: BTreeMap<String, i64>,
    publications: Option<String>,
    slots: Option<String>,
}

impl State {
    async fn of(stage: &Stage) -> Self {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", stage.servers.stack.kafka().bootstrap());
        let consumer: BaseConsumer = client.create().unwrap();
        let metadata = consumer.fetch_metadata(None, REQUEST_MAX).unwrap();
        let own = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
        let partitions: BTreeMap<_, _> = own.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect();
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let resources: Vec<_> = partitions.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        let described = admin.describe_configs(&resources, &AdminOptions::new()).await.unwrap();
        let topics = partitions.iter().zip(described).map(|((name, partitions), described)| {
            let entries = described.unwrap().entries.into_iter().map(|entry| (entry.name, entry.value));
            (name.clone(), (*partitions, entries.collect()))
        });
        let names: Vec<_> =
            TABLES.iter().flat_map(|table| [names(table).configs_topic, names(table).data_topic]).collect();
        let end = |name: String| {
            let (_, end) = consumer.fetch_watermarks(&name, 0, REQUEST_MAX).unwrap();
            (name, end)
        };
        let publications =
            "SELECT string_agg(p.oid || ' ' || p.pubname || ' ' || r.prrelid::regclass, ', ' ORDER BY p.oid)
                            FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid";
        let slots = "SELECT string_agg(slot_name || ' ' || plugin || ' ' || temporary, ', ' ORDER BY slot_name)
                     FROM pg_replication_slots";
        Self {
            topics: topics.collect(),
            ends: names.into_iter().map(end).collect(),
            publications: stage.ask(publications).await,
            slots: stage.ask(slots).await,
        }
    }
}

async fn running(stage: &Stage, worker: &mut Worker) {
    worker.until("datapipe_source_running", 1.0, PATIENCE).await.unwrap();
    worker.until("datapipe_sink_running", 1.0, PATIENCE).await.unwrap();
    stage.running(&TABLES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_start_changes_nothing() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 400).await.unwrap();
    let mut first = stage.worker("first", &[], &[]);
    running(&stage, &mut first).await;
    stage.captured(&TABLES, PATIENCE).await;
    let made = State::of(&stage).await;
    println!("{} topics, publications {:?}, slots {:?}", made.topics.len(), made.publications, made.slots);
    println!("ends {:?}", made.ends);
    assert_eq!((made.topics.len(), made.ends.len()), (20, 8), "{:?}", made.topics.keys());

    // While the first one runs: it becomes a standby.
    let second = stage.worker("second", &[], &[]);
    let waits = async || second.words().matches("waiting to own the group").count() == TABLES.len();
    eventually("the second worker to stand by", PATIENCE, waits).await;
    assert_eq!(State::of(&stage).await, made);
    second.stop().await.unwrap();

    // And after it.
    first.stop().await.unwrap();
    let mut third = stage.worker("third", &[], &[]);
    running(&stage, &mut third).await;
    assert_eq!(State::of(&stage).await, made);
    let words = third.words();
    assert!(words.contains("created=0") && !words.contains("configuration written"), "{words}");
    third.stop().await.unwrap();

    // Other settings are written: configuration, tasks and their commit, for each sink.
    let mut other = stage.worker("other", &[], &[("sink.rows", "12345")]);
    running(&stage, &mut other).await;
    let changed = State::of(&stage).await;
    for table in TABLES {
        let topic = names(table).configs_topic;
        assert_eq!(changed.ends[&topic], made.ends[&topic] + 3, "{topic}");
    }
    assert_eq!((&changed.topics, &changed.slots), (&made.topics, &made.slots));
    other.stop().await.unwrap();
    stage.end().await;
}
