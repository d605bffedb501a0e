//! SHA-256 of files.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

const CHUNK_BYTES: usize = 256 * 1024;

/// Fails unless the file's SHA-256 is `expected` (hexadecimal, lower case).
pub(crate) fn check(path: &Path, expected: &str) -> Result<()> {
    let got = of_file(path).map_err(Error::io(format!("read {}", path.display())))?;
    if got == expected {
        return Ok(());
    }
    Err(Error::Checksum { path: path.to_owned(), expected: expected.to_owned(), got })
}

fn of_file(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut hasher = Sha256::new();
    loop {
        let len = file.read(&mut chunk)?;
        if len == 0 {
            break;
        }
        hasher.update(&chunk[..len]);
    }
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}
