//! An object's bytes to lines.

use std::io::{self, BufRead};

use datapipe_core::table::Compression;
use sha2::{Digest, Sha256};

use crate::inflate::Inflate;

/// Reads one object.
pub(crate) struct Decoder {
    inflate: Inflate,
    compression: Compression,
    digest: Sha256,
    size: u64,
    line_bytes_max: usize,
    /// How much of the unfinished line is known to hold no line end.
    searched: usize,
}

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stopped<E> {
    /// The object's content is unusable.
    Content(String),
    /// Whoever takes the lines failed.
    Taker(E),
}

impl Decoder {
    pub(crate) fn new(compression: Compression, line_bytes_max: usize) -> io::Result<Self> {
        let inflate = Inflate::new(compression)?;
        Ok(Self { inflate, compression, digest: Sha256::new(), size: 0, line_bytes_max, searched: 0 })
    }

    /// Counts and digests bytes without looking into them.
    pub(crate) fn digest(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Inflates bytes and hands over each complete line.
    pub(crate) fn lines<E>(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&[u8]) -> Result<(), Stopped<E>>,
    ) -> Result<(), Stopped<E>> {
        for step in bytes.chunks(self.inflate.step_bytes()) {
            let no_content = |error| Stopped::Content(format!("it is no {}: {error}", self.compression.name()));
            self.inflate.write(step).map_err(no_content)?;
            let lines = self.inflate.out();
            let mut taken = 0;
            let mut searched = self.searched;
            loop {
                let mut rest = &lines[searched..];
                // A slice is read without failure.
                searched += rest.skip_until(b'\n').unwrap_or_default();
                let line = &lines[taken..searched];
                check_length(line, self.line_bytes_max)?;
                let Some(line) = line.strip_suffix(b"\n") else { break };
                take(line)?;
                taken = searched;
            }
            lines.drain(..taken);
            self.searched = lines.len();
        }
        Ok(())
    }

    /// Hands over a last line without an end, and checks that the compressed stream is complete.
    pub(crate) fn finish<E>(
        &mut self,
        take: &mut impl FnMut(&[u8]) -> Result<(), Stopped<E>>,
    ) -> Result<(), Stopped<E>> {
        self.inflate.finish().map_err(|error| Stopped::Content(format!("it is cut off: {error}")))?;
        let rest = std::mem::take(self.inflate.out());
        rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).try_for_each(|line| {
            check_length(line, self.line_bytes_max)?;
            take(line)
        })
    }

    /// The size in bytes and the SHA-256 in hexadecimal of all bytes so far.
    pub(crate) fn sum(self) -> (u64, String) {
        (self.size, format!("{:x}", self.digest.finalize()))
    }
}

fn check_length<E>(line: &[u8], line_bytes_max: usize) -> Result<(), Stopped<E>> {
    if line.len() > line_bytes_max {
        return Err(Stopped::Content(format!("a line is longer than {line_bytes_max} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn compressed(compression: Compression, text: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => text.to_vec(),
            Compression::Gzip => gzip(text),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Snappy => {
                let mut encoder = snap::write::FrameEncoder::new(Vec::new());
                encoder.write_all(text).unwrap();
                encoder.into_inner().unwrap()
            }
        }
    }

    fn decode(bytes: &[u8], line_bytes_max: usize) -> Result<Vec<String>, String> {
        decode_as(Compression::Gzip, bytes, line_bytes_max)
    }

    fn decode_as(compression: Compression, bytes: &[u8], line_bytes_max: usize) -> Result<Vec<String>, String> {
        let mut decoder = Decoder::new(compression, line_bytes_max).unwrap();
        let mut found = Vec::new();
        let mut take = |line: &[u8]| {
            found.push(String::from_utf8(line.to_vec()).unwrap());
            Ok::<(), Stopped<()>>(())
        };
        let mut all = || {
            for part in bytes.chunks(7) {
                decoder.lines(part, &mut take)?;
            }
            decoder.finish(&mut take)
        };
        match all() {
            Ok(()) => Ok(found),
            Err(Stopped::Content(why)) => Err(why),
            Err(Stopped::Taker(())) => Err("taker".to_owned()),
        }
    }

    #[test]
    fn lines_are_found_across_parts_and_members() {
        for compression in Compression::ALL {
            let parts: [&[u8]; 2] = [b"one\ntwo\nth", b"ree\nfour"];
            let bytes = parts.map(|part| compressed(compression, part)).concat();
            assert_eq!(
                decode_as(compression, &bytes, 100).unwrap(),
                ["one", "two", "three", "four"],
                "{compression:?}"
            );
        }
    }

    #[test]
    fn a_cut_or_altered_object_is_noticed() {
        let text: Vec<u8> = (0..20_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        for compression in Compression::ALL.into_iter().filter(|compression| *compression != Compression::None) {
            let bytes = compressed(compression, &text);
            assert_eq!(decode_as(compression, &bytes, 100).unwrap().len(), 20_000);
            for cut in [1, 9, bytes.len() / 2] {
                let cut_off = decode_as(compression, &bytes[..bytes.len() - cut], 100);
                assert!(cut_off.is_err(), "{compression:?} cut by {cut}");
            }
            let mut altered = bytes;
            let middle = altered.len() / 2;
            altered[middle] ^= 0x10;
            assert!(decode_as(compression, &altered, 100).is_err(), "{compression:?}");
            let plain = decode_as(compression, b"{\"plain\":1}\n", 100);
            assert!(plain.is_err(), "{compression:?}");
        }
        assert!(decode(b"{\"plain\":1}\n", 100).unwrap_err().contains("no gzip"));
    }

    #[test]
    fn a_line_is_bounded() {
        assert!(decode(&gzip(&[b'x'; 101]), 100).unwrap_err().contains("longer than 100"));
    }
}
