//! The store's verbs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::types::{CommonPrefix, Object};
use bytes::Bytes;
use datapipe_core::port::store::{Body, Created, Head, ObjectStore, Page};
use datapipe_core::port::{ErrorKind, PortError};

use crate::body;
use crate::client::{PAUSE_MIN, client, timeouts};
use crate::config::S3Config;
use crate::error::S3Error;

/// The name of the object that [`ObjectStore::probe`] leaves below its prefix. The leading dot hides it from the
/// readers of hive partitions.
pub const PROBE_NAME: &str = ".datapipe-probe";

/// How many writers race in a probe.
const PROBE_WRITERS: usize = 8;

/// An S3 bucket.
#[derive(Clone, Debug)]
pub struct S3Store {
    config: S3Config,
    client: Client,
}

impl S3Store {
    /// A store of this configuration. It opens no connection before its first request.
    pub fn new(config: S3Config) -> Self {
        let client = client(&config);
        Self { config, client }
    }

    pub(crate) const fn config(&self) -> &S3Config {
        &self.config
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    fn failed(&self, error: S3Error, attempt: &str) -> PortError {
        error.into_port(&self.config, attempt, ErrorKind::Retry)
    }

    /// One conditional PUT; the SDK repeats it after lost replies and passing faults.
    async fn put(&self, key: &str, body: &Body, metadata: &BTreeMap<String, String>, crc: &str) -> Result<(), S3Error> {
        let timeouts = Builder::new().timeout_config(timeouts(&self.config, body.size()));
        let request = self
            .client
            .put_object()
            .bucket(&self.config.bucket)
            .key(key)
            .if_none_match("*")
            .content_length(i64::try_from(body.size()).expect("checked against PUT_BYTES_MAX"))
            .checksum_crc32_c(crc)
            .set_metadata(Some(metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect()))
            .body(body::stream(body).await?);
        request.customize().config_override(timeouts).send().await?;
        Ok(())
    }

    async fn try_create(
        &self,
        key: &str,
        body: &Body,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Created, S3Error> {
        let crc = body::checksum(body).await?;
        let mut pauses = Pauses::new(&self.config);
        loop {
            let Err(error) = self.put(key, body, metadata, &crc).await else { return Ok(Created::Yes) };
            if error.status() == 412 {
                return Ok(Created::Exists);
            }
            // 409 ConditionalRequestConflict: another writer of this key was at work, and may yet fail. The other
            // faults of 409 do not occur on a PUT of an object. The SDK does not repeat it.
            if error.status() != 409 || !pauses.pause().await {
                return Err(error);
            }
        }
    }

    async fn try_read(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, S3Error> {
        let range = format!("bytes={offset}-{}", offset.saturating_add(length - 1));
        let request = self.client.get_object().bucket(&self.config.bucket).key(key).range(range);
        let output = match request.send().await.map_err(S3Error::from) {
            Ok(output) => output,
            // The offset is at or after the end.
            Err(error) if error.status() == 416 => return Ok(Bytes::new()),
            Err(error) => return Err(error),
        };
        let found = output.content_length().and_then(|found| u64::try_from(found).ok()).unwrap_or(u64::MAX);
        let whole = output.content_range().is_none() && offset > 0;
        if found > length || whole {
            return Err(S3Error::RangeIgnored { offset, asked: length, found });
        }
        let content = output.body.collect().await.map_err(|error| S3Error::BrokenOff(Box::new(error)))?;
        Ok(content.into_bytes())
    }

    /// Tells whether a create under `key` is refused when an object is there.
    async fn probe_refuses(&self, key: &str) -> Result<(), PortError> {
        let body = || Body::Memory(Bytes::from_static(b"datapipe looks whether this store refuses to overwrite\n"));
        let metadata = BTreeMap::new();
        let mut racing = Vec::with_capacity(PROBE_WRITERS);
        for _ in 0..PROBE_WRITERS {
            let (store, key, body, metadata) = (self.clone(), key.to_owned(), body(), metadata.clone());
            racing.push(tokio::spawn(async move { store.create(&key, body, &metadata).await }));
        }
        let mut winners = 0;
        for writer in racing {
            match writer
                .await
                .map_err(|error| self.failed(S3Error::Request(Box::new(error)), &attempt("probing", key)))?
            {
                Ok(Created::Yes) => winners += 1,
                Ok(Created::Exists) => {}
                Err(error) => return Err(error),
            }
        }
        if self.create(key, body(), &metadata).await? == Created::Yes {
            return Err(
                self.overwrites(key, "it overwrote an existing object although asked not to (If-None-Match: *)")
            );
        }
        if winners > 1 {
            let what =
                format!("{winners} of {PROBE_WRITERS} writers racing for one key were all told that they created it");
            return Err(self.overwrites(key, &what));
        }
        Ok(())
    }

    fn overwrites(&self, key: &str, what: &str) -> PortError {
        let attempt = format!("probing {key} in bucket {} at {}: {what}", self.config.bucket, self.config.server());
        PortError::new(ErrorKind::Refused, attempt).hint(
            "use a store with atomic conditional writes (Amazon S3, MinIO from 2024-12 on): without them a restarted \
             writer can lose or double rows",
        )
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn probe(&self, prefix: &str) -> Result<(), PortError> {
        self.probe_refuses(&format!("{prefix}{PROBE_NAME}")).await
    }

    async fn create(&self, key: &str, body: Body, metadata: &BTreeMap<String, String>) -> Result<Created, PortError> {
        if body.size() > body::PUT_BYTES_MAX {
            let attempt = format!("creating {key} of {} bytes in bucket {}", body.size(), self.config.bucket);
            return Err(PortError::new(ErrorKind::Refused, attempt)
                .hint("one PUT takes at most 5 GiB: lower sink.bytes_max, so that objects are cut earlier"));
        }
        self.try_create(key, &body, metadata)
            .await
            .map_err(|error| error.into_port(&self.config, &attempt("creating", key), ErrorKind::Ambiguous))
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, PortError> {
        let request = self.client.head_object().bucket(&self.config.bucket).key(key);
        let output = match request.send().await.map_err(S3Error::from) {
            Ok(output) => output,
            // An answer to HEAD has no body, so a missing bucket looks the same; the probe at start tells it.
            Err(error) if error.status() == 404 => return Ok(None),
            Err(error) => return Err(self.failed(error, &attempt("looking at", key))),
        };
        let size = output.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        let metadata = output.metadata.unwrap_or_default();
        let metadata = metadata.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Ok(Some(Head { size, metadata }))
    }

    async fn list(&self, prefix: &str, folders: bool, from: Option<&str>) -> Result<Page, PortError> {
        let output = self
            .client
            .list_objects_v2()
            .bucket(&self.config.bucket)
            .prefix(prefix)
            .max_keys(self.config.limits.page_keys_max)
            .set_delimiter(folders.then(|| "/".to_owned()))
            .set_continuation_token(from.map(str::to_owned))
            .send()
            .await
            .map_err(|error| self.failed(error.into(), &attempt("listing", prefix)))?;
        let more = output.is_truncated().unwrap_or(false);
        let name = |object: Object| object.key;
        let folder = |common: CommonPrefix| common.prefix;
        Ok(Page {
            next: output.next_continuation_token.filter(|_| more),
            keys: output.contents.unwrap_or_default().into_iter().filter_map(name).collect(),
            folders: output.common_prefixes.unwrap_or_default().into_iter().filter_map(folder).collect(),
        })
    }

    async fn read(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, PortError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let mut pauses = Pauses::new(&self.config);
        loop {
            match self.try_read(key, offset, length).await {
                // The SDK repeats a request, but not an answer that broke off in the middle.
                Err(error @ S3Error::BrokenOff(_)) => {
                    if !pauses.pause().await {
                        return Err(self.failed(error, &attempt("reading", key)));
                    }
                }
                other => return other.map_err(|error| self.failed(error, &attempt("reading", key))),
            }
        }
    }
}

fn attempt(verb: &str, key: &str) -> String {
    format!("{verb} {key}")
}

/// Pauses between attempts that the SDK does not make: doubling, bounded in length and number.
struct Pauses {
    left: u32,
    next: Duration,
    longest: Duration,
}

impl Pauses {
    fn new(config: &S3Config) -> Self {
        let limits = &config.limits;
        Self {
            left: limits.attempts_max.saturating_sub(1),
            next: PAUSE_MIN.min(limits.pause_max),
            longest: limits.pause_max,
        }
    }

    /// Waits before the next attempt; false if there is none left.
    async fn pause(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.longest);
        true
    }
}
