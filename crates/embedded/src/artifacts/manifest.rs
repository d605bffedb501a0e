//! The pinned sets of jars: which coordinates Maven is asked for, and the digest of every file that may come back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::digest;
use crate::{Error, Result};

const ABSENT: &str = "no such file";

/// A set of jars with a committed manifest in `artifacts/`. A further set is one more manifest and one more variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JarSet {
    /// What the broker needs.
    KafkaBroker,
    /// What a Kafka Connect worker needs.
    KafkaConnect,
    /// Debezium's PostgreSQL connector 3.6.
    Debezium36,
    /// Debezium's PostgreSQL connector 3.7.
    Debezium37,
}

impl JarSet {
    /// Name of the set and of its folder in the cache.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KafkaBroker => "kafka-broker-4.3.1",
            Self::KafkaConnect => "kafka-connect-4.3.1",
            Self::Debezium36 => "debezium-postgres-3.6.3",
            Self::Debezium37 => "debezium-postgres-3.7.0",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::KafkaBroker => include_str!("../../artifacts/kafka-broker-4.3.1.txt"),
            Self::KafkaConnect => include_str!("../../artifacts/kafka-connect-4.3.1.txt"),
            Self::Debezium36 => include_str!("../../artifacts/debezium-postgres-3.6.3.txt"),
            Self::Debezium37 => include_str!("../../artifacts/debezium-postgres-3.7.0.txt"),
        }
    }
}

/// A parsed manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Maven coordinates, `group:artifact:version`.
    pub(crate) artifacts: Vec<&'static str>,
    /// File name to SHA-256.
    pub(crate) files: BTreeMap<&'static str, &'static str>,
}

impl Manifest {
    pub(crate) fn of(set: JarSet) -> Self {
        Self::parse(set.text())
    }

    fn parse(text: &'static str) -> Self {
        let mut manifest = Self { artifacts: Vec::new(), files: BTreeMap::new() };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("artifact"), Some(coordinates), None) => manifest.artifacts.push(coordinates),
                (Some("sha256"), Some(digest), Some(file)) => {
                    manifest.files.insert(file, digest);
                }
                _ => {}
            }
        }
        manifest
    }

    /// Every listed file is there with its digest, and no other jar is.
    pub(crate) fn verify(&self, folder: &Path) -> Result<()> {
        for (file, expected) in &self.files {
            let path = folder.join(file);
            if !path.exists() {
                return Err(Error::Checksum { path, expected: (*expected).to_owned(), got: ABSENT.to_owned() });
            }
            digest::check(&path, expected)?;
        }
        let entries = fs::read_dir(folder).map_err(Error::io(format!("list {}", folder.display())))?;
        for entry in entries {
            let entry = entry.map_err(Error::io(format!("list {}", folder.display())))?;
            let name = entry.file_name();
            if !self.files.contains_key(name.to_string_lossy().as_ref()) {
                return Err(Error::Checksum {
                    path: entry.path(),
                    expected: ABSENT.to_owned(),
                    got: "a file that the manifest does not list".to_owned(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn one_file() -> Manifest {
        let mut manifest = Manifest::parse("artifact g:a:1\n# words\nsha256 x a.jar\n");
        manifest.files.insert("a.jar", EMPTY);
        manifest
    }

    #[test]
    fn the_sets_are_complete() {
        let sets = [
            (JarSet::KafkaBroker, 2, 46),
            (JarSet::KafkaConnect, 5, 59),
            (JarSet::Debezium36, 1, 22),
            (JarSet::Debezium37, 1, 22),
        ];
        for (set, artifacts, files) in sets {
            let manifest = Manifest::of(set);
            assert_eq!((manifest.artifacts.len(), manifest.files.len()), (artifacts, files), "{}", set.name());
            assert!(manifest.files.values().all(|digest| digest.len() == 64));
        }
    }

    #[test]
    fn a_changed_a_missing_and_a_foreign_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jar");
        let missing = one_file().verify(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("a.jar") && missing.contains("got no such file"), "{missing}");

        fs::write(&file, "").unwrap();
        one_file().verify(folder.path()).unwrap();

        fs::write(&file, "x").unwrap();
        let changed = one_file().verify(folder.path()).unwrap_err().to_string();
        assert!(changed.contains("a.jar") && changed.contains(EMPTY) && changed.contains("got 2d711642"), "{changed}");

        fs::write(&file, "").unwrap();
        fs::write(folder.path().join("b.jar"), "").unwrap();
        let foreign = one_file().verify(folder.path()).unwrap_err().to_string();
        assert!(foreign.contains("b.jar"), "{foreign}");
    }
}
