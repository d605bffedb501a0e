//! Secrets: from a reference to the value, at the edge and as late as possible.

use std::path::{Path, PathBuf};

use datapipe_core::allow_list::AllowList;
use datapipe_core::{Secret, SecretRef};

use crate::profile::{self, ProfileError};

/// A reference that leads to no value. Neither the reference's value nor a file's content is ever part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or empty.
    #[error("environment variable {name} of {reference} is not set")]
    Unset {
        /// The reference.
        reference: SecretRef,
        /// The variable.
        name: String,
    },
    /// The variable is no UTF-8.
    #[error("environment variable {name} of {reference} holds bytes that are no text")]
    NoText {
        /// The reference.
        reference: SecretRef,
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("file {path} of {reference} cannot be read")]
    Unreadable {
        /// The reference.
        reference: SecretRef,
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file has no such line.
    #[error("file {path} of {reference} has no line {key}=..")]
    NoLine {
        /// The reference.
        reference: SecretRef,
        /// The file.
        path: String,
        /// The key.
        key: String,
    },
    /// A connector configuration must not hold it.
    #[error("{reference} in a connector configuration is neither allowed by {setting} nor part of the settings")]
    Forbidden {
        /// The reference.
        reference: SecretRef,
        /// The setting that would allow it.
        setting: &'static str,
    },
    /// The profile gives no such key.
    #[error("{0}")]
    Profile(ProfileError),
    /// The value is empty.
    #[error("{reference} leads to an empty value")]
    Empty {
        /// The reference.
        reference: SecretRef,
    },
}

impl SecretError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Forbidden { setting, .. } => {
                format!("start the worker with {setting} such that it allows this reference, or change the reference")
            }
            Self::Unset { name, .. } if name.starts_with("AWS_") => {
                format!("set {name} for this process, or name a profile of ~/.aws/credentials in s3.profile")
            }
            Self::Unset { name, .. } => format!("set {name} for this process, or change the reference"),
            Self::Unreadable { path, .. } => format!("let this process read {path}, or change the reference"),
            Self::NoLine { path, key, .. } => format!("add the line {key}=.. to {path}, or change the reference"),
            Self::Profile(error) => error.hint(),
            Self::NoText { .. } | Self::Empty { .. } => "give the value there, or change the reference".to_owned(),
        }
    }
}

/// Fetches a secret's value.
pub fn resolve(reference: &SecretRef) -> Result<Secret, SecretError> {
    let value = match reference {
        SecretRef::Env(name) => from_environment(reference, name)?,
        SecretRef::File { path, key } => from_properties(reference, path, key)?,
        SecretRef::Dir { path, file } => {
            let place = PathBuf::from(path).join(file);
            read(reference, &place)?.trim_end_matches(['\n', '\r']).to_owned()
        }
        SecretRef::Profile { profile, key } => profile::value(profile, key).map_err(SecretError::Profile)?,
    };
    if value.is_empty() {
        return Err(SecretError::Empty { reference: reference.clone() });
    }
    Ok(Secret::new(value))
}

/// Fetches a secret that may be absent: a profile of lasting keys has no session token.
pub fn resolve_optional(reference: &SecretRef) -> Result<Option<Secret>, SecretError> {
    match resolve(reference) {
        Err(SecretError::Profile(ProfileError::NoLine { .. })) => Ok(None),
        resolved => resolved.map(Some),
    }
}

/// Refuses a reference of a connector configuration that leads outside of the list.
pub fn allow(list: &AllowList, reference: &SecretRef) -> Result<(), SecretError> {
    match list.forbids(reference) {
        Some(setting) => Err(SecretError::Forbidden { reference: reference.clone(), setting }),
        None => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the process edge")]
fn from_environment(reference: &SecretRef, name: &str) -> Result<String, SecretError> {
    let (reference, name) = (reference.clone(), name.to_owned());
    match std::env::var(&name) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) | Err(std::env::VarError::NotPresent) => Err(SecretError::Unset { reference, name }),
        Err(std::env::VarError::NotUnicode(_)) => Err(SecretError::NoText { reference, name }),
    }
}

fn from_properties(reference: &SecretRef, path: &str, key: &str) -> Result<String, SecretError> {
    let content = read(reference, Path::new(path))?;
    let line = content.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key);
    let (_, value) = line.ok_or_else(|| SecretError::NoLine {
        reference: reference.clone(),
        path: path.to_owned(),
        key: key.to_owned(),
    })?;
    Ok(value.trim().to_owned())
}

fn read(reference: &SecretRef, path: &Path) -> Result<String, SecretError> {
    std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
        reference: reference.clone(),
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        std::fs::write(folder.path().join("s3.properties"), "# note\nid = a\nsecret=b=c\n").unwrap();
        std::fs::write(folder.path().join("password"), "hunter2\n").unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let value = |text: String| resolve(&text.parse().unwrap()).map(|secret| secret.expose().to_owned());
        assert_eq!(value(format!("${{file:{path}/s3.properties:secret}}")).unwrap(), "b=c");
        assert_eq!(value(format!("${{file:{path}/s3.properties:id}}")).unwrap(), "a");
        assert_eq!(value(format!("${{dir:{path}:password}}")).unwrap(), "hunter2");
        let refused = |text: String| value(text).unwrap_err();
        assert!(matches!(refused(format!("${{file:{path}/s3.properties:x}}")), SecretError::NoLine { .. }));
        assert!(matches!(refused(format!("${{dir:{path}:nothing}}")), SecretError::Unreadable { .. }));
        assert!(matches!(refused(format!("${{dir:{path}:empty}}")), SecretError::Empty { .. }));
    }

    #[test]
    fn an_unset_variable_is_named() {
        let error = resolve(&SecretRef::Env("DATAPIPE_TEST_NEVER_SET".to_owned())).unwrap_err().to_string();
        assert!(
            error.starts_with("environment variable DATAPIPE_TEST_NEVER_SET of ${env:DATAPIPE_TEST_NEVER_SET}"),
            "{error}"
        );
        assert!(resolve(&SecretRef::Env("PATH".to_owned())).is_ok());
    }

    #[test]
    fn what_the_list_does_not_hold_is_refused_with_the_setting_that_would_allow_it() {
        let error = allow(&AllowList::default(), &"${env:HOME}".parse().unwrap()).unwrap_err();
        let words = format!("{error}; {}", error.hint());
        for part in ["${env:HOME}", "run.config_providers.env.allowlist_pattern", "in a connector configuration"] {
            assert!(words.contains(part), "{words}");
        }
    }
}
