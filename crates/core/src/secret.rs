//! Secrets: references that may be printed, and values that cannot be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value of a secret. It has no `Display` and no `Serialize`, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value, so that it cannot be printed by accident.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a secret's value is to be found; safe to print, written as Kafka Connect writes its config providers'
/// references.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// `${env:NAME}`: an environment variable of the process.
    Env(String),
    /// `${file:PATH:KEY}`: a line `KEY=value` of a properties file.
    File {
        /// The file's absolute path.
        path: String,
        /// The key of the line.
        key: String,
    },
    /// `${dir:PATH:FILE}`: the whole content of a file in a folder, as Kubernetes mounts a Secret.
    Dir {
        /// The folder's absolute path.
        path: String,
        /// The name of the file in it.
        file: String,
    },
    /// `${profile:NAME:KEY}`: a line `KEY=value` of a profile in AWS's shared files. Kafka Connect has no such
    /// provider: only the native connectors read it.
    Profile {
        /// The profile's name.
        profile: String,
        /// The key of the line, as `aws_access_key_id`.
        key: String,
    },
}

/// A text that is no reference to a secret. The text itself is not shown, because it may be the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret must be given by reference, as ${{env:NAME}}, ${{file:/path:key}}, ${{dir:/path:file}} or \
     ${{profile:NAME:key}}; the text given is none of these (it is not shown here, as it may be the secret itself)"
)]
pub struct SecretRefError;

/// Whether AWS's files can have a profile of this name: no white space, no brackets, no comment signs.
pub(crate) fn is_profile_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"[]{}#;".contains(c))
}

impl FromStr for SecretRef {
    type Err = SecretRefError;

    fn from_str(text: &str) -> Result<Self, SecretRefError> {
        let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).ok_or(SecretRefError)?;
        let (provider, rest) = inner.split_once(':').ok_or(SecretRefError)?;
        if provider == "env" {
            let named = !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            return if named { Ok(Self::Env(rest.to_owned())) } else { Err(SecretRefError) };
        }
        let (path, name) = rest.rsplit_once(':').ok_or(SecretRefError)?;
        if provider == "profile" && is_profile_name(path) && !name.is_empty() {
            return Ok(Self::Profile { profile: path.to_owned(), key: name.to_owned() });
        }
        if !path.starts_with('/') || name.is_empty() {
            return Err(SecretRefError);
        }
        let (path, name) = (path.to_owned(), name.to_owned());
        match provider {
            "file" => Ok(Self::File { path, key: name }),
            "dir" => Ok(Self::Dir { path, file: name }),
            _ => Err(SecretRefError),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File { path, key } => write!(f, "${{file:{path}:{key}}}"),
            Self::Dir { path, file } => write!(f, "${{dir:{path}:{file}}}"),
            Self::Profile { profile, key } => write!(f, "${{profile:{profile}:{key}}}"),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_round_trip() {
        let texts = [
            "${env:PGPASSWORD}",
            "${file:/run/s3.properties:secret}",
            "${dir:/etc/cdc:password}",
            "${profile:lake:aws_access_key_id}",
        ];
        for text in texts {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_value_in_place_of_a_reference_is_refused_and_not_repeated() {
        let texts =
            ["hunter2", "${env:}", "${env:A B}", "${file:relative:key}", "${vault:/a:b}", "${file:/a}", "env:A"];
        for text in
            texts.into_iter().chain(["${profile:lake}", "${profile::key}", "${profile:a b:key}", "${profile:a:}"])
        {
            let error = text.parse::<SecretRef>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_value_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }
}
