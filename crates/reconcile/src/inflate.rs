//! Compressed bytes to bytes, in pieces.

use std::io::{self, Read, Write};

use datapipe_core::table::Compression;
use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{self, InBuffer, Operation, OutBuffer};

/// What begins a stream in Snappy's framing format.
const SNAPPY_START: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// The longest chunk of such a stream with its head: 64 KiB that could not be made smaller.
const SNAPPY_CHUNK_MAX: usize = 4 + 4 + (1 << 16);

/// Takes compressed bytes, gathers what is in them.
pub(crate) enum Inflate {
    None(Vec<u8>),
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd { decoder: raw::Decoder<'static>, ended: bool, out: Vec<u8> },
    Snappy { pending: Vec<u8>, out: Vec<u8> },
}

impl Inflate {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(Vec::new()),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Compression::Zstd => Self::Zstd { decoder: raw::Decoder::new()?, ended: true, out: Vec::new() },
            Compression::Snappy => Self::Snappy { pending: Vec::new(), out: Vec::new() },
        })
    }

    /// How many bytes to take at a time, so that at most some MiB come out: deflate expands at most 1032 times, one
    /// block of Zstandard gives 128 KiB for a few bytes, a chunk of Snappy 64 KiB.
    pub(crate) const fn step_bytes(&self) -> usize {
        match self {
            Self::None(_) => 1 << 20,
            Self::Gzip(_) => 4 << 10,
            Self::Zstd { .. } => 128,
            Self::Snappy { .. } => 64 << 10,
        }
    }

    /// What has come out and was not taken.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::None(out) | Self::Zstd { out, .. } | Self::Snappy { out, .. } => out,
            Self::Gzip(decoder) => decoder.get_mut(),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::None(out) => out.extend_from_slice(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes)?,
            Self::Zstd { decoder, ended, out } => *ended = zstd_piece(decoder, bytes, *ended, out)?,
            Self::Snappy { pending, out } => {
                pending.extend_from_slice(bytes);
                let taken = snappy_chunks(pending, out)?;
                pending.drain(..taken);
            }
        }
        Ok(())
    }

    /// Checks that the stream is complete.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let complete = match self {
            Self::None(_) => true,
            Self::Gzip(decoder) => return decoder.try_finish(),
            Self::Zstd { ended, .. } => *ended,
            Self::Snappy { pending, .. } => pending.is_empty(),
        };
        if complete { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) }
    }
}

/// Returns whether the bytes end with a frame.
fn zstd_piece(decoder: &mut raw::Decoder<'_>, bytes: &[u8], ended: bool, out: &mut Vec<u8>) -> io::Result<bool> {
    let (mut input, mut ended) = (InBuffer::around(bytes), ended);
    let mut buffer = [0; 16 << 10];
    loop {
        if ended && input.pos() < bytes.len() {
            decoder.reinit()?;
        }
        let mut output = OutBuffer::around(&mut buffer[..]);
        if input.pos() == bytes.len() && ended {
            return Ok(true);
        }
        ended = decoder.run(&mut input, &mut output)? == 0;
        let written = output.pos();
        out.extend_from_slice(&buffer[..written]);
        if input.pos() == bytes.len() && written < buffer.len() {
            return Ok(ended);
        }
    }
}

/// Decodes the complete chunks at the beginning; returns how many bytes these are.
fn snappy_chunks(pending: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
    let mut taken = 0;
    while let Some(([kind, a, b, c], rest)) = pending[taken..].split_first_chunk::<4>() {
        let size = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
        if size > SNAPPY_CHUNK_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a chunk of {size} bytes is too long")));
        }
        if rest.len() < size {
            break;
        }
        let chunk = &pending[taken..taken + 4 + size];
        // Each chunk is decoded as a stream of its own: it has its own checksum, and nothing points out of it.
        if *kind == SNAPPY_START[0] {
            if chunk != SNAPPY_START {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its beginning is not that of such a stream"));
            }
        } else {
            snap::read::FrameDecoder::new(SNAPPY_START.chain(chunk)).read_to_end(out)?;
        }
        taken += chunk.len();
    }
    Ok(taken)
}
