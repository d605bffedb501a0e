//! The worker process of the demo: the same program with `start`, so that it can be killed like any other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::DemoError;

/// How long an orderly stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running worker process.
pub(super) struct WorkerProcess {
    child: Child,
    log: PathBuf,
}

impl WorkerProcess {
    /// Starts `datapipe-run start` with this configuration; its log goes to a file.
    pub(super) fn start(config: &Path, log: &Path, secrets: &[(&str, String)]) -> Result<Self, DemoError> {
        let failed = |error| DemoError::Worker { log: log.to_owned(), source: error };
        let file = std::fs::File::options().create(true).append(true).open(log).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command
            .arg("start")
            .arg("--config")
            .arg(config)
            .envs(secrets.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::from(file.try_clone().map_err(failed)?))
            .stderr(Stdio::from(file))
            // The terminal's Ctrl-C reaches the demo alone, which then stops the worker in order.
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// The process id.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The exit status, if it has ended by itself.
    pub(super) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub(super) async fn kill(mut self) -> Result<(), DemoError> {
        self.child.kill().await.map_err(|error| DemoError::Worker { log: self.log.clone(), source: error })
    }

    /// SIGTERM, and SIGKILL if that takes too long.
    pub(super) async fn stop(mut self) -> Result<(), DemoError> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended in between.
            let _ = kill_process(pid, Signal::TERM);
        }
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => self.kill().await,
        }
    }
}
