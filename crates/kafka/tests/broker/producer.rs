//! Claiming, fencing, aborting, and records that are refused.

use std::time::{Duration, Instant};

use datapipe_core::port::ErrorKind;
use datapipe_core::port::log::{Committed, Header, Record, Sent, TransactionalLog};
use datapipe_kafka::TransactionalProducer;
use datapipe_kafka::topics::{self, TopicSpec};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::{Bench, KEY, put};

#[tokio::test(flavor = "multi_thread")]
async fn an_older_producer_is_fenced_in_mid_transaction_and_leaves_no_trace() {
    let bench = Bench::new("fenced").await;
    let (mut older, mut newer) = (bench.producer(), bench.producer());
    assert_eq!(older.claim().await.unwrap(), None);
    put(&mut older, &bench.data, b"k", b"zombie").await;
    put(&mut older, &bench.offsets, KEY, b"zombie's").await;
    tokio::time::sleep(Duration::from_millis(300)).await;

    assert_eq!(newer.claim().await.unwrap(), None);
    put(&mut newer, &bench.data, b"k", b"mine").await;
    put(&mut newer, &bench.offsets, KEY, b"1").await;
    assert_eq!(newer.commit().await.unwrap(), Committed::Yes);

    let error = older.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{}", error.report());
    // It stays unusable until it claims, and then it fences in its turn.
    assert!(older.commit().await.is_err());
    assert_eq!(older.claim().await.unwrap().as_deref(), Some(b"1".as_slice()));
    put(&mut newer, &bench.data, b"k", b"late").await;
    let error = newer.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{}", error.report());
    assert_eq!(bench.values().await, ["mine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_what_an_open_transaction_hides() {
    let bench = Bench::new("hidden").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    put(&mut producer, &bench.offsets, KEY, b"1").await;
    producer.commit().await.unwrap();
    // A producer of another transactional id, as another kind of worker is, hangs on the progress partition.
    let zombie: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bench.config.bootstrap())
        .set("transactional.id", format!("{}-other", bench.name))
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    let timeout = Duration::from_secs(10);
    zombie.init_transactions(timeout).unwrap();
    zombie.begin_transaction().unwrap();
    zombie.send(BaseRecord::to(&bench.offsets).key(KEY).payload("2")).unwrap();
    zombie.flush(timeout).unwrap();
    let ending = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_secs(2));
        zombie.commit_transaction(timeout).unwrap();
    });
    let begun = Instant::now();
    let mut next = bench.producer();
    assert_eq!(next.claim().await.unwrap().as_deref(), Some(b"2".as_slice()));
    assert!(begun.elapsed() > Duration::from_secs(1), "it did not wait");
    ending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_the_last_of_its_key_among_many_and_a_tombstone_ends_it() {
    let bench = Bench::new("many").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    for number in 0..20_000 {
        put(&mut producer, &bench.offsets, format!("other-{number}").as_bytes(), &[b'x'; 200]).await;
        if number % 1000 == 0 {
            put(&mut producer, &bench.offsets, KEY, number.to_string().as_bytes()).await;
        }
    }
    producer.commit().await.unwrap();
    put(&mut producer, &bench.offsets, KEY, b"aborted").await;
    assert_eq!(producer.claim().await.unwrap().as_deref(), Some(b"19000".as_slice()));
    let tombstone = Record { topic: &bench.offsets, key: Some(KEY), value: None, headers: &[] };
    assert_eq!(producer.send(tombstone).unwrap(), Sent::Queued);
    producer.commit().await.unwrap();
    assert_eq!(producer.claim().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_too_large_are_named_and_the_next_transaction_works() {
    let bench = Bench::new("large").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    // Random bytes: lz4 would make a record of equal ones small enough for the broker.
    let mut state = 1_u64;
    let mut noise = |size: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..size).map(|_| next()).collect()
    };
    let refused_by_broker = noise(2 * 1024 * 1024);
    let refused_by_client = noise(9 * 1024 * 1024);
    for (large, place) in [(&refused_by_broker, 7), (&refused_by_client, 3)] {
        for ordinal in 0..10 {
            let value = if ordinal == place { large.clone() } else { noise(100_000) };
            put(&mut producer, &bench.data, b"k", &value).await;
        }
        put(&mut producer, &bench.offsets, KEY, b"never").await;
        assert_eq!(producer.commit().await.unwrap(), Committed::TooLarge(vec![place]));
    }
    put(&mut producer, &bench.data, b"k", b"fits").await;
    put(&mut producer, &bench.offsets, KEY, b"1").await;
    assert_eq!(producer.commit().await.unwrap(), Committed::Yes);
    assert_eq!(bench.values().await, ["fits"]);
    assert_eq!(producer.claim().await.unwrap().as_deref(), Some(b"1".as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_refuses_whole_batches_is_refused_with_words() {
    let bench = Bench::new("narrow").await;
    let narrow = format!("narrow-{}", bench.name);
    let spec = TopicSpec::new(&narrow, 1, 1).with("max.message.bytes", "20000");
    topics::ensure(&bench.config, &[spec]).await.unwrap();
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    let mut state = 1_u32;
    for _ in 0..500 {
        let value: Vec<u8> = (0..1000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        put(&mut producer, &narrow, b"k", &value).await;
    }
    let error = producer.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.report());
    assert!(error.report().contains("max.message.bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiny_queue_gets_full_and_everything_arrives_in_order() {
    let bench = Bench::new("full").await;
    let mut settings = bench.settings();
    settings.queue_bytes = 64 * 1024;
    let mut producer = TransactionalProducer::new(bench.config.clone(), settings);
    producer.claim().await.unwrap();
    let mut full = 0;
    let wanted: Vec<String> = (0..3000).map(|number| format!("{number:0>500}")).collect();
    for value in &wanted {
        let record = Record { topic: &bench.data, key: Some(b"k"), value: Some(value.as_bytes()), headers: &[] };
        while producer.send(record).unwrap() == Sent::Full {
            full += 1;
            producer.room().await.unwrap();
        }
    }
    assert_eq!(producer.commit().await.unwrap(), Committed::Yes);
    assert!(full > 0, "the queue was never full");
    assert!(bench.values().await == wanted, "the records differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_empty_values_and_tombstones_arrive_as_they_are() {
    let bench = Bench::new("headers").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    let headers = [Header { name: "a", value: b"1" }, Header { name: "a", value: b"" }];
    let records = [
        Record { topic: &bench.data, key: Some(b"k"), value: Some(b""), headers: &headers },
        Record { topic: &bench.data, key: None, value: None, headers: &[] },
    ];
    for record in records {
        assert_eq!(producer.send(record).unwrap(), Sent::Queued);
    }
    producer.commit().await.unwrap();
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bench.config.bootstrap()).set("group.id", "x").create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(&bench.data, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let first = consumer.poll(Duration::from_secs(10)).unwrap().unwrap().detach();
    assert_eq!((first.key(), first.payload()), (Some(b"k".as_slice()), Some(b"".as_slice())));
    let found: Vec<_> =
        first.headers().unwrap().iter().map(|header| (header.key.to_owned(), header.value.unwrap().to_vec())).collect();
    assert_eq!(found, [("a".to_owned(), b"1".to_vec()), ("a".to_owned(), Vec::new())]);
    let second = consumer.poll(Duration::from_secs(10)).unwrap().unwrap().detach();
    assert_eq!((second.key(), second.payload()), (None, None));
    assert!(second.headers().is_none());
}
