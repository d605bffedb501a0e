//! Server processes: started apart from the terminal, known again by a later process, never left behind.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::watchdog::Watchdog;
use crate::{Error, Result, log};

const POLL_INTERVAL: Duration = Duration::from_millis(15);
/// After SIGKILL a process ends as soon as the kernel gets to it; this bounds an uninterruptible one.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How long a server that did not become ready may take to end.
const FAILED_GRACE: Duration = Duration::from_secs(3);

/// Names one process for ever: a pid alone may be given to another process later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Start time as the system tells it; opaque, compared for equality only.
    pub(crate) started: String,
}

impl Identity {
    fn of(pid: u32) -> Option<Self> {
        start_time(pid).map(|started| Self { pid, started })
    }

    fn read(pid_file: &Path) -> Option<Self> {
        let text = fs::read_to_string(pid_file).ok()?;
        let (pid, started) = text.trim_end().split_once('\n')?;
        Some(Self { pid: pid.parse().ok()?, started: started.to_owned() })
    }

    fn is_running(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }
}

/// A server process, either a child or one that an earlier process left running.
///
/// It ends with its owner: one that is dropped, or whose owner dies without a word, gets a signal from a watchdog.
#[derive(Debug)]
pub struct ServerProcess {
    name: &'static str,
    identity: Identity,
    pid_file: PathBuf,
    child: Option<Child>,
    watchdog: Option<Watchdog>,
}

impl ServerProcess {
    /// Starts `command` in a process group of its own, so that the terminal's Ctrl-C reaches the owner alone. If the
    /// owner dies without a word, `on_owner_death` (SIGQUIT or SIGKILL) is sent to the server. `pid_file` is where a
    /// later process finds it.
    pub fn spawn(name: &'static str, command: &mut Command, pid_file: PathBuf, on_owner_death: Signal) -> Result<Self> {
        let mut child = command.process_group(0).spawn().map_err(Error::io(format!("start {name}")))?;
        let armed = Identity::of(child.id())
            .ok_or_else(|| Error::Io {
                action: format!("read the start time of {name}"),
                source: ErrorKind::NotFound.into(),
            })
            .and_then(|identity| {
                let text = format!("{}\n{}\n", identity.pid, identity.started);
                fs::write(&pid_file, text).map_err(Error::io(format!("write {}", pid_file.display())))?;
                let watchdog = Watchdog::arm(&identity, on_owner_death)?;
                Ok((identity, watchdog))
            });
        match armed {
            Ok((identity, watchdog)) => {
                Ok(Self { name, identity, pid_file, child: Some(child), watchdog: Some(watchdog) })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The running process that `pid_file` names, if it still is that process.
    pub fn adopt(name: &'static str, pid_file: PathBuf, on_owner_death: Option<Signal>) -> Result<Option<Self>> {
        let Some(identity) = Identity::read(&pid_file).filter(Identity::is_running) else {
            return Ok(None);
        };
        let watchdog = on_owner_death.map(|signal| Watchdog::arm(&identity, signal)).transpose()?;
        Ok(Some(Self { name, identity, pid_file, child: None, watchdog }))
    }

    /// Waits until the server is ready. One that ends before, or takes longer than `limit`, is ended by `signal`, and the
    /// end of its log is in the error.
    pub(crate) async fn until(
        mut self,
        mut is_ready: impl AsyncFnMut() -> bool,
        (poll, limit): (Duration, Duration),
        log_path: &Path,
        signal: Signal,
    ) -> Result<Self> {
        let deadline = Instant::now() + limit;
        while !is_ready().await {
            let ended = self.ended();
            if ended.is_none() && Instant::now() < deadline {
                tokio::time::sleep(poll).await;
                continue;
            }
            self.stop_blocking(signal, FAILED_GRACE);
            let (server, log_tail) = (self.name, log::tail(log_path));
            return Err(match ended {
                Some(status) => Error::ServerEnded { server, status, log_tail },
                None => Error::Timeout { server, state: "ready", limit, log_tail },
            });
        }
        Ok(self)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// `None` while it runs; the status is unknown for a process that is not a child.
    pub fn ended(&mut self) -> Option<String> {
        match &mut self.child {
            Some(child) => child.try_wait().ok().flatten().as_ref().map(ExitStatus::to_string),
            None => (!self.identity.is_running()).then(|| "status unknown".to_owned()),
        }
    }

    /// Sends a signal; nothing happens if the process has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_some() {
            return;
        }
        let pid = i32::try_from(self.identity.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(errno) = kill_process(pid, signal)
        {
            tracing::debug!(server = self.name, pid = self.identity.pid, %errno, "signal not delivered");
        }
    }

    /// Sends each signal in turn until the server has ended, waiting for its grace; SIGKILL comes last. Returns whether
    /// it ended before SIGKILL.
    pub async fn stop(&mut self, steps: &[(Signal, Duration)]) -> Result<bool> {
        for (signal, grace) in steps.iter().chain(&[(Signal::KILL, KILL_LIMIT)]) {
            self.signal(*signal);
            if self.wait_end(*grace).await {
                self.forget();
                return Ok(*signal != Signal::KILL);
            }
            tracing::warn!(server = self.name, ?signal, grace_s = grace.as_secs(), "did not stop in time");
        }
        Err(Error::Timeout { server: self.name, state: "stopped", limit: KILL_LIMIT, log_tail: String::new() })
    }

    /// Lets the server outlive this process.
    pub(crate) fn detach(mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.disarm();
        }
        // A `Child` that is dropped is neither killed nor awaited.
        self.child = None;
    }

    /// For drops only: `signal`, SIGKILL after `grace`, blocking this thread at most that long.
    pub(crate) fn stop_blocking(&mut self, signal: Signal, grace: Duration) {
        self.signal(signal);
        let deadline = Instant::now() + grace;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(POLL_INTERVAL);
        }
        self.signal(Signal::KILL);
        let deadline = Instant::now() + grace;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(POLL_INTERVAL);
        }
        self.forget();
    }

    async fn wait_end(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.ended().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        true
    }

    fn forget(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.disarm();
        }
        let _ = fs::remove_file(&self.pid_file);
    }
}

/// When the process started, in the system's own words; `None` if there is no such process or it is a zombie.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name, second, stands in parentheses and may hold anything; what follows begins with the third field.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    // Field 22 is the start time in clock ticks since boot.
    let started = fields.nth(18)?;
    (state != "Z").then(|| started.to_owned())
}

/// When the process started, in the system's own words; `None` if there is no such process.
#[cfg(not(target_os = "linux"))]
fn start_time(pid: u32) -> Option<String> {
    let output = Command::new("ps").args(["-o", "lstart=", "-p"]).arg(pid.to_string()).output().ok()?;
    let started = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!started.is_empty()).then_some(started)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn sleeper(pid_file: &Path) -> ServerProcess {
        let mut command = Command::new("sleep");
        command.arg("60").stdout(Stdio::null()).stderr(Stdio::null());
        ServerProcess::spawn("sleep", &mut command, pid_file.to_owned(), Signal::KILL).unwrap()
    }

    #[tokio::test]
    async fn a_detached_process_is_adopted_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let first = sleeper(&pid_file);
        let pid = first.pid();
        first.detach();
        let mut adopted = ServerProcess::adopt("sleep", pid_file.clone(), None).unwrap().expect("it runs");
        assert_eq!(adopted.pid(), pid);
        adopted.stop(&[(Signal::TERM, Duration::from_secs(5))]).await.unwrap();
        assert!(!pid_file.exists());
    }

    #[tokio::test]
    async fn a_recycled_pid_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let mut bystander = sleeper(&folder.path().join("other"));
        fs::write(&pid_file, format!("{}\nanother time\n", bystander.pid())).unwrap();
        assert!(ServerProcess::adopt("sleep", pid_file, None).unwrap().is_none());
        assert!(bystander.ended().is_none());
        bystander.stop(&[]).await.unwrap();
    }

    #[tokio::test]
    async fn the_watchdog_ends_the_server_of_a_dead_owner() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = sleeper(&folder.path().join("pid"));
        server.watchdog.take().expect("armed").owner_died();
        assert!(server.wait_end(Duration::from_secs(5)).await);
    }
}
