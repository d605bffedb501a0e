//! Where the cluster is, and how to speak to it.

use std::collections::BTreeMap;
use std::fmt;

use datapipe_core::Secret;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

/// The least librdkafka accepts for `receive.message.max.bytes` beside `fetch.max.bytes`.
const RESPONSE_OVERHEAD_BYTES: u32 = 512;

/// The cluster's address and the client properties of whoever runs the pipeline (security, mostly).
///
/// Properties that decide about correctness or memory are the adapter's own, and refused here.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    bootstrap: String,
    properties: BTreeMap<String, String>,
    secrets: BTreeMap<String, Secret>,
}

/// A client property that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// No bootstrap server was given.
    #[error("no bootstrap servers are given")]
    NoBootstrap,
    /// librdkafka does not know the key, or not this value.
    #[error("client property `{key}` is refused: {reason}")]
    Refused {
        /// The key.
        key: String,
        /// librdkafka's words, without the value.
        reason: String,
    },
    /// librdkafka was built without OpenSSL.
    #[error("client property `{0}` is about TLS, and this program was built without TLS to Kafka")]
    NoTls(String),
    /// The adapter sets this one itself.
    #[error("client property `{0}` is set by datapipe itself, because correctness or bounded memory rests on it")]
    Reserved(String),
    /// Given as plain text and as a secret.
    #[error("client property `{0}` is given twice, as a text and as a secret")]
    Twice(String),
}

impl ConfigError {
    /// What to do next.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoBootstrap => "write them as host:port, separated by commas",
            Self::Refused { .. } => "change or remove it; the keys are those of librdkafka's CONFIGURATION.md",
            Self::NoTls(_) => {
                "use a listener of the broker without TLS, or build with TLS as docs/settings.md says under TLS"
            }
            Self::Reserved(_) => "take it out",
            Self::Twice(_) => "keep one of them",
        }
    }
}

/// Prefixes and names of the properties that the adapter sets: transactions, groups, memory, callbacks.
const RESERVED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "batch.",
    "bootstrap.servers",
    "client.id",
    "compression.",
    "delivery.",
    "enable.",
    "fetch.",
    "group.",
    "isolation.level",
    "linger.ms",
    "log_level",
    "max.in.flight",
    "message.",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "plugin.",
    "queue",
    "receive.message.max.bytes",
    "request.required.acks",
    "session.timeout.ms",
    "statistics.",
    "sticky.",
    "transaction",
];

/// `enable.` keys that are about security, not about delivery.
const FREE: &[&str] = &["enable.ssl.certificate.verification", "enable.sasl.oauthbearer.unsecure.jwt"];

impl KafkaConfig {
    /// Checks every property, without connecting.
    pub fn new(
        bootstrap: impl Into<String>,
        properties: BTreeMap<String, String>,
        secrets: BTreeMap<String, Secret>,
    ) -> Result<Self, ConfigError> {
        let bootstrap = bootstrap.into();
        if bootstrap.trim().is_empty() {
            return Err(ConfigError::NoBootstrap);
        }
        let texts = properties.iter().map(|(key, value)| (key, value.as_str()));
        for (key, value) in texts.chain(secrets.iter().map(|(key, value)| (key, value.expose()))) {
            check(key, value)?;
        }
        if let Some(key) = properties.keys().find(|key| secrets.contains_key(*key)) {
            return Err(ConfigError::Twice(key.clone()));
        }
        Ok(Self { bootstrap, properties, secrets })
    }

    /// A cluster without any security, by its address alone.
    pub fn plaintext(bootstrap: impl Into<String>) -> Result<Self, ConfigError> {
        Self::new(bootstrap, BTreeMap::new(), BTreeMap::new())
    }

    /// The bootstrap servers.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// What every client has in common.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        for (key, value) in &self.secrets {
            client.set(key, value.expose());
        }
        client
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "datapipe")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            // A broker that restarts is back within seconds: look for it more often than each ten seconds.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set_log_level(RDKafkaLogLevel::Warning);
        client
    }

    /// A consumer's settings. Of fetched records it holds about `prefetch_bytes`, and one response on top, which is
    /// several times as large in memory as on the wire.
    pub(crate) fn consumer(&self, prefetch_bytes: u32) -> ClientConfig {
        let mut client = self.client();
        client
            .set("allow.auto.create.topics", "false")
            .set("auto.offset.reset", "error")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", "500")
            .set("fetch.error.backoff.ms", "100")
            // Fetching goes on soon after a full prefetch queue has been drained.
            .set("fetch.queue.backoff.ms", "5")
            // A broker sends a first batch whole even if it is larger than these two.
            .set("fetch.max.bytes", RESPONSE_BYTES.to_string())
            .set("fetch.message.max.bytes", PARTITION_BYTES.to_string())
            .set("receive.message.max.bytes", (MESSAGE_BYTES_MAX * 2 + RESPONSE_OVERHEAD_BYTES).to_string())
            // Of a consumer it is only the first guess of a batch's size in memory, and the least `fetch.max.bytes`.
            .set("message.max.bytes", RESPONSE_BYTES.to_string())
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", (prefetch_bytes / 1024).max(64).to_string());
        client
    }
}

/// What a broker may send at once of all partitions together, as it is on the wire, in bytes.
const RESPONSE_BYTES: u32 = 1024 * 1024;
/// The same of one partition: two or three batches of our own.
const PARTITION_BYTES: u32 = 256 * 1024;

/// The largest record that can be written or read, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// librdkafka's words for a property that it was not built for.
const NO_OPENSSL: &str = "OpenSSL not available at build time";

fn check(key: &str, value: &str) -> Result<(), ConfigError> {
    if !FREE.contains(&key) && RESERVED.iter().any(|reserved| is_reserved(key, reserved)) {
        return Err(ConfigError::Reserved(key.to_owned()));
    }
    let mut probe = ClientConfig::new();
    probe.set(key, value);
    match probe.create_native_config() {
        Ok(_) => Ok(()),
        Err(rdkafka::error::KafkaError::ClientConfig(_, text, key, _)) => {
            if text.contains(NO_OPENSSL) {
                return Err(ConfigError::NoTls(key));
            }
            // The text of a refused value repeats the value, which may be a secret; that of an unknown key does not.
            let known = !text.contains("No such configuration property");
            let reason = if known { "its value is not allowed".to_owned() } else { "no such property".to_owned() };
            Err(ConfigError::Refused { key, reason })
        }
        Err(_) => Err(ConfigError::Refused {
            key: key.to_owned(),
            reason: "the key or the value holds a zero byte".to_owned(),
        }),
    }
}

/// A name that ends in a dot or letters stands for all keys that begin so; `queue` covers `queued.` as well.
fn is_reserved(key: &str, reserved: &str) -> bool {
    key == reserved
        || (key.starts_with(reserved)
            && (reserved.ends_with('.')
                || matches!(reserved, "queue" | "transaction" | "max.in.flight" | "partitioner")))
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bootstrap, properties, secrets } = self;
        f.debug_struct("KafkaConfig")
            .field("bootstrap", bootstrap)
            .field("properties", properties)
            .field("secrets", secrets)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> Result<KafkaConfig, ConfigError> {
        KafkaConfig::new("localhost:9092", BTreeMap::from([(key.to_owned(), value.to_owned())]), BTreeMap::new())
    }

    #[test]
    fn security_properties_pass() {
        for (key, value) in [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "cdc"),
            ("socket.timeout.ms", "30000"),
        ] {
            with(key, value).unwrap();
        }
    }

    #[test]
    fn what_correctness_rests_on_is_refused() {
        for key in [
            "transactional.id",
            "enable.idempotence",
            "isolation.level",
            "group.id",
            "queued.max.messages.kbytes",
            "queue.buffering.max.kbytes",
            "batch.size",
        ] {
            assert_eq!(with(key, "1").unwrap_err(), ConfigError::Reserved(key.to_owned()));
        }
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused_without_the_value() {
        assert!(with("sasl.user", "x").unwrap_err().to_string().contains("no such property"));
        let error = with("security.protocol", "hunter2").unwrap_err().to_string();
        assert!(error.contains("security.protocol") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn tls_is_refused_with_what_to_do() {
        let properties = [
            ("security.protocol", "SSL"),
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.key.password", "hunter2"),
            ("enable.ssl.certificate.verification", "false"),
        ];
        for (key, value) in properties {
            let error = with(key, value).unwrap_err();
            assert_eq!(error, ConfigError::NoTls(key.to_owned()));
            assert!(error.hint().contains("docs/settings.md"));
        }
    }

    #[test]
    fn secrets_are_checked_and_not_shown() {
        let secrets = BTreeMap::from([("sasl.password".to_owned(), Secret::new("hunter2"))]);
        let config = KafkaConfig::new("localhost:9092", BTreeMap::new(), secrets.clone()).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let twice = BTreeMap::from([("sasl.password".to_owned(), "x".to_owned())]);
        assert_eq!(
            KafkaConfig::new("localhost:9092", twice, secrets).unwrap_err(),
            ConfigError::Twice("sasl.password".to_owned())
        );
        assert_eq!(KafkaConfig::plaintext(" ").unwrap_err(), ConfigError::NoBootstrap);
    }
}
