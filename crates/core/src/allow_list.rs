//! Which references a connector configuration may hold. Whoever may write configurations, by REST or into the internal
//! topic, must not be able to read the process' environment and files by them.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use regex_lite::Regex;
use serde::Serialize;

use crate::plan::Problem;
use crate::secret::SecretRef;
use crate::settings::ConfigProviderSettings;

const ENV: &str = "run.config_providers.env.allowlist_pattern";
const FILE: &str = "run.config_providers.file.allowed_paths";
const DIR: &str = "run.config_providers.dir.allowed_paths";

/// What references in connector configurations may lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AllowList {
    /// Names of environment variables: a regular expression for the whole name. None but those in `named` without it.
    pub env_pattern: Option<String>,
    /// Files, or folders with all that is below them, for `${file:..}`.
    pub file_paths: Vec<PathBuf>,
    /// Folders with all that is below them, for `${dir:..}`.
    pub dir_paths: Vec<PathBuf>,
    /// The references that the settings hold: whoever wrote them may read what they lead to.
    pub named: BTreeSet<SecretRef>,
}

impl AllowList {
    /// Reads the settings.
    pub(crate) fn of(
        settings: &ConfigProviderSettings,
        named: BTreeSet<SecretRef>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let env_pattern = settings.env.allowlist_pattern.clone();
        if let Some(Err(error)) = env_pattern.as_deref().map(whole) {
            let what = format!("is no regular expression: {error}");
            problems.push(Problem::new(ENV, what, "write one for whole names, as in \"PG.*|AWS_.*\""));
        }
        for (key, paths) in [(FILE, &settings.file.allowed_paths), (DIR, &settings.dir.allowed_paths)] {
            for path in paths.iter().filter(|path| !path.is_absolute()) {
                let what = format!("{} is no absolute path", path.display());
                problems.push(Problem::new(key, what, "write it from the root on, as in \"/run/secrets\""));
            }
        }
        let (file_paths, dir_paths) = (settings.file.allowed_paths.clone(), settings.dir.allowed_paths.clone());
        Self { env_pattern, file_paths, dir_paths, named }
    }

    /// The setting that keeps a reference from being resolved; none if it may be.
    pub fn forbids(&self, reference: &SecretRef) -> Option<&'static str> {
        let (allowed, setting) = match reference {
            SecretRef::Env(name) => {
                let pattern = self.env_pattern.as_deref().and_then(|pattern| whole(pattern).ok());
                (pattern.is_some_and(|pattern| pattern.is_match(name)), ENV)
            }
            SecretRef::File { path, .. } => (below(&self.file_paths, Path::new(path)), FILE),
            SecretRef::Dir { path, file } => (below(&self.dir_paths, &Path::new(path).join(file)), DIR),
            SecretRef::Profile { profile, .. } => {
                let named =
                    |known: &SecretRef| matches!(known, SecretRef::Profile { profile: name, .. } if name == profile);
                (self.named.iter().any(named), "s3.profile")
            }
        };
        (!allowed && !self.named.contains(reference)).then_some(setting)
    }
}

/// The whole name must match, as with Kafka's provider.
fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

/// Whether a path lies below one of these, by its text: what `..` leads to is followed, links are not, as with Kafka's
/// providers.
fn below(allowed: &[PathBuf], path: &Path) -> bool {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    allowed.iter().any(|allowed| plain.starts_with(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pattern: Option<&str>, paths: &[&str], named: &[&str]) -> AllowList {
        let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
        let named = named.iter().map(|text| text.parse().unwrap()).collect();
        AllowList { env_pattern: pattern.map(str::to_owned), file_paths: paths.clone(), dir_paths: paths, named }
    }

    fn forbids(list: &AllowList, text: &str) -> Option<&'static str> {
        list.forbids(&text.parse().unwrap())
    }

    #[test]
    fn without_a_list_only_what_the_settings_name_is_allowed() {
        let list = list(None, &[], &["${env:PGPASSWORD}", "${file:/a/b:c}", "${profile:lake:aws_access_key_id}"]);
        for text in ["${env:PGPASSWORD}", "${file:/a/b:c}", "${profile:lake:aws_secret_access_key}"] {
            assert_eq!(forbids(&list, text), None, "{text}");
        }
        for (text, setting) in [
            ("${env:HOME}", ENV),
            ("${file:/a/b:d}", FILE),
            ("${dir:/a:b}", DIR),
            ("${profile:other:aws_access_key_id}", "s3.profile"),
        ] {
            assert_eq!(forbids(&list, text), Some(setting), "{text}");
        }
    }

    #[test]
    fn names_match_whole_and_paths_by_what_they_lead_to() {
        let list = list(Some("PG.*|AWS_KEY"), &["/run/secrets", "/etc/one.properties"], &[]);
        for text in ["${env:PGPASSWORD}", "${env:AWS_KEY}", "${file:/run/secrets/a/b:c}", "${dir:/run/secrets:b}"] {
            assert_eq!(forbids(&list, text), None, "{text}");
        }
        for text in ["${file:/etc/one.properties:k}", "${file:/run/./secrets/x/../b:c}"] {
            assert_eq!(forbids(&list, text), None, "{text}");
        }
        for text in ["${env:XPG}", "${env:AWS_KEYS}", "${file:/run/secrets/../shadow:a}", "${file:/run/secretsx:a}"] {
            assert!(forbids(&list, text).is_some(), "{text}");
        }
        for text in ["${dir:/run/secrets:../shadow}", "${dir:/run/secrets:/etc/shadow}", "${dir:/etc:shadow}"] {
            assert!(forbids(&list, text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_told() {
        let mut settings = ConfigProviderSettings::default();
        settings.env.allowlist_pattern = Some("(".to_owned());
        settings.file.allowed_paths = vec!["secrets".into()];
        let mut problems = Vec::new();
        AllowList::of(&settings, BTreeSet::new(), &mut problems);
        assert_eq!(problems.iter().map(|problem| problem.object.as_str()).collect::<Vec<_>>(), [ENV, FILE]);
    }
}
