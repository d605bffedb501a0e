//! The compressions of objects, behind one writer.

use std::io::{self, Write};

use datapipe_core::table::Compression;
use flate2::write::GzEncoder;
use snap::write::FrameEncoder;

/// Zstandard's level: about as fast as gzip at the level that is used here, and smaller.
const ZSTD_LEVEL: i32 = 1;

/// Compresses what is written.
pub(super) enum Compressor<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Snappy(Box<FrameEncoder<W>>),
}

impl<W: Write> Compressor<W> {
    pub(super) fn new(compression: Compression, gzip_level: u32, to: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(to),
            Compression::Gzip => Self::Gzip(GzEncoder::new(to, flate2::Compression::new(gzip_level))),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(to, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
            Compression::Snappy => Self::Snappy(Box::new(FrameEncoder::new(to))),
        })
    }

    /// Ends the compressed content.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(to) => Ok(to),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Snappy(encoder) => encoder.into_inner().map_err(|error| io::Error::other(error.error().to_string())),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(to) => to.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Snappy(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(to) => to.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
            Self::Snappy(encoder) => encoder.flush(),
        }
    }
}
