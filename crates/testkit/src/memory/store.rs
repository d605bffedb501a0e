//! The object store in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::port::store::{Body, Created, Head, ObjectStore, Page};
use datapipe_core::port::{ErrorKind, PortError};

use super::objects::StoredObject;
use crate::sim::fault::Point;
use crate::sim::world::{Instance, Mutation, World, failed};

/// What the delivery is at, as its ports see it.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    running: bool,
    created: Option<Created>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LinkHandle(Arc<Mutex<Link>>);

impl LinkHandle {
    fn with<T>(&self, act: impl FnOnce(&mut Link) -> T) -> T {
        act(&mut self.0.lock().expect("never poisoned"))
    }

    pub(crate) fn running(&self) -> bool {
        self.with(|link| link.running)
    }

    pub(crate) fn run(&self) {
        self.with(|link| link.running = true);
    }

    /// Whether the last call of the store created an object.
    pub(crate) fn own(&self) -> bool {
        self.with(|link| link.created == Some(Created::Yes))
    }
}

/// The world's objects, for one run of a delivery.
pub struct MemoryStore {
    instance: Instance,
    link: LinkHandle,
}

impl MemoryStore {
    /// A store for one run.
    pub fn new(instance: &Instance) -> Self {
        Self { instance: instance.clone(), link: LinkHandle::default() }
    }

    pub(crate) fn link(&self) -> LinkHandle {
        self.link.clone()
    }
}

fn content(body: &Body) -> Result<Bytes, PortError> {
    match body {
        Body::Memory(bytes) => Ok(bytes.clone()),
        Body::File { path, .. } => std::fs::read(path)
            .map(Bytes::from)
            .map_err(|error| PortError::new(ErrorKind::Retry, format!("reading {}", path.display())).because(error)),
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn probe(&self, _prefix: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn create(&self, key: &str, body: Body, metadata: &BTreeMap<String, String>) -> Result<Created, PortError> {
        let object = StoredObject { content: content(&body)?, metadata: metadata.clone() };
        let key = key.to_owned();
        let create = move |world: &mut World| {
            let overwrites = world.mutation == Some(Mutation::CreateOverwrites);
            let created = world.objects.create(&key, object, overwrites);
            world.note(|| format!("{created:?}: {key}"));
            Ok(created)
        };
        let created = self.instance.gate(Point::Create, create).await?;
        self.link.with(|link| link.created = Some(created));
        Ok(created)
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, PortError> {
        let point = self.link.with(|link| match (link.running, link.created.take()) {
            (false, _) => Point::HeadStart,
            (true, Some(Created::Exists)) => Point::HeadExists,
            (true, _) => Point::HeadLook,
        });
        let key = key.to_owned();
        self.instance.gate(point, move |world| Ok(world.objects.head(&key))).await
    }

    async fn list(&self, prefix: &str, folders: bool, from: Option<&str>) -> Result<Page, PortError> {
        let (prefix, from) = (prefix.to_owned(), from.map(str::to_owned));
        self.instance.gate(Point::List, move |world| Ok(world.objects.list(&prefix, folders, from.as_deref()))).await
    }

    async fn read(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, PortError> {
        let world = self.instance.shared.lock();
        let missing = || failed(ErrorKind::Refused, Point::HeadLook, "the object does not exist");
        let content = world.objects.all.get(key).ok_or_else(missing)?.content.clone();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(content.len());
        Ok(content.slice(from..to))
    }
}
