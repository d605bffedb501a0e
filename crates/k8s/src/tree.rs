//! What is rendered, and how it becomes files.

mod write;

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

pub use write::{WriteError, Written};

/// The folder of the tree.
pub const FOLDER: &str = "1-data-ingestion-pipeline";

/// A rendered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its text.
    pub text: String,
    /// Whether it is a program.
    pub executable: bool,
}

/// The rendered files by their path within [`FOLDER`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<String, File>,
    objects: Vec<Value>,
}

impl Tree {
    /// The file of that path.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// All files, ordered by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The objects of all manifests.
    pub fn objects(&self) -> impl Iterator<Item = &Value> {
        self.objects.iter()
    }

    pub(crate) fn put_objects(&mut self, objects: Vec<Value>) {
        self.objects.extend(objects);
    }

    pub(crate) fn put(&mut self, path: impl Into<String>, text: String) {
        self.files.insert(path.into(), File { text, executable: false });
    }

    pub(crate) fn put_program(&mut self, path: &str, text: String) {
        self.files.insert(path.to_owned(), File { text, executable: true });
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
