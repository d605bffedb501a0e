//! Finding a PostgreSQL server: installed, or fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PostgresSource;
use super::account::{self, Account};
use crate::artifacts::{self, Cache, PostgresBuild};
use crate::error::MissingProgram;
use crate::{Error, Progress, Result};

/// Logical decoding of what is needed here exists from this version on.
const MAJOR_MIN: u32 = 14;
/// Major version of the fetched binaries.
const BINARIES_MAJOR: u32 = 18;
#[cfg(target_os = "macos")]
const PACKAGE: &str = "postgresql@17";
#[cfg(not(target_os = "macos"))]
const PACKAGE: &str = "postgresql";

/// The programs of one PostgreSQL version.
#[derive(Debug, Clone)]
pub(crate) struct Install {
    /// Folder with `postgres` and `initdb`.
    pub(crate) bin: PathBuf,
    pub(crate) major: u32,
}

pub(crate) fn find(
    source: PostgresSource,
    cache: &Cache,
    account: Option<Account>,
    progress: &Progress,
) -> Result<Install> {
    let fetched = || fetch(cache, account, progress);
    match source {
        PostgresSource::Auto => installed(MAJOR_MIN).map_or_else(fetched, Ok),
        PostgresSource::Installed { major_min } => installed(major_min).ok_or_else(|| {
            let reason = format!("no installed server of version {major_min} or later was found");
            Error::MissingPrograms(vec![MissingProgram { program: "PostgreSQL", reason, package: PACKAGE }])
        }),
        PostgresSource::Binaries => fetched(),
    }
}

/// Whether a start would have to fetch the binaries.
pub(crate) fn fetches(source: PostgresSource, cache: &Cache, account: Option<Account>) -> bool {
    let wanted = match source {
        PostgresSource::Auto => installed(MAJOR_MIN).is_none(),
        PostgresSource::Installed { .. } => false,
        PostgresSource::Binaries => true,
    };
    let cache = account::reachable_cache(cache, account);
    wanted && !PostgresBuild::for_this_machine().is_ok_and(|build| cache.has(&build.folder()))
}

/// The first fitting server: `PATH` first, then the newest in the usual folders.
fn installed(major_min: u32) -> Option<Install> {
    let fits = |bin: PathBuf| {
        let install = probe(&bin)?;
        (install.major >= major_min.max(MAJOR_MIN)).then_some(install)
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).find_map(fits).or_else(|| usual_folders().into_iter().find_map(fits))
}

/// Where packages put the programs, newest version first.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
    ] {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
            if let Some(version) = version {
                folders.push((version, entry.path().join("bin")));
            }
        }
    }
    folders.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

/// The version of `postgres` in `bin`, if `initdb` is beside it. Links are followed: `initdb` must be found too.
fn probe(bin: &Path) -> Option<Install> {
    let server = fs::canonicalize(bin.join("postgres")).ok()?;
    let bin = server.parent()?.to_owned();
    if !bin.join("initdb").exists() {
        return None;
    }
    let output = Command::new(&server).arg("--version").output().ok()?;
    let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
    Some(Install { bin, major })
}

/// `postgres (PostgreSQL) 15.18 (Debian ..)` is 15, `18beta1` is 18.
fn major_of(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

fn fetch(cache: &Cache, account: Option<Account>, progress: &Progress) -> Result<Install> {
    let build = PostgresBuild::for_this_machine()?;
    let cache = account::reachable_cache(cache, account);
    let folder = artifacts::postgres(&cache, build, progress)?;
    Ok(Install { bin: folder.join("bin"), major: BINARIES_MAJOR })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_the_server_tells_them() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("postgres\n"), None);
    }
}
