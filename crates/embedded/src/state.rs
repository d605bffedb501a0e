//! Small files that let a later process find a server again: its port and credentials.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Reads a state file; `None` if there is none.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(format!("read {}", path.display()))(error)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| Error::Incompatible { path: path.to_owned(), reason: error.to_string() })
}

/// Replaces a state file as a whole. Only its owner may read it: it holds credentials.
pub(crate) fn save<T: Serialize>(path: &Path, state: &T) -> Result<()> {
    let part = path.with_extension("part");
    let failed = || Error::io(format!("write {}", path.display()));
    let text = serde_json::to_vec_pretty(state).map_err(|error| failed()(error.into()))?;
    write_private(&part, &text)?;
    fs::rename(&part, path).map_err(failed())
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text))
        .map_err(Error::io(format!("write {}", path.display())))
}
