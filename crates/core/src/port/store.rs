//! Where objects lie.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

use super::PortError;

/// The content of an object to be created.
#[derive(Clone, Debug)]
pub enum Body {
    /// Held in memory.
    Memory(Bytes),
    /// Spooled to a file, which is read while it is sent.
    File {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
}

impl Body {
    /// The size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }
}

/// What became of a conditional create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is there, and it is ours.
    Yes,
    /// An object of that name was there before.
    Exists,
}

/// An object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The size in bytes.
    pub size: u64,
    /// User metadata, names in lower case without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys in byte order.
    pub keys: Vec<String>,
    /// The common prefixes up to and including a `/`, if they were asked for.
    pub folders: Vec<String>,
    /// Where to go on; none at the end.
    pub next: Option<String>,
}

/// An object store with strongly consistent reads and atomic conditional creation.
///
/// * **Atomicity**: [`ObjectStore::create`] makes the whole object appear under its key or none of it, and of any
///   number of racing calls for one key exactly one gets [`Created::Yes`].
/// * **Durability**: after [`Created::Yes`] the object outlives the store's own crash, as far as the store promises.
/// * **Ambiguity**: a lost reply is retried; the repeated call answers [`Created::Exists`] if the first one took
///   effect, so the caller must compare what is there.
/// * **Parallelism**: any number of callers.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Proves by two writes of a small object under `prefix` that the store refuses to overwrite when asked to.
    async fn probe(&self, prefix: &str) -> Result<(), PortError>;

    /// Creates an object unless one of that key is there.
    async fn create(&self, key: &str, body: Body, metadata: &BTreeMap<String, String>) -> Result<Created, PortError>;

    /// Looks at an object; none if it is not there.
    async fn head(&self, key: &str) -> Result<Option<Head>, PortError>;

    /// Lists keys below `prefix`, only one level of folders if `folders` is set, going on at `from`.
    async fn list(&self, prefix: &str, folders: bool, from: Option<&str>) -> Result<Page, PortError>;

    /// Reads up to `length` bytes of an object from `offset` on; fewer only at its end.
    async fn read(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, PortError>;
}
