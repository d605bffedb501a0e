//! Who runs the server, and folders that this account can reach.
//!
//! PostgreSQL refuses to run as root; for root it is run as `nobody`. That account can't enter a home folder with mode
//! 0700, so data and programs may have to lie elsewhere.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::artifacts::Cache;
use crate::{Error, Result};

/// Where data goes that `nobody` could not reach in the stack's own folder.
const SHARED_DATA: &str = "/var/tmp";
/// Where programs go that `nobody` could not reach in the user's cache.
const SHARED_CACHE: &str = "/var/cache/datapipe";
/// Usual ids of `nobody`, where the account database does not say.
const NOBODY: u32 = 65_534;

/// User and group of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// `None` for an ordinary user, who runs it as himself.
    pub(crate) fn for_server() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Some(Self::nobody_in(&accounts).unwrap_or(Self { uid: NOBODY, gid: NOBODY }))
    }

    fn nobody_in(accounts: &str) -> Option<Self> {
        let line = accounts.lines().find(|line| line.starts_with("nobody:"))?;
        let mut ids = line.split(':').skip(2);
        Some(Self { uid: ids.next()?.parse().ok()?, gid: ids.next()?.parse().ok()? })
    }
}

/// The server's home for a stack's `folder`: that folder, or one elsewhere that a link at `folder` leads to.
pub(crate) fn home(folder: &Path, account: Option<Account>) -> Result<PathBuf> {
    let made = Error::io(format!("create {}", folder.display()));
    let Some(account) = account else {
        fs::create_dir_all(folder).map_err(made)?;
        return absolute(folder);
    };
    if let Ok(home) = fs::canonicalize(folder) {
        return Ok(home);
    }
    let parent = folder.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(Error::io(format!("create {}", parent.display())))?;
    let parent = absolute(parent)?;
    let home = if is_reachable(&parent) {
        folder.to_owned()
    } else {
        let digest = Sha256::digest(parent.as_os_str().as_encoded_bytes());
        let name = URL_SAFE_NO_PAD.encode(&digest[..9]);
        Path::new(SHARED_DATA).join(format!("datapipe-postgres-{name}"))
    };
    create_private(&home, account)?;
    let home = absolute(&home)?;
    if fs::symlink_metadata(folder).is_err() {
        symlink(&home, folder).map_err(Error::io(format!("link {}", folder.display())))?;
    }
    Ok(home)
}

/// Removes what [`home`] made, wherever it lies.
pub(crate) fn remove_home(folder: &Path) -> Result<()> {
    let failed = || Error::io(format!("remove {}", folder.display()));
    let Ok(metadata) = fs::symlink_metadata(folder) else { return Ok(()) };
    if !metadata.is_symlink() {
        return fs::remove_dir_all(folder).map_err(failed());
    }
    if let Ok(home) = fs::canonicalize(folder) {
        fs::remove_dir_all(home).map_err(failed())?;
    }
    fs::remove_file(folder).map_err(failed())
}

/// A cache whose files the account can execute.
pub(crate) fn reachable_cache(cache: &Cache, account: Option<Account>) -> Cache {
    let existing = cache.root().ancestors().find(|path| path.exists());
    match (account, existing) {
        (Some(_), Some(existing)) if !is_reachable(existing) => Cache::at(SHARED_CACHE),
        _ => cache.clone(),
    }
}

/// A folder of the account alone. One that exists must be its own: the name in a shared folder can be guessed.
fn create_private(home: &Path, account: Account) -> Result<()> {
    let failed = || Error::io(format!("create {}", home.display()));
    if let Ok(metadata) = fs::symlink_metadata(home) {
        if metadata.is_dir() && metadata.uid() == account.uid {
            return Ok(());
        }
        return Err(Error::Incompatible { path: home.to_owned(), reason: "it belongs to somebody else".to_owned() });
    }
    DirBuilder::new().mode(0o700).create(home).map_err(failed())?;
    chown(home, Some(account.uid), Some(account.gid)).map_err(failed())
}

/// Whether anybody may pass through the folder and all above it.
fn is_reachable(folder: &Path) -> bool {
    const OTHERS_MAY_ENTER: u32 = 0o001;
    folder.ancestors().all(|path| fs::metadata(path).is_ok_and(|data| data.mode() & OTHERS_MAY_ENTER != 0))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(Error::io(format!("resolve {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_read_from_the_account_database() {
        let accounts = "root:x:0:0::/root:/bin/sh\nnobody:*:99:98:x:/:/bin/false\n";
        assert_eq!(Account::nobody_in(accounts), Some(Account { uid: 99, gid: 98 }));
        assert_eq!(Account::nobody_in("root:x:0:0"), None);
    }

    #[test]
    fn a_private_folder_is_not_reachable() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!is_reachable(&below));
        assert!(is_reachable(Path::new("/usr/bin")));
    }
}
