//! The contract of `ObjectStore`, as every server must keep it. A server's own test file calls [`keeps_the_contract`].

use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;
use datapipe_core::Secret;
use datapipe_core::port::ErrorKind;
use datapipe_core::port::store::{Body, Created, ObjectStore};
use datapipe_s3::{PROBE_NAME, S3Config, S3Store};

/// Writers that race for one key.
const WRITERS: usize = 16;

/// Runs the whole contract on an empty bucket.
pub(crate) async fn keeps_the_contract(config: &S3Config) {
    let store = S3Store::new(config.clone());
    creates_once(&store).await;
    metadata_comes_back(&store).await;
    files_are_streamed(&store).await;
    a_file_of_another_size_is_refused(&store).await;
    ranges(&store).await;
    racing_creates_have_one_winner(&store).await;
    probes(&store).await;
    pages(config).await;
    folders(config).await;
    wrong_settings_are_told_apart(config).await;
}

fn memory(text: &str) -> Body {
    Body::Memory(Bytes::copy_from_slice(text.as_bytes()))
}

async fn put(store: &S3Store, key: &str, text: &str) -> Created {
    store.create(key, memory(text), &BTreeMap::new()).await.unwrap()
}

async fn creates_once(store: &S3Store) {
    assert_eq!(store.head("once").await.unwrap(), None);
    assert_eq!(put(store, "once", "first").await, Created::Yes);
    assert_eq!(put(store, "once", "second").await, Created::Exists);
    assert_eq!(store.head("once").await.unwrap().unwrap().size, 5);
    assert_eq!(store.read("once", 0, 100).await.unwrap(), "first");
}

async fn metadata_comes_back(store: &S3Store) {
    let metadata = BTreeMap::from([
        ("datapipe-covers-from".to_owned(), "42".to_owned()),
        ("datapipe-lsn-first".to_owned(), "0/16B3748".to_owned()),
    ]);
    // The key's length and form are those of a real object.
    let key = "table=order_items/year=2026/month=11/day=23/hour=00/cdc.public.order_items-0000000000-00000000000000000042.jsonl.gz";
    assert_eq!(store.create(key, memory("{}"), &metadata).await.unwrap(), Created::Yes);
    assert_eq!(store.head(key).await.unwrap().unwrap().metadata, metadata);
    assert_eq!(store.list("table=order_items/", false, None).await.unwrap().keys, [key]);
}

async fn files_are_streamed(store: &S3Store) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let content: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    file.write_all(&content).unwrap();
    let body = || Body::File { path: file.path().to_owned(), size: content.len() as u64 };
    assert_eq!(store.create("file", body(), &BTreeMap::new()).await.unwrap(), Created::Yes);
    assert_eq!(store.create("file", body(), &BTreeMap::new()).await.unwrap(), Created::Exists);
    assert_eq!(store.head("file").await.unwrap().unwrap().size, content.len() as u64);
    let found = store.read("file", 0, content.len() as u64).await.unwrap();
    assert!(found == content, "the file's content is altered");
}

async fn a_file_of_another_size_is_refused(store: &S3Store) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"12345").unwrap();
    let body = Body::File { path: file.path().to_owned(), size: 4 };
    let error = store.create("wrong size", body, &BTreeMap::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.report().contains("5 bytes instead of 4"), "{}", error.report());
    let body = Body::File { path: "/nonexistent/spool".into(), size: 4 };
    let error = store.create("no file", body, &BTreeMap::new()).await.unwrap_err();
    assert!(error.report().contains("spool file cannot be read"), "{}", error.report());
    assert_eq!(store.head("wrong size").await.unwrap(), None);
}

async fn ranges(store: &S3Store) {
    put(store, "range", "0123456789").await;
    assert_eq!(store.read("range", 0, 3).await.unwrap(), "012");
    assert_eq!(store.read("range", 7, 3).await.unwrap(), "789");
    assert_eq!(store.read("range", 7, 30).await.unwrap(), "789");
    assert_eq!(store.read("range", 3, 0).await.unwrap(), "");
    assert_eq!(store.read("range", 10, 5).await.unwrap(), "");
    let error = store.read("no such key", 0, 5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.report().contains("no such key") && error.report().contains("NoSuchKey"), "{}", error.report());
}

async fn racing_creates_have_one_winner(store: &S3Store) {
    for round in 0..5 {
        let key = format!("race/{round}");
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (store, key) = (store.clone(), key.clone());
            let text = format!("written by {writer}");
            writers.push(tokio::spawn(async move { (put(&store, &key, &text).await, text) }));
        }
        let mut winners = Vec::new();
        for writer in writers {
            let (created, text) = writer.await.unwrap();
            if created == Created::Yes {
                winners.push(text);
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(store.read(&key, 0, 100).await.unwrap(), winners[0]);
    }
}

async fn probes(store: &S3Store) {
    for _ in 0..2 {
        store.probe("probed/").await.unwrap();
    }
    assert_eq!(store.list("probed/", false, None).await.unwrap().keys, [format!("probed/{PROBE_NAME}")]);
}

async fn pages(config: &S3Config) {
    let mut config = config.clone();
    config.limits.page_keys_max = 3;
    let store = S3Store::new(config);
    let keys: Vec<String> = (0..8).map(|n| format!("pages/{n}")).collect();
    for key in &keys {
        put(&store, key, "x").await;
    }
    put(&store, "pages.other", "x").await;
    let (mut found, mut from, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.list("pages/", false, from.as_deref()).await.unwrap();
        assert!(page.keys.len() <= 3);
        found.extend(page.keys);
        pages += 1;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (keys, 3));
    assert_eq!(store.list("nothing/", false, None).await.unwrap(), datapipe_core::port::store::Page::default());
}

async fn folders(config: &S3Config) {
    let store = S3Store::new(config.clone());
    for key in ["tree/hour=02/a", "tree/hour=01/a", "tree/hour=01/b", "tree/top"] {
        put(&store, key, "x").await;
    }
    let page = store.list("tree/", true, None).await.unwrap();
    assert_eq!(page.folders, ["tree/hour=01/", "tree/hour=02/"]);
    assert_eq!((page.keys, page.next), (vec!["tree/top".to_owned()], None));
}

async fn wrong_settings_are_told_apart(config: &S3Config) {
    let refused = |error: datapipe_core::port::PortError| {
        assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.report());
        (error.report(), error.next_step().unwrap_or_default().to_owned())
    };

    let mut wrong = config.clone();
    "no-such-bucket".clone_into(&mut wrong.bucket);
    let store = S3Store::new(wrong);
    let create = store.create("a", memory("x"), &BTreeMap::new()).await.unwrap_err();
    for error in [store.list("", false, None).await.unwrap_err(), create] {
        let (report, hint) = refused(error);
        assert!(report.contains("no-such-bucket") && report.contains("NoSuchBucket"), "{report}");
        assert!(hint.contains("create the bucket"), "{hint}");
    }

    let mut wrong = config.clone();
    wrong.credentials.secret_access_key = Secret::new("hunter2hunter2");
    let (report, hint) = refused(S3Store::new(wrong).probe("a/").await.unwrap_err());
    assert!(report.contains("SignatureDoesNotMatch") && !report.contains("hunter2"), "{report}");
    assert!(hint.contains("secret"), "{hint}");

    let mut wrong = config.clone();
    wrong.credentials.access_key_id = Secret::new("nobody");
    let (report, hint) = refused(S3Store::new(wrong).list("", false, None).await.unwrap_err());
    assert!(!report.contains("nobody"), "{report}");
    assert!(hint.contains("access key"), "{report}");
}
