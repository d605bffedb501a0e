//! Writing the tree, without taking anybody's work away: what was rendered is known by its digest, and everything else
//! that would change is refused before the first file is written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{FOLDER, Tree, digest};

/// The digests of what was rendered here. A file that differs from its digest was changed by somebody.
const RECORD: &str = ".rendered.json";

/// What writing did, by paths within the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// New or changed files.
    pub written: Vec<String>,
    /// Files that were as they should be.
    pub unchanged: Vec<String>,
    /// Files of an earlier rendering that are no part of this one.
    pub removed: Vec<String>,
    /// Such files that somebody has changed: they are left.
    pub left: Vec<String>,
}

/// What keeps the tree from being written.
#[derive(Debug)]
pub enum WriteError {
    /// These files are there, differ, and were not rendered like that. Nothing was written.
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Paths within it.
        paths: Vec<String>,
    },
    /// A file or folder cannot be read or written.
    Io {
        /// What was attempted, as `writing`.
        attempt: &'static str,
        /// On which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Foreign { folder, paths } => write!(
                f,
                "{} holds files that were not rendered like that, or were changed since: {}; nothing was written; move \
                 them away, use another --out, or overwrite them with --force",
                folder.display(),
                paths.join(", ")
            ),
            Self::Io { attempt, path, source } => write!(f, "{attempt} {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for WriteError {}

fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    move |source| WriteError::Io { attempt, path: path.to_owned(), source }
}

impl Tree {
    /// Writes the tree below `out`. Files that are there, differ and are not as they were rendered are refused, all at
    /// once and before anything is written, unless `force`.
    pub fn write(&self, out: &Path, force: bool) -> Result<Written, WriteError> {
        let folder = out.join(FOLDER);
        let record = read_record(&folder)?;
        let mut done = Written::default();
        let mut foreign = Vec::new();
        for (path, file) in &self.files {
            match read(&folder.join(path))? {
                Some(found) if found == file.text.as_bytes() => done.unchanged.push(path.clone()),
                Some(found) if record.get(path) != Some(&digest(&found)) => {
                    foreign.push(path.clone());
                    done.written.push(path.clone());
                }
                _ => done.written.push(path.clone()),
            }
        }
        if !foreign.is_empty() && !force {
            return Err(WriteError::Foreign { folder, paths: foreign });
        }
        for path in done.unchanged.iter().chain(&done.written) {
            self.write_one(&folder, path)?;
        }
        for (path, rendered) in record.iter().filter(|(path, _)| !self.files.contains_key(*path)) {
            let file = folder.join(path);
            match read(&file)? {
                Some(found) if digest(&found) == *rendered => {
                    fs::remove_file(&file).map_err(failed("removing", &file))?;
                    done.removed.push(path.clone());
                }
                Some(_) => done.left.push(path.clone()),
                None => {}
            }
        }
        let digests: BTreeMap<&String, String> =
            self.files.iter().map(|(path, file)| (path, digest(file.text.as_bytes()))).collect();
        let text = serde_json::to_string_pretty(&digests).unwrap_or_default() + "\n";
        replace(&folder.join(RECORD), text.as_bytes(), false)?;
        Ok(done)
    }

    fn write_one(&self, folder: &Path, path: &str) -> Result<(), WriteError> {
        let Some(file) = self.files.get(path) else { return Ok(()) };
        let place = folder.join(path);
        let parent = place.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(failed("making the folder", parent))?;
        replace(&place, file.text.as_bytes(), file.executable)
    }
}

/// Whole or not at all: a file that is read meanwhile is the old one or the new one.
fn replace(place: &Path, bytes: &[u8], executable: bool) -> Result<(), WriteError> {
    let mut part = place.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mode = if executable { 0o755 } else { 0o644 };
    fs::write(&part, bytes).map_err(failed("writing", &part))?;
    fs::set_permissions(&part, fs::Permissions::from_mode(mode)).map_err(failed("setting the mode of", &part))?;
    fs::rename(&part, place).map_err(failed("writing", place))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, WriteError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("reading", path)(error)),
    }
}

/// Paths that lead out of the folder, or nowhere, are nobody's rendering.
fn read_record(folder: &Path) -> Result<BTreeMap<String, String>, WriteError> {
    let bytes = read(&folder.join(RECORD))?.unwrap_or_default();
    let mut record: BTreeMap<String, String> = serde_json::from_slice(&bytes).unwrap_or_default();
    record.retain(|path, _| Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_))));
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.put(*path, (*text).to_owned());
        }
        tree
    }

    #[test]
    fn what_is_ours_is_replaced_and_what_is_not_is_refused() {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().join(FOLDER);
        let first = tree(&[("a.yaml", "1"), ("connectors/b.json", "1"), ("c.yaml", "1"), ("d.yaml", "1")]);
        assert_eq!(first.write(out.path(), false).unwrap().written.len(), 4);
        assert_eq!(first.write(out.path(), false).unwrap().unchanged.len(), 4, "a second time changes nothing");

        fs::write(folder.join("d.yaml"), "mine").unwrap();
        let second = tree(&[("a.yaml", "2"), ("connectors/b.json", "1")]);
        let done = second.write(out.path(), false).unwrap();
        assert_eq!((done.written, done.unchanged), (vec!["a.yaml".to_owned()], vec!["connectors/b.json".to_owned()]));
        assert_eq!((done.removed, done.left), (vec!["c.yaml".to_owned()], vec!["d.yaml".to_owned()]));
        assert!(!folder.join("c.yaml").exists());

        fs::write(folder.join("a.yaml"), "changed by hand").unwrap();
        let third = tree(&[("a.yaml", "3"), ("d.yaml", "3"), ("e.yaml", "3")]);
        let Err(WriteError::Foreign { paths, .. }) = third.write(out.path(), false) else { panic!("not refused") };
        assert_eq!(paths, ["a.yaml", "d.yaml"]);
        assert!(!folder.join("e.yaml").exists(), "nothing is written");
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "changed by hand");
        third.write(out.path(), true).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "3");
    }

    #[test]
    fn programs_can_be_started_though_a_checkout_has_lost_their_mode() {
        let out = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.put_program("run.sh", "#!/bin/sh\n".to_owned());
        tree.write(out.path(), false).unwrap();
        let place = out.path().join(FOLDER).join("run.sh");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
        tree.write(out.path(), false).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_record_that_leads_out_of_the_folder_removes_nothing() {
        let out = tempfile::tempdir().unwrap();
        let outside = out.path().join("keep.txt");
        fs::write(&outside, "x").unwrap();
        fs::create_dir(out.path().join(FOLDER)).unwrap();
        let record = format!("{{\"../keep.txt\": \"{}\"}}", digest(b"x"));
        fs::write(out.path().join(FOLDER).join(RECORD), record).unwrap();
        tree(&[("a", "1")]).write(out.path(), false).unwrap();
        assert!(outside.exists());
    }
}
