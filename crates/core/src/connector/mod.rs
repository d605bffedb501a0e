//! Connector configurations, both ways: the maps that Kafka Connect takes, and typed values for the native worker.
//!
//! Every documented key of both connectors is declared once, in [`keys`], with what the native worker makes of it. A map
//! is read strictly: a key that would change what the rows are, and that the native worker does not serve, is
//! a [`ConfigProblem`], as is a missing key whose default it does not serve. Keys that only tune a JVM are listed as
//! ignored. So whatever is accepted means the same under every kind of worker.

mod cluster;
mod jvm;
pub mod keys;
mod nearest;
mod offsets;
mod problem;
mod reader;
mod shown;
mod signals;
mod sink;
mod sink_output;
mod source;
mod tables;

pub use cluster::{Registered, Registry};
pub use jvm::{JVM_PART_BYTES, JvmFlavour, for_jvm};
pub use keys::{DEBEZIUM_VERSION, Plugin};
pub use offsets::{sink_offset, source_offset_problem};
pub use problem::ConfigProblem;
pub use shown::{MASK, Shown, masked, shown};
pub use signals::SignalConfig;
pub use sink::SinkConfig;
pub use source::SourceConfig;

use std::fmt;

use nearest::nearest;

use crate::secret::{Secret, SecretRef};

/// A secret in a connector configuration: by reference, as the plan writes it, or in clear, as a person may send it
/// by REST. Printing shows references only.
#[derive(Clone, PartialEq, Eq)]
pub enum ConfigSecret {
    /// Where the value is to be found.
    Reference(SecretRef),
    /// The value itself.
    Plain(Secret),
}

impl ConfigSecret {
    /// Reads a configuration's text: what is no reference is the value itself.
    pub fn from_text(text: &str) -> Self {
        match text.parse() {
            Ok(reference) => Self::Reference(reference),
            Err(_) => Self::Plain(Secret::new(text)),
        }
    }

    /// The configuration's text, in clear if the secret is.
    pub fn to_text(&self) -> String {
        match self {
            Self::Reference(reference) => reference.to_string(),
            Self::Plain(secret) => secret.expose().to_owned(),
        }
    }
}

impl fmt::Debug for ConfigSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => write!(f, "{reference}"),
            Self::Plain(secret) => secret.fmt(f),
        }
    }
}

/// True for keys whose values must not be shown: by Kafka Connect's own names, and by the words in them.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "secret", "access.key", "access_key", "token", "jaas", "credential", "key.pem"]
        .iter()
        .any(|word| key.contains(word))
}
