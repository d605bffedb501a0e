//! Ends a server whose owner died without a word (SIGKILL, a crash).
//!
//! A small shell holds the reading end of a pipe. If the owner dies, the kernel closes the writing end, and the shell
//! signals the server, provided it still is the same process. The kernel's parent-death signal would do on Linux, but
//! it follows the thread that started the server, not the process, and asks for unsafe code.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::process::Identity;
use crate::{Error, Result};

/// `$1` pid, `$2` its start time, `$3` signal. One line on standard input disarms it.
const SCRIPT: &str = r#"
read -r word && exit 0
if read -r stat < "/proc/$1/stat"; then
    rest=${stat##*) }
    started=$(set -- $rest; shift 19; echo "$1")
elif command -v ps > /dev/null; then
    started=$(ps -o lstart= -p "$1" | sed 's/^ *//; s/ *$//')
fi
test "$started" = "$2" && kill -s "$3" "$1"
"#;

/// The shell at the other end of the pipe. Dropping it without [`Watchdog::disarm`] lets it bite.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    pub(crate) fn arm(server: &Identity, signal: Signal) -> Result<Self> {
        let signal_name = if signal == Signal::QUIT { "QUIT" } else { "KILL" };
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "datapipe-watchdog"])
            .arg(server.pid.to_string())
            .args([&server.started, signal_name])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("start the watchdog shell"))?;
        Ok(Self { shell })
    }

    /// Ends the shell; the server runs on.
    pub(crate) fn disarm(mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            let _ = pipe.write_all(b"disarm\n");
        }
        let _ = self.shell.wait();
    }

    #[cfg(test)]
    pub(crate) fn owner_died(mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
