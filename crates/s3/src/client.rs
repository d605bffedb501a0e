//! The SDK's client, made from our configuration.

use std::time::Duration;

use aws_credential_types::Credentials as SdkCredentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::config::S3Config;

/// The pause before the second attempt.
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Makes a client. No connection is opened yet.
pub(crate) fn client(config: &S3Config) -> Client {
    let credentials = &config.credentials;
    let plain = config.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    // Without TLS the system's certificates are never loaded, which is memory and start-up time.
    let http = if plain {
        HttpBuilder::new().build_http()
    } else {
        HttpBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
    };
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .region(Region::new(config.region.clone()))
        .credentials_provider(SdkCredentials::new(
            credentials.access_key_id.expose(),
            credentials.secret_access_key.expose(),
            credentials.session_token.as_ref().map(|token| token.expose().to_owned()),
            None,
            "datapipe settings",
        ))
        .force_path_style(config.path_style)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(config.limits.attempts_max.max(1))
                .with_initial_backoff(PAUSE_MIN)
                .with_max_backoff(config.limits.pause_max),
        )
        .timeout_config(timeouts(config, 0))
        // Trailing checksums are unknown to many stores; uploads carry their own header instead (see `body`).
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    builder.set_endpoint_url(config.endpoint.clone());
    Client::from_conf(builder.build())
}

/// The timeouts of an attempt that sends `size` bytes.
pub(crate) fn timeouts(config: &S3Config, size: u64) -> TimeoutConfig {
    let limits = &config.limits;
    let sending = Duration::from_secs(size / limits.upload_bytes_per_second_min.max(1));
    TimeoutConfig::builder().connect_timeout(limits.connect).operation_attempt_timeout(limits.attempt + sending).build()
}
