//! Configurations as they may be shown.

use std::fmt;

use super::is_secret_key;
use crate::port::connect::ConfigMap;

/// What is shown in the place of a secret given in clear.
pub const MASK: &str = "****";

/// A configuration for a log line or an assertion: secrets given in clear are masked, references are shown.
pub struct Shown<'a>(pub &'a ConfigMap);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, value)| (key, shown(key, value)))).finish()
    }
}

/// A configuration with its secrets masked.
pub fn masked(config: &ConfigMap) -> ConfigMap {
    config.iter().map(|(key, value)| (key.clone(), shown(key, value).to_owned())).collect()
}

/// A value as it may be shown under its key.
pub fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    let reference = value.starts_with("${") && value.ends_with('}');
    if is_secret_key(key) && !reference { MASK } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_clear_are_masked_and_references_shown() {
        let pairs = [
            ("database.password", "hunter2"),
            ("aws.secret.access.key", "${env:SECRET}"),
            ("aws.access.key.id", "${hunter2"),
            ("name", "a"),
        ];
        let config: ConfigMap = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let text = format!("{:?}", Shown(&config));
        assert!(
            !text.contains("hunter2") && text.contains("${env:SECRET}") && text.contains(r#""name": "a""#),
            "{text}"
        );
        assert_eq!(masked(&config)["database.password"], MASK);
    }
}
