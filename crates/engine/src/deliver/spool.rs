//! The content of an open object: compressed, hashed, in memory up to a bound and in a file above it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use datapipe_core::port::store::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// Content that is being written.
pub(super) struct Spool {
    encoder: GzEncoder<Sink>,
}

/// Content that is complete. The file, if there is one, lives as long as this.
pub(super) struct Spooled {
    pub(super) body: Body,
    pub(super) sha256: String,
    _file: Option<NamedTempFile>,
}

struct Sink {
    memory: Vec<u8>,
    memory_max: usize,
    folder: PathBuf,
    file: Option<NamedTempFile>,
    size: u64,
    hash: Sha256,
}

impl Spool {
    /// Starts an object. Above `memory_max` bytes its content goes to a file in `folder`.
    pub(super) fn new(folder: &Path, memory_max: usize, level: u32) -> Self {
        let sink = Sink {
            memory: Vec::new(),
            memory_max,
            folder: folder.to_owned(),
            file: None,
            size: 0,
            hash: Sha256::new(),
        };
        Self { encoder: GzEncoder::new(sink, Compression::new(level)) }
    }

    /// Adds one line.
    pub(super) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.encoder.write_all(line)?;
        self.encoder.write_all(b"\n")
    }

    /// Ends the content.
    pub(super) fn finish(self) -> io::Result<Spooled> {
        let mut sink = self.encoder.finish()?;
        let sha256 = hex(&sink.hash.finalize_reset());
        let body = match &mut sink.file {
            None => Body::Memory(Bytes::from(std::mem::take(&mut sink.memory))),
            Some(file) => {
                file.as_file_mut().flush()?;
                Body::File { path: file.path().to_owned(), size: sink.size }
            }
        };
        Ok(Spooled { body, sha256, _file: sink.file })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        if self.file.is_none() && self.memory.len() + bytes.len() > self.memory_max {
            let mut file = tempfile::Builder::new().prefix("datapipe-object-").tempfile_in(&self.folder)?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.as_file_mut().write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a finished body, for tests.
#[cfg(test)]
pub(super) fn content(spooled: &Spooled) -> Vec<u8> {
    match &spooled.body {
        Body::Memory(bytes) => bytes.to_vec(),
        Body::File { path, .. } => std::fs::read(path).unwrap(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn memory_and_file_hold_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let bodies: Vec<_> = [usize::MAX, 64]
            .into_iter()
            .map(|memory_max| {
                let mut spool = Spool::new(folder.path(), memory_max, 1);
                for n in 0..5000u32 {
                    spool.line(format!("{{\"n\":{}}}", n.wrapping_mul(2_654_435_761)).as_bytes()).unwrap();
                }
                spool.finish().unwrap()
            })
            .collect();
        assert!(matches!(bodies[0].body, Body::Memory(_)));
        assert!(matches!(bodies[1].body, Body::File { .. }));
        assert_eq!(bodies[0].sha256, bodies[1].sha256);
        let bytes = content(&bodies[1]);
        assert_eq!(bytes, content(&bodies[0]));
        assert_eq!(bytes.len() as u64, bodies[1].body.size());
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 5000);
        drop(bodies);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "spool files vanish with the object");
    }
}
