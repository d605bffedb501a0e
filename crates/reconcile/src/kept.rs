//! What one proof leaves for the next: the rows that were proven, and from which objects on more is to be read.
//!
//! A folder with `proof.json` and the rows by the hash of their key, as compressed records. It is written beside its place
//! and moved there once the proof is made, so that it is whole or not there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Error, ErrorKind, Result, Write as _};
use std::path::{Path, PathBuf};

use datapipe_core::port::rows::Moment;
use serde::{Deserialize, Serialize};

use crate::scope::Scope;
use crate::spill::{Part, Record, Records, append};

/// The form of what is kept: what has another one is not used.
const FORM: u32 = 1;
const HEADER: &str = "proof.json";
/// The fastest level: files are read once and thrown away.
const COMPRESSION: i32 = 1;

/// What was proven, and of when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    form: u32,
    /// Of what the rows are: another table's, or rows in other forms, are no beginning.
    subject: String,
    pub(crate) moment: Moment,
    pub(crate) rows: u64,
    pub(crate) partitions: BTreeMap<i32, Mark>,
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The next proof reads objects from this offset on: from the first one with an event that the rows did not hold.
    pub(crate) resume: i64,
    /// Objects that begin here or later were not read.
    pub(crate) end: i64,
}

fn subject(scope: &Scope) -> String {
    let Scope { table, topic, key, layout, output, forms, .. } = scope;
    format!("{table} {topic} {key:?} {layout:?} {output:?} {forms}")
}

/// What the last proof has left; none if it left nothing, or what it left is of something else.
pub(crate) fn header(scope: &Scope) -> Result<Option<Header>> {
    let Some(folder) = scope.keep.as_ref().filter(|_| scope.moment.is_some()) else { return Ok(None) };
    let text = match fs::read(folder.join(HEADER)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let header: Option<Header> = serde_json::from_slice(&text).ok();
    Ok(header.filter(|header| header.form == FORM && header.subject == subject(scope)))
}

/// Gives the kept rows one after another.
pub(crate) fn rows(folder: &Path, rows: u64, take: &mut impl FnMut(&Record<'_>) -> Result<()>) -> Result<()> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "zst") {
            continue;
        }
        let mut records = Records::over(BufReader::new(zstd::Decoder::new(File::open(path)?)?));
        while let Some(record) = records.next()? {
            take(&record)?;
            count += 1;
        }
    }
    if count == rows {
        return Ok(());
    }
    let what = format!("{} holds {count} rows, and its {HEADER} says {rows}: delete it", folder.display());
    Err(Error::new(ErrorKind::InvalidData, what))
}

/// Rows that are kept if they are proven.
pub(crate) struct Draft {
    folder: PathBuf,
    beside: PathBuf,
}

impl Draft {
    /// Writes a table's rows beside their place.
    pub(crate) fn of(folder: &Path, parts: &mut [Part]) -> Result<Self> {
        let mut beside = folder.as_os_str().to_owned();
        beside.push(".part");
        let draft = Self { folder: folder.to_owned(), beside: beside.into() };
        remove(&draft.beside)?;
        private(&draft.beside)?;
        for (number, part) in parts.iter_mut().enumerate() {
            let file = BufWriter::new(File::create(draft.beside.join(format!("rows-{number:02}.zst")))?);
            let mut encoder = zstd::Encoder::new(file, COMPRESSION)?;
            encoder.include_checksum(true)?;
            let mut records = Records::of(part)?;
            while let Some(record) = records.next()? {
                append(&mut encoder, &record)?;
            }
            encoder.finish()?.flush()?;
        }
        Ok(draft)
    }

    /// The rows are proven: they take the place of earlier ones.
    pub(crate) fn keep(self, scope: &Scope, rows: u64, partitions: BTreeMap<i32, Mark>) -> Result<()> {
        let Some(moment) = scope.moment.clone() else { return self.drop() };
        let header = Header { form: FORM, subject: subject(scope), moment, rows, partitions };
        fs::write(self.beside.join(HEADER), serde_json::to_vec(&header)?)?;
        remove(&self.folder)?;
        fs::rename(&self.beside, &self.folder)
    }

    /// They are not.
    pub(crate) fn drop(self) -> Result<()> {
        remove(&self.beside)
    }
}

/// A folder that nobody else may read: it holds a table's rows.
fn private(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
