//! The data folder: made by `initdb`, configured at each start.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::PostgresOptions;
use super::account::Account;
use super::install::Install;
use crate::{Error, Result, log, state};

const SETTINGS_FILE: &str = "datapipe.conf";

/// A program of the server, run as its account, with nothing of ours in its environment.
pub(crate) fn command(install: &Install, program: &str, home: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(install.bin.join(program));
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").env("HOME", home).current_dir(home);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Makes the data folder unless it is there. Returns whether it was made.
pub(crate) fn ensure(
    home: &Path,
    install: &Install,
    account: Option<Account>,
    user: &str,
    password: &str,
) -> Result<bool> {
    let data = home.join("data");
    if let Ok(version) = fs::read_to_string(data.join("PG_VERSION")) {
        if version.trim().parse() == Ok(install.major) {
            return Ok(false);
        }
        return Err(Error::Incompatible {
            path: data,
            reason: format!("it was made by PostgreSQL {}, not {}", version.trim(), install.major),
        });
    }
    // A folder without a version file is what an interrupted `initdb` left.
    if data.exists() {
        fs::remove_dir_all(&data).map_err(Error::io(format!("remove {}", data.display())))?;
    }
    let password_file = home.join("password");
    state::write_private(&password_file, password.as_bytes())?;
    if let Some(Account { uid, gid }) = account {
        chown(&password_file, Some(uid), Some(gid))
            .map_err(Error::io(format!("hand over {}", password_file.display())))?;
    }
    let output = command(install, "initdb", home, account)
        .arg("-D")
        .arg(&data)
        .arg(format!("--pwfile={}", password_file.display()))
        .args(["-U", user, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"])
        .output();
    fs::remove_file(&password_file).map_err(Error::io(format!("remove {}", password_file.display())))?;
    let output = output.map_err(Error::io("run initdb"))?;
    if output.status.success() {
        return Ok(true);
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Error::Program {
        program: "initdb".to_owned(),
        status: output.status.to_string(),
        output: log::last_lines(&String::from_utf8_lossy(&text)),
    })
}

/// Writes the settings of this start.
pub(crate) fn configure(home: &Path, port: u16, options: &PostgresOptions) -> Result<()> {
    let main = home.join("data/postgresql.conf");
    let include = format!("include '{SETTINGS_FILE}'\n");
    let text = fs::read_to_string(&main).map_err(Error::io(format!("read {}", main.display())))?;
    if !text.ends_with(&include) {
        fs::write(&main, text + &include).map_err(Error::io(format!("write {}", main.display())))?;
    }
    let path = home.join("data").join(SETTINGS_FILE);
    fs::write(&path, settings(port, options)).map_err(Error::io(format!("write {}", path.display())))
}

fn settings(port: u16, options: &PostgresOptions) -> String {
    let fsync = if options.fsync { "on" } else { "off" };
    let port = port.to_string();
    let ours = [
        ("listen_addresses", super::HOST),
        ("port", &port),
        // A socket's path may be 107 bytes at most, and the data may lie deep.
        ("unix_socket_directories", ""),
        ("wal_level", "logical"),
        ("max_replication_slots", "16"),
        ("max_wal_senders", "16"),
        ("wal_keep_size", "64MB"),
        ("max_wal_size", "1GB"),
        ("fsync", fsync),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("log_line_prefix", "%m [%p] %q%a "),
        ("jit", "off"),
    ];
    let theirs = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut text = String::new();
    for (name, value) in ours.into_iter().chain(theirs) {
        let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    }
    text
}

/// Whether the postmaster with this pid says that it takes connections: the eighth line of its lock file.
pub(crate) fn is_ready(home: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(home.join("data/postmaster.pid")) else { return false };
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid)
        && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_settings_win_and_quotes_are_doubled() {
        let options = PostgresOptions {
            settings: vec![("application_name".to_owned(), "it's".to_owned()), ("port".to_owned(), "1".to_owned())],
            ..PostgresOptions::default()
        };
        let text = settings(5000, &options);
        assert!(text.contains("application_name = 'it''s'\n"), "{text}");
        assert!(text.rfind("port = '1'") > text.find("port = '5000'"), "{text}");
        assert!(text.contains("wal_level = 'logical'"));
    }
}
