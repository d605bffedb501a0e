//! Logs of the servers: where they go, and their end for error messages.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::Stdio;

use crate::{Error, Result};

const TAIL_LINES: usize = 20;

/// Both output streams of a server, appended to one file.
pub(crate) fn outputs(path: &Path) -> Result<(Stdio, Stdio)> {
    let failed = || Error::io(format!("open {}", path.display()));
    let file: File = OpenOptions::new().append(true).create(true).open(path).map_err(failed())?;
    let copy = file.try_clone().map_err(failed())?;
    Ok((file.into(), copy.into()))
}

/// The last lines of a log; a remark if it can't be read.
pub(crate) fn tail(path: &Path) -> String {
    match fs::read(path) {
        Ok(bytes) => format!("end of {}:\n{}", path.display(), last_lines(&String::from_utf8_lossy(&bytes))),
        Err(error) => format!("{} can't be read: {error}", path.display()),
    }
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
