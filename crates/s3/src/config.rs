//! What an S3 store needs to be told.

use std::time::Duration;

use datapipe_core::Secret;

/// Where the bucket is, who we are there, and how long we wait.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// The server's URL, as `http://127.0.0.1:9000`; none for Amazon's own.
    pub endpoint: Option<String>,
    /// The region's name; stores other than Amazon's take any, most call it `us-east-1`.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Who we are.
    pub credentials: Credentials,
    /// True to write the bucket into the path instead of the host's name; most stores other than Amazon's want it.
    pub path_style: bool,
    /// How long and how often.
    pub limits: Limits,
}

/// An access key. All of it is secret.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key's id.
    pub access_key_id: Secret,
    /// The access key's secret.
    pub secret_access_key: Secret,
    /// The token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// Bounds of waiting and of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest wait for a connection.
    pub connect: Duration,
    /// The longest wait for one attempt of a small request.
    pub attempt: Duration,
    /// The slowest upload that is waited for, in bytes per second: an attempt to send an object may take
    /// [`Limits::attempt`] and its size divided by this.
    pub upload_bytes_per_second_min: u64,
    /// How often a request is sent before it is given up, at least 1.
    pub attempts_max: u32,
    /// The longest pause between two attempts; pauses start at a tenth of a second and double, with jitter.
    pub pause_max: Duration,
    /// Keys in one page of a listing, 1 to 1000.
    pub page_keys_max: i32,
}

impl Credentials {
    /// Long-lived credentials.
    pub const fn new(access_key_id: Secret, secret_access_key: Secret) -> Self {
        Self { access_key_id, secret_access_key, session_token: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(30),
            upload_bytes_per_second_min: 256 * 1024,
            attempts_max: 6,
            pause_max: Duration::from_secs(5),
            page_keys_max: 1000,
        }
    }
}

impl S3Config {
    /// A bucket of Amazon's with the default limits.
    pub fn new(region: impl Into<String>, bucket: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            endpoint: None,
            region: region.into(),
            bucket: bucket.into(),
            credentials,
            path_style: false,
            limits: Limits::default(),
        }
    }

    /// A bucket of another store, its name in the path, with the default limits.
    pub fn at(
        endpoint: impl Into<String>,
        region: impl Into<String>,
        bucket: impl Into<String>,
        credentials: Credentials,
    ) -> Self {
        Self { endpoint: Some(endpoint.into()), path_style: true, ..Self::new(region, bucket, credentials) }
    }

    /// The server, for messages.
    pub(crate) fn server(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| format!("Amazon S3 in {}", self.region))
    }
}
