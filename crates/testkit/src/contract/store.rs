//! The contract of [`ObjectStore`].

use std::collections::BTreeMap;

use bytes::Bytes;
use datapipe_core::port::store::{Body, Created, ObjectStore};

/// Runs the suite on keys below `prefix`, which ends with a `/` and has nothing below it.
pub async fn suite(store: &dyn ObjectStore, prefix: &str) {
    creates_once(store, prefix).await;
    reads_parts(store, prefix).await;
    lists_all(store, prefix).await;
}

fn body(text: &'static str) -> Body {
    Body::Memory(Bytes::from_static(text.as_bytes()))
}

async fn creates_once(store: &dyn ObjectStore, prefix: &str) {
    let key = format!("{prefix}once.jsonl.gz");
    assert_eq!(store.head(&key).await.expect("a look"), None, "nothing is there");
    let metadata = BTreeMap::from([("datapipe-next".to_owned(), "7".to_owned())]);
    let first = store.create(&key, body("first"), &metadata).await.expect("a create");
    assert_eq!(first, Created::Yes);
    let second = store.create(&key, body("second!"), &BTreeMap::new()).await.expect("a second create");
    assert_eq!(second, Created::Exists, "a create never overwrites");
    let head = store.head(&key).await.expect("a look").expect("it is there");
    assert_eq!(head.size, 5, "the first one stands");
    assert_eq!(head.metadata.get("datapipe-next").map(String::as_str), Some("7"), "metadata is kept");
}

async fn reads_parts(store: &dyn ObjectStore, prefix: &str) {
    let key = format!("{prefix}once.jsonl.gz");
    for (offset, length, expected) in [(0, 5, "first"), (1, 3, "irs"), (3, 100, "st")] {
        let part = store.read(&key, offset, length).await.expect("a read");
        assert_eq!(part, expected.as_bytes(), "{length} bytes at {offset}");
    }
}

async fn lists_all(store: &dyn ObjectStore, prefix: &str) {
    for name in ["a/hour=01/x", "a/hour=02/y", "a/hour=02/z", "a/top"] {
        store.create(&format!("{prefix}{name}"), body("x"), &BTreeMap::new()).await.expect("a create");
    }
    let under = format!("{prefix}a/");
    let full = |names: &[&str]| names.iter().map(|name| format!("{under}{name}")).collect::<Vec<_>>();
    let all = listed(store, &under, false).await;
    assert_eq!(all, (full(&["hour=01/x", "hour=02/y", "hour=02/z", "top"]), Vec::new()), "every key, in byte order");
    let level = listed(store, &under, true).await;
    assert_eq!(level, (full(&["top"]), full(&["hour=01/", "hour=02/"])), "one level, each folder once");
}

async fn listed(store: &dyn ObjectStore, prefix: &str, folders: bool) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut below, mut from) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.list(prefix, folders, from.as_deref()).await.expect("a page");
        keys.extend(page.keys);
        below.extend(page.folders);
        from = page.next;
        if from.is_none() {
            return (keys, below);
        }
    }
}
