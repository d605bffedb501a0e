//! The cache folder: complete or absent, never half.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where fetched files are kept between runs.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache in `root`, which is created when needed.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `$XDG_CACHE_HOME/datapipe`, else `~/.cache/datapipe`, else a folder in the system's temporary one.
    pub fn of_user() -> Self {
        let base = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir);
        Self::at(base.join("datapipe"))
    }

    /// The cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the folder `name` is there, and complete then.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.root.join(name).exists()
    }

    /// The folder `name`. `fill` gets a folder and whether it is new (empty): then it fills it, and in any case checks
    /// it. A new folder takes its name only after `fill` has succeeded, so a crash leaves nothing half done. Processes
    /// that want the same cache at the same time wait for each other.
    pub(crate) fn folder(&self, name: &str, fill: impl FnOnce(&Path, bool) -> Result<()>) -> Result<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(&self.root).map_err(Error::io(format!("create {}", self.root.display())))?;
        let lock_path = self.root.join(format!("{name}.lock"));
        let lock = File::create(&lock_path).map_err(Error::io(format!("create {}", lock_path.display())))?;
        lock.lock().map_err(Error::io(format!("lock {}", lock_path.display())))?;
        if folder.exists() {
            fill(&folder, false)?;
            return Ok(folder);
        }
        let staging = self.root.join(format!("{name}.part"));
        if staging.exists() {
            fs::remove_dir_all(&staging).map_err(Error::io(format!("remove {}", staging.display())))?;
        }
        fs::create_dir(&staging).map_err(Error::io(format!("create {}", staging.display())))?;
        fill(&staging, true)?;
        fs::rename(&staging, &folder).map_err(Error::io(format!("rename {}", staging.display())))?;
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_fill_leaves_no_folder_and_the_next_one_starts_anew() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().join("cache"));
        let failed = cache.folder("set", |folder, _| {
            fs::write(folder.join("half"), "x").unwrap();
            Err(Error::Fetch { artifact: "set".to_owned(), reason: "no network".to_owned() })
        });
        assert!(failed.is_err());
        let folder = cache
            .folder("set", |folder, is_new| {
                assert!(is_new);
                assert!(!folder.join("half").exists());
                fs::write(folder.join("whole"), "x").unwrap();
                Ok(())
            })
            .unwrap();
        assert!(folder.join("whole").exists());
        let again = cache.folder("set", |_, is_new| {
            assert!(!is_new);
            Ok(())
        });
        assert_eq!(again.unwrap(), folder);
    }
}
