//! An object's bytes to lines.

use std::io::{BufRead, Write};

use flate2::write::MultiGzDecoder;
use sha2::{Digest, Sha256};

/// How much of the compressed bytes is inflated at a time. Deflate expands at most 1032 times, so that at most about
/// 4 MiB of lines are in memory beside an unfinished one.
const STEP_BYTES: usize = 4 * 1024;

/// Reads one object.
pub(crate) struct Decoder {
    gzip: MultiGzDecoder<Vec<u8>>,
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
    pub(crate) fn new(line_bytes_max: usize) -> Self {
        Self { gzip: MultiGzDecoder::new(Vec::new()), digest: Sha256::new(), size: 0, line_bytes_max, searched: 0 }
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
        for step in bytes.chunks(STEP_BYTES) {
            self.gzip.write_all(step).map_err(|error| Stopped::Content(format!("it is no gzip: {error}")))?;
            let lines = self.gzip.get_mut();
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
        self.gzip.try_finish().map_err(|error| Stopped::Content(format!("it is cut off: {error}")))?;
        let rest = std::mem::take(self.gzip.get_mut());
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
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(bytes: &[u8], line_bytes_max: usize) -> Result<Vec<String>, String> {
        let mut decoder = Decoder::new(line_bytes_max);
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
        let bytes = [gzip(b"one\ntwo\nth"), gzip(b"ree\nfour")].concat();
        assert_eq!(decode(&bytes, 100).unwrap(), ["one", "two", "three", "four"]);
    }

    #[test]
    fn a_cut_or_altered_object_is_noticed() {
        let text: Vec<u8> = (0..2000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let bytes = gzip(&text);
        assert_eq!(decode(&bytes, 100).unwrap().len(), 2000);
        for cut in [1, 9, bytes.len() / 2] {
            assert!(decode(&bytes[..bytes.len() - cut], 100).is_err(), "cut by {cut}");
        }
        let mut altered = bytes;
        let middle = altered.len() / 2;
        altered[middle] ^= 0x10;
        assert!(decode(&altered, 100).is_err());
        assert!(decode(b"{\"plain\":1}\n", 100).unwrap_err().contains("no gzip"));
    }

    #[test]
    fn a_line_is_bounded() {
        assert!(decode(&gzip(&[b'x'; 101]), 100).unwrap_err().contains("longer than 100"));
    }
}
