//! Profiles in AWS's shared files, `~/.aws/credentials` and `~/.aws/config`, as its command line reads them.
//!
//! Keys that stand there are read, those of temporary credentials with their token. A profile that says how to get
//! keys (single sign-on, a role, a program) is refused: it would need AWS's sign-in services.

mod lines;

use std::path::{Path, PathBuf};

use self::lines::{Found, Kind};

/// Why a profile gives no key. File names and the names of profiles are shown, values never.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file is there, and cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No file has such a profile.
    #[error("there is no profile {profile} in {places}; {}", known(.names))]
    Unknown {
        /// The profile.
        profile: String,
        /// The files.
        places: String,
        /// The profiles there.
        names: Vec<String>,
    },
    /// The profile names a way to get keys.
    #[error("profile {profile} gets its keys by {way} ({key}), which datapipe does not do")]
    Indirect {
        /// The profile.
        profile: String,
        /// By what.
        way: &'static str,
        /// The line that says so.
        key: &'static str,
    },
    /// The profile has no such line.
    #[error("profile {profile} has no line {key} = .. in {places}")]
    NoLine {
        /// The profile.
        profile: String,
        /// The key.
        key: String,
        /// The files.
        places: String,
    },
}

impl ProfileError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => format!("let this process read {}", path.display()),
            Self::Unknown { profile, .. } => format!(
                "make it with `aws configure --profile {profile}`, name another one in s3.profile, or say where the \
                 files are in AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE"
            ),
            Self::Indirect { profile, .. } => format!(
                "write what `aws configure export-credentials --profile {profile}` prints into a profile of its own \
                 (aws_access_key_id, aws_secret_access_key, aws_session_token), name that in s3.profile, and renew it \
                 there before it expires: it is read whenever a task starts"
            ),
            Self::NoLine { profile, .. } => format!("complete it with `aws configure --profile {profile}`"),
        }
    }
}

fn known(names: &[String]) -> String {
    if names.is_empty() { "no profile is there".to_owned() } else { format!("known are {}", names.join(", ")) }
}

/// Lines that say how to get keys; AWS's own programs follow them even where keys stand beside them.
const WAYS: [(&str, &str); 4] = [
    ("role_arn", "taking on a role"),
    ("web_identity_token_file", "a web identity"),
    ("sso_session", "single sign-on"),
    ("sso_start_url", "single sign-on"),
];
/// The one that is followed only where no keys stand.
const PROGRAM: (&str, &str) = ("credential_process", "a program");
const KEY_ID: &str = "aws_access_key_id";

/// A key of a profile.
pub(crate) fn value(profile: &str, key: &str) -> Result<String, ProfileError> {
    value_in(&files(), profile, key)
}

/// The files, the later one above the earlier one where both have a key.
#[derive(Clone, Debug)]
struct Files {
    config: PathBuf,
    credentials: PathBuf,
}

#[expect(clippy::disallowed_methods, reason = "the process edge")]
fn files() -> Files {
    let home = std::env::home_dir().unwrap_or_default();
    let place = |variable: &str, name: &str| match std::env::var(variable) {
        Ok(path) if !path.is_empty() => match path.strip_prefix("~/") {
            Some(rest) => home.join(rest),
            None => PathBuf::from(path),
        },
        _ => home.join(".aws").join(name),
    };
    Files {
        config: place("AWS_CONFIG_FILE", "config"),
        credentials: place("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    }
}

fn value_in(files: &Files, profile: &str, key: &str) -> Result<String, ProfileError> {
    let mut found = Found::default();
    found.read(&content(&files.config)?, Kind::Config, profile);
    found.read(&content(&files.credentials)?, Kind::Credentials, profile);
    let places = || format!("{} and {}", files.credentials.display(), files.config.display());
    let profile = profile.to_owned();
    if !found.names.contains(&profile) {
        return Err(ProfileError::Unknown { profile, places: places(), names: found.names.into_iter().collect() });
    }
    let has = |key: &str| found.lines.contains_key(key);
    let way = WAYS.into_iter().find(|(key, _)| has(key)).or((has(PROGRAM.0) && !has(KEY_ID)).then_some(PROGRAM));
    if let Some((key, way)) = way {
        return Err(ProfileError::Indirect { profile, way, key });
    }
    match found.lines.get(key) {
        Some(value) => Ok(value.expose().to_owned()),
        None => Err(ProfileError::NoLine { profile, key: key.to_owned(), places: places() }),
    }
}

/// A file's text; a file that is not there is an empty one.
fn content(path: &Path) -> Result<String, ProfileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ProfileError::Unreadable { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "\
# lasting keys
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key=ab/c+d=e#f ; a comment

[ temporary ]
AWS_Access_Key_Id = ASIATEMPORARY
aws_secret_access_key = secret
aws_session_token = to/ken==
[half]
aws_access_key_id = AKIAHALF
[profile ignored]
aws_access_key_id = x
[default]
region = eu-west-1
";

    const CONFIG: &str = "\
[default]
aws_access_key_id = of the config file
region = us-east-2
[profile lake]
s3 =
  aws_access_key_id = part of s3
  max_concurrent_requests = 20
aws_access_key_id = AKIALAKE
\taws_secret_access_key = a continuation
[profile indented]
  aws_access_key_id = AKIAINDENTED
  aws_secret_access_key = s
[no-prefix]
aws_access_key_id = x
[profile role]
role_arn = arn:aws:iam::1:role/x
source_profile = default
aws_access_key_id = AKIAROLE
[profile web]
web_identity_token_file = /token
[profile sso]
sso_session = corp
[sso-session corp]
sso_start_url = x
[profile old-sso]
sso_start_url = x
[profile program]
credential_process = /bin/x
[profile both]
credential_process = /bin/x
aws_access_key_id = AKIABOTH
";

    fn folder() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { config: folder.path().join("config"), credentials: folder.path().join("credentials") };
        std::fs::write(&files.config, CONFIG).unwrap();
        std::fs::write(&files.credentials, CREDENTIALS).unwrap();
        (folder, files)
    }

    #[test]
    fn keys_are_read_from_both_files() {
        let (_folder, files) = folder();
        let cases = [
            ("default", KEY_ID, "AKIADEFAULT"),
            ("default", "aws_secret_access_key", "ab/c+d=e#f"),
            ("default", "region", "eu-west-1"),
            ("temporary", KEY_ID, "ASIATEMPORARY"),
            ("temporary", "aws_session_token", "to/ken=="),
            ("lake", KEY_ID, "AKIALAKE"),
            ("indented", "aws_secret_access_key", "s"),
            ("both", KEY_ID, "AKIABOTH"),
        ];
        for (profile, key, expected) in cases {
            assert_eq!(value_in(&files, profile, key).unwrap(), expected, "{profile} {key}");
        }
    }

    #[test]
    fn what_gives_no_key_is_told_with_what_to_do() {
        let (_folder, files) = folder();
        let refused = |profile: &str| value_in(&files, profile, "aws_secret_access_key").unwrap_err();
        for profile in ["ignored", "no-prefix", "corp", "nobody"] {
            let error = refused(profile);
            assert!(matches!(&error, ProfileError::Unknown { names, .. } if names.len() == 11), "{error}");
            assert!(error.to_string().contains("known are both, default, half, indented, lake,"), "{error}");
            assert!(error.hint().contains(&format!("aws configure --profile {profile}")), "{}", error.hint());
        }
        for (profile, way) in [
            ("role", "taking on a role (role_arn)"),
            ("web", "a web identity (web_identity_token_file)"),
            ("sso", "single sign-on (sso_session)"),
            ("old-sso", "single sign-on (sso_start_url)"),
            ("program", "a program (credential_process)"),
        ] {
            let error = refused(profile);
            assert!(error.to_string().contains(way), "{error}");
            assert!(error.hint().contains("export-credentials"), "{}", error.hint());
        }
        for profile in ["half", "lake"] {
            let error = refused(profile);
            assert!(matches!(error, ProfileError::NoLine { .. }), "{error}");
        }
    }

    #[test]
    fn files_that_are_not_there_are_empty_and_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { config: folder.path().join("none"), credentials: folder.path().to_owned() };
        let error = value_in(&files, "default", KEY_ID).unwrap_err();
        assert!(matches!(&error, ProfileError::Unreadable { path, .. } if path == folder.path()), "{error}");
        let files = Files { credentials: folder.path().join("neither"), ..files };
        let error = value_in(&files, "default", KEY_ID).unwrap_err();
        assert!(error.to_string().ends_with("/none; no profile is there"), "{error}");
    }
}
