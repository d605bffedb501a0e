//! The worker under measurement: `datapipe-run start` in a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::BenchError;

/// How long an orderly stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running worker; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    /// The program beside this one.
    pub(crate) fn program() -> Result<PathBuf, BenchError> {
        let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
        let program = own.with_file_name("datapipe-run");
        if program.exists() {
            return Ok(program);
        }
        let how = "build it with the same profile: cargo build --release --bin datapipe-run";
        Err(BenchError::Unexpected(format!("{} is missing; {how}", program.display())))
    }

    pub(crate) fn start(
        config: &Path,
        log: &Path,
        settings: &[String],
        secrets: &[(&str, String)],
    ) -> Result<Self, BenchError> {
        let opened = File::options().create(true).append(true).open(log);
        let file = opened.map_err(BenchError::io(format!("opening {}", log.display())))?;
        let both = file.try_clone().map_err(BenchError::io("sharing the worker's log"))?;
        let child = Command::new(Self::program()?)
            .args(["start", "--table", "users", "--config"])
            .arg(config)
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .envs(secrets.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::from(both))
            .stderr(Stdio::from(file))
            .spawn()
            .map_err(BenchError::io("starting the worker"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait().map_err(BenchError::io("looking at the worker"))? {
            None => Ok(()),
            Some(status) => {
                Err(BenchError::Unexpected(format!("the worker ended with {status}; see {}", self.log.display())))
            }
        }
    }

    /// SIGTERM, and the wait for its end.
    pub(crate) async fn stop(mut self) -> Result<(), BenchError> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended in between.
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < STOP_MAX {
            if self.child.try_wait().map_err(BenchError::io("stopping the worker"))?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(BenchError::Unexpected(format!("the worker did not stop in {} s", STOP_MAX.as_secs())))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
