//! What a store can do to us, one fault at a time.

#![allow(clippy::unwrap_used, clippy::panic)]

mod scripted;

use std::collections::BTreeMap;

use bytes::Bytes;
use datapipe_core::Secret;
use datapipe_core::port::store::{Body, Created, ObjectStore};
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_s3::S3Store;
use scripted::{Reply, Scripted, error, ok};

async fn create(server: &Scripted) -> Result<Created, PortError> {
    let body = Body::Memory(Bytes::from_static(b"content"));
    S3Store::new(server.config()).create("a/b", body, &BTreeMap::new()).await
}

#[tokio::test]
async fn a_create_is_one_conditional_put() {
    let server = Scripted::start(vec![ok()]);
    let config = server.config();
    let metadata = BTreeMap::from([("datapipe-next".to_owned(), "7".to_owned())]);
    let body = Body::Memory(Bytes::from_static(b"content"));
    assert_eq!(S3Store::new(config).create("a/b", body, &metadata).await.unwrap(), Created::Yes);
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let head = &asked[0];
    assert!(head.starts_with("put /lake/a/b"), "{head}");
    for line in ["if-none-match: *", "content-length: 7", "x-amz-meta-datapipe-next: 7", "x-amz-checksum-crc32c: "] {
        assert!(head.contains(&format!("\r\n{line}")), "{line} is missing in {head}");
    }
    assert!(!head.contains("aws-chunked") && !head.contains("x-amz-trailer"), "{head}");
    assert!(!head.contains("x-amz-security-token"), "{head}");
}

#[tokio::test]
async fn temporary_keys_send_their_token_and_sign_it() {
    let server = Scripted::start(vec![ok()]);
    let mut config = server.config();
    config.credentials.session_token = Some(Secret::new("to/ken=="));
    let body = Body::Memory(Bytes::from_static(b"content"));
    S3Store::new(config).create("a/b", body, &BTreeMap::new()).await.unwrap();
    let head = &server.asked()[0];
    assert!(head.contains("\r\nx-amz-security-token: to/ken==\r\n"), "{head}");
    let signed = head.split("signedheaders=").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    assert!(signed.split(';').any(|name| name == "x-amz-security-token"), "{head}");
}

#[tokio::test]
async fn expired_keys_are_refused_with_what_to_do() {
    let server = Scripted::start(vec![error(400, "ExpiredToken")]);
    let failure = create(&server).await.unwrap_err();
    assert_eq!((failure.kind(), server.asked().len()), (ErrorKind::Refused, 1));
    assert!(failure.next_step().unwrap().contains("renew them"), "{}", failure.report());
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_again() {
    let server = Scripted::start(vec![Reply::HangUp, error(412, "PreconditionFailed")]);
    assert_eq!(create(&server).await.unwrap(), Created::Exists);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_conflict_of_writers_is_tried_again() {
    let server = Scripted::start(vec![error(409, "ConditionalRequestConflict"), ok()]);
    assert_eq!(create(&server).await.unwrap(), Created::Yes);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn passing_faults_are_tried_a_bounded_number_of_times() {
    for (status, code) in [(409, "ConditionalRequestConflict"), (503, "SlowDown"), (500, "InternalError")] {
        let server = Scripted::start(vec![error(status, code)]);
        let failure = create(&server).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Ambiguous);
        assert!(failure.report().contains(code), "{}", failure.report());
        assert_eq!(server.asked().len(), 3, "{code}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_named() {
    let mut config = Scripted::start(vec![ok()]).config();
    config.endpoint = Some("http://127.0.0.1:1".to_owned());
    let failure = S3Store::new(config).head("a").await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Retry);
    assert!(failure.report().contains("looking at a in bucket lake at http://127.0.0.1:1"), "{}", failure.report());
    assert!(failure.next_step().unwrap().contains("s3.endpoint"));
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Scripted::start(vec![ok()]).config();
    config.endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    config.limits.attempt = std::time::Duration::from_millis(50);
    config.limits.attempts_max = 2;
    let failure = S3Store::new(config).head("a").await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Retry);
    assert!(failure.report().contains("no complete answer in time"), "{}", failure.report());
}

#[tokio::test]
async fn refusals_come_with_a_next_step() {
    for (status, code, hint) in [
        (403, "InvalidAccessKeyId", "s3.access_key_id"),
        (403, "SignatureDoesNotMatch", "s3.secret_access_key"),
        (403, "AccessDenied", "s3:PutObject"),
        (404, "NoSuchBucket", "create the bucket lake"),
        (301, "PermanentRedirect", "s3.region"),
        (400, "AuthorizationHeaderMalformed", "s3.region"),
        (403, "RequestTimeTooSkewed", "clock"),
        (400, "ExpiredToken", "renew"),
        (501, "NotImplemented", "conditional writes"),
    ] {
        let server = Scripted::start(vec![error(status, code)]);
        let failure = create(&server).await.unwrap_err();
        assert!(failure.report().contains(code), "{}", failure.report());
        assert!(failure.next_step().unwrap().contains(hint), "{code}: {:?}", failure.next_step());
        assert_eq!(failure.kind(), ErrorKind::Refused, "{code}");
        assert!(!failure.report().contains("password"), "{}", failure.report());
    }
}

#[tokio::test]
async fn a_store_that_overwrites_is_found_out() {
    let server = Scripted::start(vec![ok()]);
    let failure = S3Store::new(server.config()).probe("table=users/").await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Refused);
    assert!(failure.report().contains("overwrote an existing object"), "{}", failure.report());
    assert!(failure.report().contains("table=users/.datapipe-probe"), "{}", failure.report());
}

#[tokio::test]
async fn a_store_whose_condition_is_not_atomic_is_found_out() {
    let there = error(412, "PreconditionFailed");
    let server = Scripted::start(vec![ok(), ok(), ok(), there]);
    let failure = S3Store::new(server.config()).probe("").await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Refused);
    assert!(failure.report().contains("3 of 8 writers"), "{}", failure.report());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let whole = Reply::Answer(206, "content-range: bytes 0-9/10\r\n", "0123456789".to_owned());
    let server = Scripted::start(vec![Reply::BreakOff(10, "0123"), whole]);
    assert_eq!(S3Store::new(server.config()).read("a", 0, 10).await.unwrap(), "0123456789");
    let server = Scripted::start(vec![Reply::BreakOff(10, "0123")]);
    let failure = S3Store::new(server.config()).read("a", 0, 10).await.unwrap_err();
    assert_eq!((failure.kind(), server.asked().len()), (ErrorKind::Retry, 3));
}

#[tokio::test]
async fn a_store_that_ignores_ranges_is_refused() {
    let server = Scripted::start(vec![Reply::Answer(200, "", "0123456789".to_owned())]);
    let store = S3Store::new(server.config());
    for (offset, length) in [(0, 3), (2, 20)] {
        let failure = store.read("a", offset, length).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Refused, "{}", failure.report());
    }
}
