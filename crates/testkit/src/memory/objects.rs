//! A small object store.

use std::collections::BTreeMap;

use bytes::Bytes;
use datapipe_core::port::store::{Created, Head, Page};

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// What is in it.
    pub content: Bytes,
    /// Its user metadata.
    pub metadata: BTreeMap<String, String>,
}

/// The objects, by key.
#[derive(Debug)]
pub struct Objects {
    /// All there are.
    pub all: BTreeMap<String, StoredObject>,
    /// Keys and folders on one page of a listing.
    pub page_max: usize,
}

impl Default for Objects {
    fn default() -> Self {
        Self { all: BTreeMap::new(), page_max: 2 }
    }
}

impl Objects {
    pub(crate) fn create(&mut self, key: &str, object: StoredObject, overwrites: bool) -> Created {
        if !overwrites && self.all.contains_key(key) {
            return Created::Exists;
        }
        self.all.insert(key.to_owned(), object);
        Created::Yes
    }

    pub(crate) fn head(&self, key: &str) -> Option<Head> {
        let object = self.all.get(key)?;
        Some(Head { size: object.content.len() as u64, metadata: object.metadata.clone() })
    }

    pub(crate) fn list(&self, prefix: &str, folders: bool, from: Option<&str>) -> Page {
        let mut page = Page::default();
        let mut last = String::new();
        let below = self.all.range(prefix.to_owned()..).map(|(key, _)| key);
        for key in below.take_while(|key| key.starts_with(prefix)) {
            let folder =
                if folders { key[prefix.len()..].find('/').map(|at| &key[..=prefix.len() + at]) } else { None };
            let entry = folder.unwrap_or(key);
            if from.is_some_and(|from| entry <= from) || entry == last {
                continue;
            }
            if page.keys.len() + page.folders.len() == self.page_max {
                page.next = Some(last);
                break;
            }
            entry.clone_into(&mut last);
            if folder.is_some() { page.folders.push(last.clone()) } else { page.keys.push(last.clone()) }
        }
        page
    }
}

impl Objects {
    /// Where a partition's chain ends, by the objects' metadata.
    pub(crate) fn chain_end(&self, partition: i32) -> Option<i64> {
        let partition = partition.to_string();
        let of = self.all.values().filter(|object| object.metadata.get("datapipe-partition") == Some(&partition));
        of.filter_map(|object| object.metadata.get("datapipe-next")?.parse().ok()).max()
    }
}
