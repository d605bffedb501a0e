//! Temporary files of records, one per part of the keys' hashes.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufReader, BufWriter, Read, Result, Seek, Write};
use std::path::{Path, PathBuf};

/// Parts per level of splitting.
const PARTS: usize = 32;

/// Bits of the hash that a level uses.
const BITS: u32 = PARTS.trailing_zeros();

/// Levels until the hash's 64 bits are used up.
pub(crate) const LEVELS_MAX: u32 = 64 / BITS;

/// A file's buffer, in bytes.
const BUFFER_BYTES: usize = 32 * 1024;

const HEAD_BYTES: usize = 37;

/// An event or a row on its way to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// The key's hash.
    pub(crate) hash: u64,
    /// The event's place in the order of folding.
    pub(crate) place: u64,
    /// `source.lsn`; 0 without one.
    pub(crate) lsn: u64,
    /// The number of the object that it comes from.
    pub(crate) object: u32,
    /// The op's letter.
    pub(crate) op: u8,
    /// The key as JSON.
    pub(crate) key: &'a [u8],
    /// The row as JSON.
    pub(crate) row: &'a [u8],
}

/// A key's hash; the same in every run.
pub(crate) fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

/// Appends a record to a file.
pub(crate) fn append(file: &mut impl Write, record: &Record<'_>) -> Result<()> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(std::io::Error::other);
    let mut head = [0; HEAD_BYTES];
    head[0..8].copy_from_slice(&record.hash.to_le_bytes());
    head[8..16].copy_from_slice(&record.place.to_le_bytes());
    head[16..24].copy_from_slice(&record.lsn.to_le_bytes());
    head[24..28].copy_from_slice(&record.object.to_le_bytes());
    head[28] = record.op;
    head[29..33].copy_from_slice(&length(record.key)?.to_le_bytes());
    head[33..37].copy_from_slice(&length(record.row)?.to_le_bytes());
    file.write_all(&head)?;
    file.write_all(record.key)?;
    file.write_all(record.row)
}

/// Files that are being written.
pub(crate) struct Parts {
    level: u32,
    folder: Option<PathBuf>,
    files: [Option<BufWriter<File>>; PARTS],
}

/// A finished file; none if nothing was written.
pub(crate) type Part = Option<File>;

impl Parts {
    /// No files yet for the parts of one level. They vanish when they are closed, even by a crash.
    pub(crate) fn new(level: u32, folder: Option<&Path>) -> Self {
        Self { level, folder: folder.map(Path::to_owned), files: [const { None }; PARTS] }
    }

    pub(crate) fn push(&mut self, record: &Record<'_>) -> Result<()> {
        let bits = (record.hash >> (self.level * BITS)) % PARTS as u64;
        let part = usize::try_from(bits).expect("below PARTS");
        let file = match &mut self.files[part] {
            Some(file) => file,
            empty => {
                let file = self.folder.as_ref().map_or_else(tempfile::tempfile, tempfile::tempfile_in)?;
                empty.insert(BufWriter::with_capacity(BUFFER_BYTES, file))
            }
        };
        append(file, record)
    }

    /// Ends the writing.
    pub(crate) fn finish(self) -> Result<Vec<Part>> {
        let written = |file: BufWriter<File>| file.into_inner().map_err(std::io::IntoInnerError::into_error);
        self.files.into_iter().map(|file| file.map(written).transpose()).collect()
    }
}

/// Records being read from the first one on.
pub(crate) struct Records<R> {
    input: Option<R>,
    content: Vec<u8>,
}

impl<'f> Records<BufReader<&'f mut File>> {
    /// Those of a finished file.
    pub(crate) fn of(part: &'f mut Part) -> Result<Self> {
        let mut input = None;
        if let Some(file) = part {
            file.rewind()?;
            input = Some(BufReader::with_capacity(BUFFER_BYTES, file));
        }
        Ok(Self { input, content: Vec::new() })
    }
}

impl<R: Read> Records<R> {
    pub(crate) const fn over(input: R) -> Self {
        Self { input: Some(input), content: Vec::new() }
    }

    /// The next record; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>> {
        let Some(input) = &mut self.input else { return Ok(None) };
        let mut head = [0; HEAD_BYTES];
        if input.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        input.read_exact(&mut head[1..])?;
        let long = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let short = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let (key, row) = (short(29) as usize, short(33) as usize);
        self.content.resize(key + row, 0);
        input.read_exact(&mut self.content)?;
        let (key, row) = self.content.split_at(key);
        Ok(Some(Record { hash: long(0), place: long(8), lsn: long(16), object: short(24), op: head[28], key, row }))
    }
}

/// Splits a part by the next level's bits.
pub(crate) fn split(part: &mut Part, level: u32, folder: Option<&Path>) -> Result<Vec<Part>> {
    let mut parts = Parts::new(level, folder);
    let mut records = Records::of(part)?;
    while let Some(record) = records.next()? {
        parts.push(&record)?;
    }
    parts.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_and_parts_split_further() {
        let mut parts = Parts::new(0, None);
        for n in 0..5000u32 {
            let key = n.to_string();
            let record = Record {
                hash: hash(key.as_bytes()),
                place: n.into(),
                lsn: 7,
                object: n,
                op: b'u',
                key: key.as_bytes(),
                row: b"{}",
            };
            parts.push(&record).unwrap();
        }
        let mut seen = 0;
        for mut file in parts.finish().unwrap() {
            let mut last = None;
            for mut file in split(&mut file, 1, None).unwrap() {
                let mut records = Records::of(&mut file).unwrap();
                let mut before = None;
                while let Some(record) = records.next().unwrap() {
                    assert_eq!((record.key, record.hash), (record.object.to_string().as_bytes(), hash(record.key)));
                    assert!(before < Some(record.place));
                    let path = record.hash % 32;
                    assert!(last.is_none_or(|last| last == path));
                    (before, last) = (Some(record.place), Some(path));
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 5000);
    }
}
