//! A folder for what a process needs only while it runs, and that nobody leaves behind.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// How the folders are called: this, and a random end.
const PREFIX: &str = "spool-";
/// The file in a folder that its process keeps locked.
const LOCK: &str = "lock";
/// The file that is locked while folders are looked at or made.
const GATE: &str = "spool.lock";

/// A folder of this process's own. It goes with it; after `kill -9` the next process removes it.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes a folder in `parent`, after removing those whose process has gone. The kernel drops a dead process's
    /// locks, so a lock that can be had means that.
    ///
    /// # Errors
    /// If `parent` cannot be read or written to.
    pub fn new(parent: &Path) -> io::Result<Self> {
        let gate = File::create(parent.join(GATE))?;
        gate.lock()?;
        for entry in fs::read_dir(parent)? {
            let path = entry?.path();
            let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
            if ours && path.is_dir() && is_left(&path) {
                fs::remove_dir_all(&path)?;
            }
        }
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

fn is_left(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_goes_and_what_a_living_one_uses_stays() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::new(parent.path()).unwrap();
        fs::write(living.path().join("object"), "in use").unwrap();
        let dead = parent.path().join("spool-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("object"), "left").unwrap();
        let other = parent.path().join("spool-of-somebody-else");
        fs::create_dir(&other).unwrap();

        let next = Scratch::new(parent.path()).unwrap();
        assert!(!dead.exists(), "its lock can be had");
        assert!(living.path().join("object").exists() && next.path().exists() && other.exists());
        let path = living.path();
        drop(living);
        assert!(!path.exists());
    }
}
