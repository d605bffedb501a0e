//! What can go wrong while the stack starts, runs and stops.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the embedded stack. [`Error::hint`] says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Programs that can't be brought along are not installed, or too old; all of them at once.
    #[error("{}", missing(.0))]
    MissingPrograms(Vec<MissingProgram>),
    /// Nothing is published for this operating system and processor.
    #[error("no {what} for {platform}")]
    UnsupportedPlatform {
        /// What was looked for.
        what: &'static str,
        /// Operating system and processor.
        platform: String,
    },
    /// Maven could not fetch an artifact.
    #[error("failed to fetch {artifact} with Maven: {reason}")]
    Fetch {
        /// Coordinates, or the name of the set.
        artifact: String,
        /// The last error lines of Maven.
        reason: String,
    },
    /// A fetched file is not the one this crate was tested with.
    #[error("checksum of {} differs: expected SHA-256 {expected}, got {got}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The pinned digest, in hexadecimal, or `no such file`.
        expected: String,
        /// The digest of what is there, or `no such file`.
        got: String,
    },
    /// A server ended while it was starting.
    #[error("{server} ended during its start ({status})\n{log_tail}")]
    ServerEnded {
        /// `PostgreSQL` or `Kafka`.
        server: &'static str,
        /// Exit status.
        status: String,
        /// Last lines of its log.
        log_tail: String,
    },
    /// A server did not become ready, or did not end, in time.
    #[error("{server} was not {state} within {} s\n{log_tail}", limit.as_secs())]
    Timeout {
        /// `PostgreSQL` or `Kafka`.
        server: &'static str,
        /// What was awaited: `ready` or `stopped`.
        state: &'static str,
        /// How long it was waited for.
        limit: Duration,
        /// Last lines of its log.
        log_tail: String,
    },
    /// A helper program (`initdb`, the storage formatter) failed.
    #[error("{program} failed ({status}): {output}")]
    Program {
        /// What was run.
        program: String,
        /// Exit status.
        status: String,
        /// Last lines of its output.
        output: String,
    },
    /// Another process runs a stack in this folder.
    #[error("the folder {} is in use by another process", root.display())]
    InUse {
        /// The stack's folder.
        root: PathBuf,
    },
    /// There is no running stack to attach to.
    #[error("no running stack in {}: {reason}", root.display())]
    NotRunning {
        /// The stack's folder.
        root: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The data in the folder was made by something else.
    #[error("{} can't be reused: {reason}", path.display())]
    Incompatible {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An operation on a file, socket or process failed.
    #[error("failed to {action}")]
    Io {
        /// What was attempted, and on which object.
        action: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A program that can't be brought along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingProgram {
    /// The program, for instance `Java 17 or later`.
    pub program: &'static str,
    /// What was looked for and what was found.
    pub reason: String,
    /// The package that has it.
    pub package: &'static str,
}

#[cfg(target_os = "macos")]
const INSTALLER: &str = "brew install";
#[cfg(not(target_os = "macos"))]
const INSTALLER: &str = "apt-get install";

fn missing(programs: &[MissingProgram]) -> String {
    let told = programs.iter().map(|MissingProgram { program, reason, .. }| format!("{program} is missing: {reason}"));
    told.collect::<Vec<_>>().join("; ")
}

fn install(programs: &[MissingProgram]) -> String {
    let packages: Vec<&str> = programs.iter().map(|program| program.package).collect();
    format!("install it: {INSTALLER} {} (or your system's package of the same)", packages.join(" "))
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::MissingPrograms(programs) => install(programs),
            Self::UnsupportedPlatform { .. } => {
                "install PostgreSQL 14 or later yourself, or use servers that exist".to_owned()
            }
            Self::Fetch { .. } => {
                "check the network and Maven's settings (mirrors, proxy), then start again".to_owned()
            }
            Self::Checksum { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                format!("remove {} and start again; if it stays so, the mirror serves another file", folder.display())
            }
            Self::ServerEnded { .. } | Self::Program { .. } => {
                "read the log lines above; a fresh folder starts from nothing".to_owned()
            }
            Self::Timeout { .. } => {
                "the machine may be overloaded; start again, or read the log lines above".to_owned()
            }
            Self::InUse { .. } => "end that process first, or choose another folder".to_owned(),
            Self::NotRunning { .. } => "start a stack in that folder first".to_owned(),
            Self::Incompatible { path, .. } => format!("remove {} or choose another folder", path.display()),
            Self::Io { .. } => "check that the folder is writable and the disk has room".to_owned(),
        }
    }

    /// Whether the same call may succeed later with nothing changed.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Fetch { .. } | Self::Timeout { .. } | Self::InUse { .. })
    }

    /// Wraps an I/O failure with what was attempted.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
