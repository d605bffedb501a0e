//! The contract of [`ConnectStore`].

use datapipe_core::port::connect::{
    ConfigMap, ConfigRecord, ConnectFeed, ConnectStore, FeedItem, State, StatusChange, StatusRecord, TargetState,
};

fn config(key: &str, value: &str) -> ConfigMap {
    ConfigMap::from([(key.to_owned(), value.to_owned())])
}

fn connector(name: &str, config: Option<ConfigMap>) -> ConfigRecord {
    ConfigRecord::Connector { connector: name.to_owned(), config }
}

fn status(connector: &str, state: State) -> StatusChange {
    let record = StatusRecord { state, trace: None, worker_id: "w:1".to_owned(), generation: 1, version: None };
    StatusChange::Connector { connector: connector.to_owned(), status: Some(record) }
}

/// Runs the suite on topics that hold nothing yet.
pub async fn suite(store: &dyn ConnectStore, transactional_id: &str) {
    assert_eq!(store.configs().await.expect("a look").len(), 0, "nothing is there");
    assert_eq!(store.claim(transactional_id).await.expect("a claim"), None, "and so nothing is the last record");

    store.put_config("a", &config("n", "1")).await.expect("a configuration");
    let more = [connector("a", Some(config("n", "2"))), connector("b", Some(config("n", "3"))), connector("c", None)];
    let last = store.write(&more).await.expect("records").expect("some were written");
    assert_eq!(store.write(&[]).await.expect("no records"), None, "nothing was written");
    let configs = store.configs().await.expect("a look");
    let found: Vec<_> = configs.iter().map(|(name, config)| (name.as_str(), config["n"].as_str())).collect();
    assert_eq!(found, [("a", "2"), ("b", "3")], "the last record of a name wins, and none is none");

    let claimed = store.claim(transactional_id).await.expect("a claim").expect("there are records");
    assert!(claimed >= last, "the last record is at {last} or after it, not at {claimed}");
    let target = ConfigRecord::Target { connector: "a".to_owned(), state: Some(TargetState::Paused) };
    store.write(std::slice::from_ref(&target)).await.expect("who claimed may write");
    store.put_status(&status("a", State::Running)).await.expect("a status");
    store.put_status(&status("a", State::Paused)).await.expect("a status");
    follows(store, &[&more[..], &[target]].concat()).await;
}

/// A feed gives what is there in order, says when that is all, and goes on with what comes.
async fn follows(store: &dyn ConnectStore, written: &[ConfigRecord]) {
    let mut feed = store.feed().await.expect("a feed");
    let (records, statuses) = until_caught_up(feed.as_mut()).await;
    let expected = [&[connector("a", Some(config("n", "1")))], written].concat();
    assert_eq!(records, expected, "every record, in the order of writing");
    assert_eq!(statuses.last(), Some(&status("a", State::Paused)), "statuses of one name, in order");
    let late = connector("late", Some(config("n", "4")));
    store.write(std::slice::from_ref(&late)).await.expect("a record");
    loop {
        let item = feed.next().await.expect("an item");
        assert_ne!(item, FeedItem::CaughtUp, "it is said once that all was given");
        if let FeedItem::Config { record, .. } = item {
            return assert_eq!(record, late, "and then what comes");
        }
    }
}

async fn until_caught_up(feed: &mut dyn ConnectFeed) -> (Vec<ConfigRecord>, Vec<StatusChange>) {
    let (mut records, mut statuses, mut last) = (Vec::new(), Vec::new(), -1);
    loop {
        match feed.next().await.expect("an item") {
            FeedItem::Config { offset, record } => {
                assert!(offset > last, "offset {offset} after {last}");
                last = offset;
                records.push(record);
            }
            FeedItem::Skipped { offset } => last = last.max(offset),
            FeedItem::Status(change) => statuses.push(change),
            FeedItem::CaughtUp => return (records, statuses),
        }
    }
}
