//! The content of an open object: its records in their form, compressed, hashed, in memory up to a bound and in a
//! file above it.

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;
use datapipe_core::output::Format;
use datapipe_core::port::store::Body;
use datapipe_parquet::Shape;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::DeliverSettings;
use super::compress::Compressor;
use super::record::Form;

/// Content that is being written.
pub(super) struct Spool {
    writer: Writer,
}

enum Writer {
    Lines(Compressor<Sink>),
    Array { to: Compressor<Sink>, empty: bool },
    Columns(Box<datapipe_parquet::Writer<Sink>>),
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
    /// Starts an object, with a shape if its format needs one.
    pub(super) fn new(settings: &DeliverSettings, shape: Option<&Shape>) -> io::Result<Self> {
        let sink = Sink {
            memory: Vec::new(),
            memory_max: settings.memory_max,
            folder: settings.spool_folder.clone(),
            file: None,
            size: 0,
            hash: Sha256::new(),
        };
        let (compression, level) = (settings.output.compression, settings.compression_level);
        let writer = match (shape, settings.output.format) {
            (Some(shape), _) => {
                Writer::Columns(Box::new(datapipe_parquet::Writer::new(sink, shape, compression, level)?))
            }
            (None, Format::Json) => Writer::Array { to: Compressor::new(compression, level, sink)?, empty: true },
            (None, _) => Writer::Lines(Compressor::new(compression, level, sink)?),
        };
        Ok(Self { writer })
    }

    /// Adds one record in the form that the object was started for.
    pub(super) fn add(&mut self, form: Form<'_>) -> io::Result<()> {
        match (&mut self.writer, form) {
            (Writer::Lines(to), Form::Text(text)) => {
                to.write_all(text)?;
                to.write_all(b"\n")
            }
            (Writer::Array { to, empty }, Form::Text(text)) => {
                to.write_all(if std::mem::take(empty) { b"[\n" } else { b",\n" })?;
                to.write_all(text)
            }
            (Writer::Columns(writer), Form::Row(_, row)) => writer.add(row),
            _ => Err(io::Error::other("the record is in another form than its object: a defect of datapipe")),
        }
    }

    /// Ends the content.
    pub(super) fn finish(self) -> io::Result<Spooled> {
        let mut sink = match self.writer {
            Writer::Lines(to) => to.finish()?,
            Writer::Array { mut to, .. } => {
                to.write_all(b"\n]")?;
                to.finish()?
            }
            Writer::Columns(writer) => writer.finish()?,
        };
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

    use datapipe_core::output::Output;
    use datapipe_core::table::Compression;

    use super::*;
    use crate::deliver::tests::settings;

    fn inflated(compression: Compression, bytes: &[u8]) -> String {
        let mut text = String::new();
        match compression {
            Compression::None => text = String::from_utf8(bytes.to_vec()).unwrap(),
            Compression::Gzip => drop(flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap()),
            Compression::Zstd => drop(zstd::Decoder::new(bytes).unwrap().read_to_string(&mut text).unwrap()),
            Compression::Snappy => drop(snap::read::FrameDecoder::new(bytes).read_to_string(&mut text).unwrap()),
        }
        text
    }

    #[test]
    fn memory_and_file_hold_the_same_in_each_compression() {
        let folder = tempfile::tempdir().unwrap();
        for compression in Compression::ALL {
            let output = Output::lines(compression);
            let bodies: Vec<_> = [usize::MAX, 64]
                .into_iter()
                .map(|memory_max| {
                    let settings = settings(folder.path(), memory_max, output.clone());
                    let mut spool = Spool::new(&settings, None).unwrap();
                    for n in 0..5000u32 {
                        let text = format!("{{\"n\":{}}}", n.wrapping_mul(2_654_435_761));
                        spool.add(Form::Text(text.as_bytes())).unwrap();
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
            assert_eq!(inflated(compression, &bytes).lines().count(), 5000, "{compression:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "spool files vanish with the object");
    }

    #[test]
    fn json_is_one_array() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output { format: Format::Json, ..Output::lines(Compression::None) };
        let settings = settings(folder.path(), usize::MAX, output);
        let mut spool = Spool::new(&settings, None).unwrap();
        spool.add(Form::Text(b"{\"a\":1}")).unwrap();
        spool.add(Form::Text(b"{\"a\":2}")).unwrap();
        assert_eq!(content(&spool.finish().unwrap()), b"[\n{\"a\":1},\n{\"a\":2}\n]");
    }
}
