//! Clients of the local servers.

use std::path::PathBuf;

use datapipe_core::secret::Secret;
use datapipe_embedded::Stack;
use datapipe_kafka::KafkaConfig;
use datapipe_postgres::PgConfig;
use datapipe_s3::{Credentials, S3Config, S3Store};

use crate::Result;

/// PostgreSQL, as its owner.
pub fn postgres(stack: &Stack) -> Result<PgConfig> {
    Ok(PgConfig::from_url(&Secret::new(stack.postgres().url()))?)
}

/// Kafka.
pub fn kafka(stack: &Stack) -> Result<KafkaConfig> {
    Ok(KafkaConfig::plaintext(stack.kafka().bootstrap())?)
}

/// A bucket.
pub fn store(stack: &Stack, bucket: &str) -> S3Store {
    let s3 = stack.s3();
    let credentials = Credentials::new(Secret::new(s3.access_key()), Secret::new(s3.secret_key()));
    S3Store::new(S3Config::at(s3.endpoint(), s3.region(), bucket, credentials))
}

/// The Python that `scripts/python-tools.sh` makes.
///
/// # Panics
/// If it is missing.
pub fn python() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).expect("HOME is set");
    let python = home.join(".cache/datapipe/venv/bin/python");
    assert!(python.exists(), "{} is missing; make it with: scripts/python-tools.sh", python.display());
    python
}
