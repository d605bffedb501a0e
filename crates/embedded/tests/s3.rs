//! The S3 server, through the AWS SDK.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: a failure is a panic, figures are printed"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use datapipe_embedded::{Progress, S3Server};
use tokio::sync::Barrier;

const BUCKET: &str = "lake";
const RACERS: usize = 16;
const ROUNDS: usize = 200;
const MULTIPART_ROUNDS: usize = 50;

struct Server {
    handle: S3Server,
    client: Client,
    _folder: tempfile::TempDir,
}

async fn start() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path(), &Progress::silent()).await.unwrap();
    server.create_bucket(BUCKET).await.unwrap();
    let client = client(&server, server.secret_key());
    Server { handle: server, client, _folder: folder }
}

fn client(server: &S3Server, secret_key: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(server.region()))
        .endpoint_url(server.endpoint())
        .credentials_provider(Credentials::new(server.access_key(), secret_key, None, None, "test"))
        .force_path_style(true)
        .http_client(http)
        .build();
    Client::from_conf(config)
}

/// 200 for a success, else the status of the refusal.
fn status<T, E: std::fmt::Debug>(result: Result<T, SdkError<E>>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(error) => error.raw_response().unwrap_or_else(|| panic!("{error:?}")).status().as_u16(),
    }
}

fn assert_one_winner(round: usize, statuses: &[u16]) {
    let won = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 412).count();
    assert_eq!((won, refused), (1, RACERS - 1), "round {round}: {statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_conditional_puts_exactly_one_wins() {
    let s3 = start().await;
    for round in 0..ROUNDS {
        let barrier = Arc::new(Barrier::new(RACERS));
        let mut racers = Vec::new();
        for racer in 0..RACERS {
            let (client, barrier) = (s3.client.clone(), Arc::clone(&barrier));
            racers.push(tokio::spawn(async move {
                barrier.wait().await;
                let put = client.put_object().bucket(BUCKET).key(format!("a/{round}")).if_none_match("*");
                let body = ByteStream::from(format!("{racer}").into_bytes());
                status(put.metadata("racer", racer.to_string()).body(body).send().await)
            }));
        }
        let mut statuses = Vec::new();
        for racer in racers {
            statuses.push(racer.await.unwrap());
        }
        assert_one_winner(round, &statuses);
        // Bytes and metadata are of the same racer, the one that was told so.
        let winner = statuses.iter().position(|status| *status == 200).unwrap().to_string();
        let got = s3.client.get_object().bucket(BUCKET).key(format!("a/{round}")).send().await.unwrap();
        assert_eq!(got.metadata().unwrap()["racer"], winner);
        assert_eq!(got.body.collect().await.unwrap().to_vec(), winner.into_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_conditional_multipart_uploads_exactly_one_wins() {
    let s3 = start().await;
    for round in 0..MULTIPART_ROUNDS {
        let key = format!("multi/{round}");
        let mut uploads = Vec::new();
        for _ in 0..RACERS {
            uploads.push(upload(&s3.client, &key).await);
        }
        let barrier = Arc::new(Barrier::new(RACERS));
        let mut racers = Vec::new();
        for (id, parts) in uploads {
            let (client, barrier, key) = (s3.client.clone(), Arc::clone(&barrier), key.clone());
            racers.push(tokio::spawn(async move {
                barrier.wait().await;
                let complete = client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(id);
                status(complete.if_none_match("*").multipart_upload(parts).send().await)
            }));
        }
        let mut statuses = Vec::new();
        for racer in racers {
            statuses.push(racer.await.unwrap());
        }
        assert_one_winner(round, &statuses);
    }
}

async fn upload(client: &Client, key: &str) -> (String, CompletedMultipartUpload) {
    let created =
        client.create_multipart_upload().bucket(BUCKET).key(key).metadata("kind", "multipart").send().await.unwrap();
    let id = created.upload_id().unwrap().to_owned();
    let body = ByteStream::from_static(b"part");
    let part = client.upload_part().bucket(BUCKET).key(key).upload_id(&id).part_number(1).body(body);
    let e_tag = part.send().await.unwrap().e_tag().unwrap().to_owned();
    let part = CompletedPart::builder().part_number(1).e_tag(e_tag).build();
    (id, CompletedMultipartUpload::builder().parts(part).build())
}

#[tokio::test]
async fn if_match_replaces_only_what_was_read() {
    let s3 = start().await;
    let put = |body: &'static [u8]| s3.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(body));
    let e_tag = put(b"one").send().await.unwrap().e_tag().unwrap().to_owned();
    assert_eq!(status(put(b"two").if_match(&e_tag).send().await), 200);
    assert_eq!(status(put(b"three").if_match(&e_tag).send().await), 412);
}

#[tokio::test]
async fn metadata_comes_back_on_head() {
    let s3 = start().await;
    let put = s3.client.put_object().bucket(BUCKET).key("k").metadata("covers-from", "17").metadata("next", "42");
    put.content_type("application/gzip").body(ByteStream::from_static(b"x")).send().await.unwrap();
    let head = s3.client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
    let metadata = head.metadata().unwrap();
    assert_eq!((metadata["covers-from"].as_str(), metadata["next"].as_str()), ("17", "42"));
    assert_eq!(metadata.len(), 2);
    assert_eq!(head.content_length(), Some(1));

    let (id, parts) = upload(&s3.client, "m").await;
    let complete = s3.client.complete_multipart_upload().bucket(BUCKET).key("m").upload_id(id);
    complete.multipart_upload(parts).send().await.unwrap();
    let head = s3.client.head_object().bucket(BUCKET).key("m").send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["kind"], "multipart");
}

#[tokio::test]
async fn listing_by_delimiter_and_pages_and_reading_a_range() {
    let s3 = start().await;
    for key in ["table=users/year=2026/a", "table=users/year=2027/b", "table=users/top", "table=orders/c"] {
        let put = s3.client.put_object().bucket(BUCKET).key(key);
        put.body(ByteStream::from_static(b"0123456789")).send().await.unwrap();
    }
    let list = s3.client.list_objects_v2().bucket(BUCKET).prefix("table=users/").delimiter("/").send().await.unwrap();
    let folders: Vec<_> = list.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect();
    assert_eq!(folders, ["table=users/year=2026/", "table=users/year=2027/"]);
    let keys: Vec<_> = list.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, ["table=users/top"]);

    let mut pages = s3.client.list_objects_v2().bucket(BUCKET).max_keys(3).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents().iter().filter_map(|object| object.key().map(str::to_owned)));
    }
    assert_eq!(keys.len(), 4);
    assert!(keys.is_sorted());

    let get = s3.client.get_object().bucket(BUCKET).key("table=orders/c").range("bytes=2-4").send().await.unwrap();
    assert_eq!(get.body.collect().await.unwrap().to_vec(), b"234");
    let file = s3.handle.bucket_path(BUCKET).join("table=orders/c");
    assert_eq!(std::fs::read(file).unwrap(), b"0123456789", "objects are plain files");
}

#[tokio::test]
async fn absent_objects_and_wrong_secrets_are_told_apart() {
    let s3 = start().await;
    let absent = s3.client.get_object().bucket(BUCKET).key("absent").send().await.unwrap_err();
    assert_eq!(absent.into_service_error().code(), Some("NoSuchKey"));
    let stranger = client(&s3.handle, "not the secret");
    assert_eq!(status(stranger.list_objects_v2().bucket(BUCKET).send().await), 403);
}

#[tokio::test]
async fn nothing_is_put_into_a_bucket_that_nobody_made() {
    let s3 = start().await;
    let put = s3.client.put_object().bucket("absent").key("a/b").if_none_match("*").body(ByteStream::from_static(b"x"));
    assert_eq!(put.send().await.unwrap_err().into_service_error().code(), Some("NoSuchBucket"));
    let upload = s3.client.create_multipart_upload().bucket("absent").key("a/b").send().await;
    assert_eq!(upload.unwrap_err().into_service_error().code(), Some("NoSuchBucket"));
    s3.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"x")).send().await.unwrap();
    let copy = s3.client.copy_object().bucket("absent").key("a/b").copy_source(format!("{BUCKET}/k")).send().await;
    assert_eq!(copy.unwrap_err().into_service_error().code(), Some("NoSuchBucket"));
    assert!(!s3.handle.bucket_path("absent").exists(), "no bucket is made on the way");
}

#[tokio::test]
async fn it_comes_back_on_the_same_port_with_the_same_objects() {
    let mut s3 = start().await;
    s3.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"x")).send().await.unwrap();
    let endpoint = s3.handle.endpoint();
    s3.handle.stop().await;
    assert!(s3.client.head_object().bucket(BUCKET).key("k").send().await.is_err());
    s3.handle.resume().await.unwrap();
    assert_eq!(s3.handle.endpoint(), endpoint);
    s3.client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
}

/// A writer that vanishes in the middle leaves the whole object with its metadata, or nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_writer_leaves_all_or_nothing() {
    const WRITERS: u32 = 100;
    const BODY_BYTES: usize = 256 * 1024;
    let s3 = start().await;
    let put = |key: String| {
        let put = s3.client.put_object().bucket(BUCKET).key(key).if_none_match("*").metadata("next", "42");
        put.body(ByteStream::from(vec![7; BODY_BYTES])).send()
    };
    put("v/first".to_owned()).await.unwrap();
    let begun = Instant::now();
    put("v/second".to_owned()).await.unwrap();
    let usual = begun.elapsed();
    for writer in 0..WRITERS {
        // From at once to a little longer than it takes.
        let patience = usual * writer / (WRITERS * 3 / 4);
        let _ = tokio::time::timeout(patience, put(format!("v/{writer}"))).await;
    }
    // Requests that were under way may still end.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut whole = 0;
    for writer in 0..WRITERS {
        let head = s3.client.head_object().bucket(BUCKET).key(format!("v/{writer}")).send().await;
        if let Ok(head) = head {
            whole += 1;
            assert_eq!(head.content_length(), i64::try_from(BODY_BYTES).ok(), "{writer}");
            assert_eq!(head.metadata().unwrap()["next"], "42", "{writer}");
        }
    }
    println!("{whole} of {WRITERS} objects are there");
    assert!(whole > 0);
}
