use super::is_secret_key;

/// A key of a connector configuration that cannot be served as written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}; {fix}")]
pub struct ConfigProblem {
    /// The key.
    pub key: String,
    /// Why it cannot be served.
    pub why: String,
    /// What to write instead.
    pub fix: String,
}

impl ConfigProblem {
    pub(super) fn new(key: &str, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { key: key.to_owned(), why: why.into(), fix: fix.into() }
    }

    /// A value as it may be shown: quoted, and not at all if the key names a secret.
    pub(super) fn shown(key: &str, value: &str) -> String {
        if is_secret_key(key) { "the value given".to_owned() } else { format!("{value:?}") }
    }
}
