//! Random credentials for servers that live for minutes on loopback.

use rand::distr::{Alphanumeric, SampleString};

/// A random string of letters and digits, safe in URLs and configuration files.
pub(crate) fn random(len: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), len)
}
