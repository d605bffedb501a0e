//! Memory limits for what a test starts, where the machine has cgroups (version 1) that it may make.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

const ROOT: &str = "/sys/fs/cgroup/memory";

/// A group of processes with a limit. It goes when it is dropped, if its processes have gone.
#[derive(Debug)]
pub struct MemoryLimit {
    folder: PathBuf,
}

impl MemoryLimit {
    /// A group that may use `mib` MiB, page cache included.
    ///
    /// # Errors
    /// If there are no such groups here, or they may not be made.
    pub fn new(name: &str, mib: u64) -> io::Result<Self> {
        let folder = Path::new(ROOT).join(format!("{name}-{}", process::id()));
        fs::create_dir(&folder)?;
        let limit = Self { folder };
        fs::write(limit.folder.join("memory.limit_in_bytes"), (mib << 20).to_string())?;
        Ok(limit)
    }

    /// Runs `start` in the group; what it starts stays there, and this process goes back.
    ///
    /// # Errors
    /// If this process cannot be moved.
    pub async fn with<T>(&self, start: impl Future<Output = T>) -> io::Result<T> {
        let own = process::id().to_string();
        fs::write(self.folder.join("cgroup.procs"), &own)?;
        let started = start.await;
        fs::write(Path::new(ROOT).join("cgroup.procs"), own)?;
        Ok(started)
    }

    /// The most that it used, in MiB, and how often it was at its limit.
    ///
    /// # Errors
    /// If the figures cannot be read.
    pub fn used(&self) -> io::Result<(u64, u64)> {
        let read = |name: &str| -> io::Result<u64> {
            fs::read_to_string(self.folder.join(name))?.trim().parse().map_err(io::Error::other)
        };
        Ok((read("memory.max_usage_in_bytes")? >> 20, read("memory.failcnt")?))
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // Processes that have ended leave it within moments; an empty group that stays costs nothing.
        let _ = fs::remove_dir(&self.folder);
    }
}
