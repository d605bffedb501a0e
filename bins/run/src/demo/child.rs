//! The worker process of the demo: the same program with `start`, so that it can be killed like any other.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use datapipe_boot::settings;
use datapipe_embedded::{Error, ServerProcess};
use rustix::process::Signal;

use super::DemoError;

const NAME: &str = "the demo's worker";
/// Where a later demo finds a worker that was left behind.
const PID_FILE: &str = "worker.pid";
/// How long an orderly stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running worker process. It ends with the demo, even if that is killed.
pub(super) struct WorkerProcess {
    process: ServerProcess,
    log: PathBuf,
}

impl WorkerProcess {
    /// Starts `datapipe-run start` with this configuration; its log goes to a file.
    pub(super) fn start(root: &Path, config: &Path, log: &Path, secrets: &[(&str, String)]) -> Result<Self, DemoError> {
        let failed = |source| DemoError::File { path: log.to_owned(), source };
        let file = std::fs::File::options().create(true).append(true).open(log).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        // The demo's worker has the demo's settings, whatever this shell has set for another one.
        for variable in settings::variables() {
            command.env_remove(variable);
        }
        command
            .arg("start")
            .arg("--config")
            .arg(config)
            .envs(secrets.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::from(file.try_clone().map_err(failed)?))
            .stderr(Stdio::from(file));
        let process = ServerProcess::spawn(NAME, &mut command, root.join(PID_FILE), Signal::KILL);
        let process = process.map_err(|source| DemoError::Worker { log: log.to_owned(), source })?;
        Ok(Self { process, log: log.to_owned() })
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The exit status, if it has ended by itself.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.process.ended()
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub(super) async fn kill(self) -> Result<(), DemoError> {
        self.end(&[]).await
    }

    /// SIGTERM, and SIGKILL if that takes too long.
    pub(super) async fn stop(self) -> Result<(), DemoError> {
        self.end(&[(Signal::TERM, STOP_MAX)]).await
    }

    async fn end(mut self, signals: &[(Signal, Duration)]) -> Result<(), DemoError> {
        match self.process.stop(signals).await {
            Ok(_) => Ok(()),
            Err(source) => Err(DemoError::Worker { log: self.log, source }),
        }
    }
}

/// Ends the worker of an earlier demo in this folder, if one is left.
pub(super) async fn end_leftover(root: &Path) -> Result<(), Error> {
    match ServerProcess::adopt(NAME, root.join(PID_FILE), None)? {
        Some(mut leftover) => leftover.stop(&[]).await.map(drop),
        None => Ok(()),
    }
}
