//! Closing objects, and finding a chain's end: after a crash, beside another delivery, or with the group's offset
//! lost.

use std::time::Duration;

use datapipe_core::object::{Cut, ObjectMeta};
use datapipe_core::port::log::{GroupOffset, ReadRecord, RecordBatch};
use datapipe_core::port::store::{Created, Page};
use datapipe_core::port::{ErrorKind, PortError};

use super::object::{self, ClosedObject, digest};
use super::{DeliverSettings, Delivery};

/// How many pages of a listing are read before the layout is called foreign; a page has up to 1000 keys.
const PAGES_MAX: usize = 10_000;

/// How long the log may take to show one record; above the longest that an open transaction may hide it (60 s).
const PEEK_MAX: Duration = Duration::from_secs(75);
/// What to do about objects of an earlier topic.
const ANEW: &str = "move the table's old objects away, or give it a new bucket or prefix";

impl Delivery<'_> {
    /// Closes the open object of a chain and makes it the next link, or adopts the one that stands there.
    pub(super) async fn close(&mut self, index: usize, cut: Cut) -> Result<(), PortError> {
        let Some((open, covered)) = self.chains[index].take_open() else { return Ok(()) };
        let folder = &self.settings.spool_folder;
        let closed = open.close(covered).map_err(|error| {
            PortError::new(ErrorKind::Retry, format!("spooling an object in {}", folder.display())).because(error)
        })?;
        let bytes = closed.content.body.size();
        let created = self.ports.store.create(&closed.key, closed.content.body.clone(), &closed.metadata).await?;
        match created {
            Created::Yes => self.created(index, &closed, bytes, cut).await,
            Created::Exists => {
                let stored = self.stored(&closed.key, Some(&closed.meta.first_digest)).await?;
                let Some(stored) = stored else {
                    return Err(PortError::new(ErrorKind::Retry, format!("reading object {}", closed.key))
                        .because("the store says that it exists, and then that it does not".to_owned()));
                };
                // The reply to an earlier try of ours may have been lost.
                if stored == closed.meta {
                    return self.created(index, &closed, bytes, cut).await;
                }
                self.adopt(index, &stored, &closed.key).await
            }
        }
    }

    async fn created(&mut self, index: usize, closed: &ClosedObject, bytes: u64, cut: Cut) -> Result<(), PortError> {
        tracing::debug!(key = %closed.key, rows = closed.meta.written, bytes, ?cut, "object created");
        self.gauges.rows.add(closed.meta.written);
        self.gauges.objects.add(1);
        self.gauges.bytes.add(bytes);
        self.link(index, closed.meta.next, &closed.key, true).await
    }

    /// Looks whether the object that starts with this record exists, and adopts it.
    pub(super) async fn adopt_existing(&mut self, index: usize, first: &ReadRecord<'_>) -> Result<bool, PortError> {
        let key = object::key(self.settings, &self.identity, first);
        match self.stored(&key, Some(&digest(first))).await? {
            None => {
                self.chains[index].looked();
                Ok(false)
            }
            Some(stored) => {
                self.adopt(index, &stored, &key).await?;
                Ok(true)
            }
        }
    }

    async fn adopt(&mut self, index: usize, stored: &ObjectMeta, key: &str) -> Result<(), PortError> {
        tracing::info!(key, next = stored.next, "object exists already: going on after it");
        self.gauges.adopted.add(1);
        let partition = self.chains[index].partition();
        self.link(index, stored.next, key, false).await?;
        self.go_to(partition, stored.next).await
    }

    /// An object up to `next` exists: the chain goes on there, and so does whoever starts next.
    async fn link(&mut self, index: usize, next: i64, key: &str, ours: bool) -> Result<(), PortError> {
        let partition = self.chains[index].partition();
        self.chains[index].linked(next, ours);
        let offset = GroupOffset { offset: next, note: key.to_owned() };
        self.ports.reader.commit(partition, &offset).await
    }

    pub(super) async fn go_to(&mut self, partition: i32, offset: i64) -> Result<(), PortError> {
        self.ports.reader.seek(partition, offset).await
    }

    /// The metadata of an object of ours; none without one. Anything else under that name is refused.
    async fn stored(&mut self, key: &str, first_digest: Option<&str>) -> Result<Option<ObjectMeta>, PortError> {
        let Some(head) = self.ports.store.head(key).await? else { return Ok(None) };
        let foreign = |why: String| {
            PortError::new(ErrorKind::Refused, format!("adopting object {key}")).because(why).hint(
                "move the object away if it is not needed; if the topic was created anew, give the table a new bucket \
                 or prefix, or move its old objects",
            )
        };
        let meta = ObjectMeta::from_map(&head.metadata).map_err(|error| foreign(error.to_string()))?;
        let identity = &self.identity;
        if meta.cluster_id != identity.cluster_id || meta.topic != identity.topic {
            let (cluster, topic) = (&meta.cluster_id, &meta.topic);
            return Err(foreign(format!("it holds records of topic {topic} in Kafka cluster {cluster}")));
        }
        if first_digest.is_some_and(|digest| digest != meta.first_digest) {
            return Err(foreign("its first record is another one: the topic was created anew".to_owned()));
        }
        if meta.next <= meta.last || meta.first < meta.covers_from {
            return Err(foreign(format!("its metadata contradicts itself: {meta:?}")));
        }
        Ok(Some(meta))
    }

    /// Finds the chain's end: from the group's offset and the object that its note names, or else from the objects.
    pub(super) async fn recover(&mut self, partition: i32) -> Result<i64, PortError> {
        let committed = self.ports.reader.committed(partition).await?;
        let noted = match &committed {
            Some(offset) if !offset.note.is_empty() => self.stored(&offset.note, None).await?,
            _ => None,
        };
        let last = match noted.filter(|meta| meta.partition == partition) {
            Some(meta) => Some(meta),
            None => self.last_object(partition).await?,
        };
        let next = last.as_ref().map(|meta| meta.next);
        // Only now: another delivery may be going on, and its objects must not lie beyond the end that is known.
        let (start, end) = self.ports.reader.bounds(partition).await?;
        if let (Some(committed), None) = (&committed, next)
            && committed.offset > start
        {
            return Err(self.beyond(partition, committed.offset, "there is no object of this topic"));
        }
        if let (Some(committed), Some(next)) = (&committed, next)
            && committed.offset > next
        {
            return Err(self.beyond(partition, committed.offset, &format!("the objects end at {next}")));
        }
        let next = next.unwrap_or(start);
        let attempt = format!("resuming topic {} partition {partition} at offset {next}", self.settings.topic);
        if next < start {
            return Err(PortError::new(ErrorKind::Refused, attempt)
                .because(format!("the topic starts at {start}: records were deleted before they were delivered"))
                .hint("raise the topic's retention; to make the objects whole again start anew with a snapshot"));
        }
        if next > end {
            return Err(PortError::new(ErrorKind::Refused, attempt)
                .because(format!("the topic ends at {end}: it was created anew"))
                .hint(ANEW));
        }
        if let Some(last) = last.filter(|last| last.first >= start) {
            self.same_log(&last).await?;
        }
        Ok(next)
    }

    /// Compares the last object's first record with what the log holds there. A topic that was deleted and created anew
    /// has the same name and the same offsets, and may have outgrown the objects: only the records tell it apart.
    async fn same_log(&mut self, last: &ObjectMeta) -> Result<(), PortError> {
        let (partition, first) = (last.partition, last.first);
        let attempt = format!("comparing topic {} partition {partition} with its last object", self.settings.topic);
        let mut batch = RecordBatch::default();
        self.ports.reader.peek(partition, first, PEEK_MAX, &mut batch).await?;
        let Some(record) = batch.iter().next() else {
            let why = format!("no committed record at or after offset {first} came within {} s", PEEK_MAX.as_secs());
            return Err(PortError::new(ErrorKind::Retry, attempt).because(why));
        };
        if record.offset == first && digest(&record) == last.first_digest {
            return Ok(());
        }
        let why = format!("the object's first record, offset {first}, is not in the topic: it was created anew");
        Err(PortError::new(ErrorKind::Refused, attempt).because(why).hint(ANEW))
    }

    fn beyond(&self, partition: i32, offset: i64, why: &str) -> PortError {
        let Self { settings, .. } = self;
        let attempt = format!("resuming group {} of topic {} partition {partition}", settings.group, settings.topic);
        PortError::new(ErrorKind::Refused, attempt)
            .because(format!("its offset {offset} is beyond the objects: {why}; records in between would be lost"))
            .hint("delete the group's offsets: the next start finds the objects' end by itself")
    }

    /// The object with the highest first offset, by a descent through the folders from the latest period down.
    async fn last_object(&mut self, partition: i32) -> Result<Option<ObjectMeta>, PortError> {
        let DeliverSettings { layout, topic, .. } = self.settings;
        let root = layout.root(topic, Some(partition));
        let mut open = vec![root];
        while let Some(folder) = open.pop() {
            let mut best: Option<(i64, String)> = None;
            let mut from = None;
            let mut pages = 0;
            loop {
                let page = self.list(&folder, from.as_deref()).await?;
                open.extend(page.folders);
                for key in page.keys {
                    if let Some((of, first)) = layout.parse(&key, topic)
                        && of == partition
                        && best.as_ref().is_none_or(|(offset, _)| first > *offset)
                    {
                        best = Some((first, key));
                    }
                }
                from = page.next;
                pages += 1;
                if from.is_none() {
                    break;
                }
                if pages == PAGES_MAX {
                    let why = format!("it has more than {PAGES_MAX} pages of names");
                    let attempt = format!("looking for the last object in folder {folder}");
                    return Err(PortError::new(ErrorKind::Refused, attempt)
                        .because(why)
                        .hint("move what else lies there away, or name objects with folders of days or hours"));
                }
            }
            if let Some((_, key)) = best
                && let Some(meta) = self.stored(&key, None).await?
            {
                return Ok(Some(meta));
            }
        }
        Ok(None)
    }

    async fn list(&mut self, folder: &str, from: Option<&str>) -> Result<Page, PortError> {
        self.ports.store.list(folder, true, from).await
    }
}
