//! Files that are fetched once by Maven, checked against pinned digests, and kept in the user's cache folder.

mod cache;
mod digest;
mod manifest;
mod maven;
mod unpack;

pub use cache::Cache;
pub(crate) use manifest::JarSet;
pub(crate) use unpack::{PostgresBuild, postgres};

use std::path::PathBuf;

use crate::{Debezium, Progress, Result};

/// Where the pinned jars of each program lie.
#[derive(Debug, Clone)]
pub struct JarFolders {
    /// The broker's.
    pub broker: PathBuf,
    /// Kafka Connect's.
    pub connect: PathBuf,
    /// Debezium's PostgreSQL connector, a plugin.
    pub debezium: PathBuf,
}

/// The pinned jars, for whoever starts their programs otherwise than here; fetched if they are not there yet.
pub fn jar_folders(cache: &Cache, debezium: Debezium, progress: &Progress) -> Result<JarFolders> {
    Ok(JarFolders {
        broker: jars(cache, JarSet::KafkaBroker, progress)?,
        connect: jars(cache, JarSet::KafkaConnect, progress)?,
        debezium: jars(cache, debezium.jars(), progress)?,
    })
}

/// The folder with the jars of `set`, fetched on first use. Later calls need no network.
pub(crate) fn jars(cache: &Cache, set: JarSet, progress: &Progress) -> Result<PathBuf> {
    let manifest = manifest::Manifest::of(set);
    cache.folder(set.name(), |staging, is_new| {
        if is_new {
            progress.line(&format!("fetching {} ({} jars) with Maven, once", set.name(), manifest.files.len()));
            let is_wanted = |file: &str| manifest.files.contains_key(file);
            maven::copy_dependencies(&manifest.artifacts, staging, is_wanted, progress)?;
        }
        manifest.verify(staging)
    })
}
