//! The change source of one table.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::Lsn;
use datapipe_core::change::{Event, Relation, Tuple};
use datapipe_core::port::PortError;
use datapipe_core::port::source::{ChangeSource, ChunkRequest, Fingerprint, KeyBound, SourceState};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, timeout_at};

use crate::advice::{UNDEFINED_OBJECT, explain, publication_missing, slot_missing};
use crate::beat::Beat;
use crate::chunk::ChunkReader;
use crate::config::SourceSpec;
use crate::decoder::{Decoder, Pause};
use crate::error::{Error, ServerError};
use crate::pgoutput::RelationMessage;
use crate::relation::{CatalogTable, from_message};
use crate::slot::{self, ObservedSlot};
use crate::snapshot::{Snapshot, missing_table, unsupported};
use crate::sql::{Sql, ident, literal};
use crate::system::{System, temporary_name};
use crate::types::Types;
use crate::wire::{Chunk, Connection, Stream};

/// How long to wait before a slot that is in use is tried again.
const SLOT_RETRY: Duration = Duration::from_millis(250);

/// SQLSTATE `object_in_use`: the slot serves another connection.
const IN_USE: &str = "55006";
/// SQLSTATE `object_not_in_prerequisite_state`: from PostgreSQL 18 on a notice with it says that a publication is
/// skipped.
const NOT_READY: &str = "55000";

/// A table behind its slot and publication. Holds at most one replication connection and one SQL session.
pub struct PgSource {
    spec: SourceSpec,
    sql: Option<Sql>,
    /// A replication connection that is not streaming.
    idle: Option<Connection>,
    snapshot: Option<Snapshot>,
    stream: Option<Streaming>,
    types: Types,
    table_oid: Option<u32>,
    confirmed: Lsn,
    beat: Beat,
    /// A session for questions beside the stream, while none is asked.
    chunks: Option<ChunkReader>,
    asked: Option<Asked>,
}

/// A question beside the stream, and the session that answers it.
type Asked = JoinHandle<Result<(Event, ChunkReader), Error>>;

/// A running stream, and what of it is being decoded.
struct Streaming {
    stream: Stream,
    decoder: Decoder,
    /// The piece that `bytes` belongs to; held for its room in the queue.
    chunk: Option<Chunk>,
    bytes: Bytes,
    pause: Option<Pause>,
}

impl PgSource {
    /// A source that is not connected yet.
    pub fn new(spec: SourceSpec) -> Self {
        Self {
            spec,
            sql: None,
            idle: None,
            snapshot: None,
            stream: None,
            types: Types::default(),
            table_oid: None,
            confirmed: Lsn::ZERO,
            beat: Beat::default(),
            chunks: None,
            asked: None,
        }
    }

    /// What the source was made from.
    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    async fn sql(&mut self) -> Result<&Sql, Error> {
        let open = self.sql.take().filter(Sql::is_open);
        let sql = match open {
            Some(sql) => sql,
            None => Sql::connect(&self.spec).await?,
        };
        Ok(self.sql.insert(sql))
    }

    async fn connection(&mut self) -> Result<Connection, Error> {
        match self.idle.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(&self.spec.config, &self.spec.application()).await,
        }
    }

    async fn look(&mut self) -> Result<SourceState, Error> {
        // A connection that has been idle may be dead: a new one tells.
        self.idle = None;
        let mut connection = self.connection().await?;
        let System { id: system_id, timeline, forked_at } =
            System::read(&mut connection, self.spec.query_timeout).await?;
        self.idle = Some(connection);
        let relation = self.current_relation().await?;
        let spec = self.spec.clone();
        let slot = ObservedSlot::read(self.sql().await?, &spec.slot).await?;
        if let Some((why, hint)) = slot.as_ref().and_then(|slot| slot.unfit(&spec)) {
            return Err(Error::Refused { why: format!("slot {} cannot be used: {why}", spec.slot), hint });
        }
        let fingerprint =
            Fingerprint { system_id, database: spec.config.database, slot: spec.slot, publication: spec.publication };
        Ok(SourceState { fingerprint, timeline, forked_at, slot: slot.map(|slot| slot.state()), relation })
    }

    /// The table as it is now.
    async fn current_relation(&mut self) -> Result<Arc<Relation>, Error> {
        let table = self.catalog().await?.ok_or_else(|| missing_table(&self.spec))?;
        self.table_oid = Some(table.oid);
        self.fetch_types(table.published().map(|column| column.type_oid).collect()).await?;
        let relation = table.relation(&self.spec, &self.types);
        Ok(Arc::new(relation.map_err(|found| unsupported(&self.spec, &found))?))
    }

    async fn catalog(&mut self) -> Result<Option<CatalogTable>, Error> {
        let spec = self.spec.clone();
        CatalogTable::read(self.sql().await?, &spec.schema, &spec.table, &spec.publication).await
    }

    async fn fetch_types(&mut self, oids: Vec<u32>) -> Result<(), Error> {
        let mut types = std::mem::take(&mut self.types);
        let fetched = match self.sql().await {
            Ok(sql) => types.fetch(sql, oids).await,
            Err(error) => Err(error),
        };
        self.types = types;
        fetched
    }

    /// Creates a slot and takes its snapshot over.
    async fn snapshot_at_new_slot(&mut self, temporary: bool) -> Result<Lsn, Error> {
        self.snapshot = None;
        let limit = self.spec.query_timeout;
        let mut connection = self.connection().await?;
        let name = if temporary { temporary_name(&mut connection, limit).await? } else { self.spec.slot.clone() };
        let created = slot::create(&mut connection, &name, temporary, self.spec.snapshot_wait).await?;
        match Snapshot::open(&self.spec, &created.snapshot, created.point).await {
            Ok(snapshot) => self.snapshot = Some(snapshot),
            Err(error) => {
                // A slot without its snapshot would look like one that has been read from.
                if let Err(left) = slot::drop_slot(&mut connection, &name, limit).await {
                    tracing::warn!(slot = name, error = %left, "slot left behind by a snapshot that failed");
                }
                return Err(error);
            }
        }
        // The rows are read by the SQL session alone from here on; a temporary slot goes with its connection.
        if !temporary {
            self.idle = Some(connection);
        }
        Ok(created.point)
    }

    async fn start_stream(&mut self, from: Lsn) -> Result<Lsn, Error> {
        self.stream = None;
        let publication = literal(&ident(&self.spec.publication));
        let sql = format!(
            "START_REPLICATION SLOT {} LOGICAL {from} (proto_version '1', publication_names {publication})",
            ident(&self.spec.slot)
        );
        if self.table_oid.is_none() {
            self.table_oid = self.catalog().await?.map(|table| table.oid);
        }
        let name = self.spec.slot.clone();
        let deadline = Instant::now() + self.spec.slot_wait;
        loop {
            let connection = self.connection().await?;
            let (connection, error) = match connection.stream(&sql, self.spec.query_timeout).await {
                Ok(stream) => {
                    let slot = ObservedSlot::read(self.sql().await?, &name).await?;
                    let confirmed = slot.and_then(|slot| slot.confirmed).ok_or_else(|| slot_missing(&self.spec))?;
                    stream.confirm(self.confirmed.0);
                    self.stream = Some(Streaming::new(stream));
                    return Ok(confirmed);
                }
                Err(refused) => refused,
            };
            self.idle = connection;
            match error.code() {
                Some(IN_USE) if Instant::now() < deadline => sleep(SLOT_RETRY).await,
                Some(IN_USE) => return Err(self.slot_active().await?),
                Some(UNDEFINED_OBJECT) => return Err(slot_missing(&self.spec)),
                _ => return Err(error),
            }
        }
    }

    async fn slot_active(&mut self) -> Result<Error, Error> {
        let slot = self.spec.slot.clone();
        let holder = slot::holder(self.sql().await?, &slot).await?;
        let holder = holder.unwrap_or_else(|| "its holder has just left".to_owned());
        Ok(Error::SlotActive { slot, holder })
    }

    async fn read_events(&mut self, wait: Duration, events: &mut Vec<Event>) -> Result<(), Error> {
        let before = events.len();
        let deadline = Instant::now() + wait;
        while events.len() == before {
            let Some(streaming) = &mut self.stream else {
                return Err(Error::Protocol("no stream was started".to_owned()));
            };
            // Only the wait for the server is cut short: a question to the catalog is always finished.
            tokio::select! {
                biased;
                answer = answer(&mut self.asked) => {
                    let (event, reader) = answer?;
                    (self.asked, self.chunks) = (None, Some(reader));
                    if let Event::Chunk(chunk) = &event {
                        streaming.stream.hurry(chunk.watermark.0);
                    }
                    events.push(event);
                }
                decoded = timeout_at(deadline, streaming.decode(events)) => match decoded {
                    Ok(decoded) => decoded?,
                    Err(_) => return Ok(()),
                },
            }
            let Some(streaming) = &mut self.stream else { return Ok(()) };
            match streaming.pause.clone() {
                Some(Pause::Relation(message)) => self.announce(message).await?,
                Some(Pause::Notice(notice)) => self.heed(&notice)?,
                None => continue,
            }
            if let Some(streaming) = &mut self.stream {
                streaming.pause = None;
            }
        }
        Ok(())
    }

    fn heed(&self, notice: &ServerError) -> Result<(), Error> {
        if notice.code == NOT_READY {
            return Err(publication_missing(&self.spec));
        }
        tracing::debug!(%notice, slot = self.spec.slot, "the server says");
        Ok(())
    }

    async fn announce(&mut self, message: RelationMessage) -> Result<(), Error> {
        if self.spec.signal_table.as_ref() == Some(&(message.schema.clone(), message.name.clone())) {
            if let Some(streaming) = &mut self.stream {
                streaming.decoder.announce_signals(message.oid);
            }
            return Ok(());
        }
        let named = message.schema == self.spec.schema && message.name == self.spec.table;
        let relation = if named || Some(message.oid) == self.table_oid {
            self.fetch_types(message.columns.iter().map(|column| column.type_oid).collect()).await?;
            let catalog = self.catalog().await?;
            let relation = from_message(&message, catalog.as_ref(), &self.types, &self.spec.columns);
            Some(Arc::new(relation.map_err(|found| unsupported(&self.spec, &found))?))
        } else {
            None
        };
        if let Some(streaming) = &mut self.stream {
            match relation {
                Some(relation) => streaming.decoder.announce(message.oid, relation),
                None => streaming.decoder.pass_over(message.oid),
            }
        }
        Ok(())
    }
}

/// The answer to what is asked; never if nothing is.
async fn answer(asked: &mut Option<Asked>) -> Result<(Event, ChunkReader), Error> {
    match asked {
        Some(asked) => asked.await.unwrap_or_else(|_| Err(Error::Protocol("a question was not finished".to_owned()))),
        None => std::future::pending().await,
    }
}

impl Drop for PgSource {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take() {
            asked.abort();
        }
    }
}

impl Streaming {
    fn new(stream: Stream) -> Self {
        Self { stream, decoder: Decoder::default(), chunk: None, bytes: Bytes::new(), pause: None }
    }

    /// Decodes the current piece to its end, or to where the catalog is needed; waits for a piece first if there is
    /// none. Does nothing while a pause stands, so that a call given up half way is made good by the next.
    async fn decode(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.pause.is_some() {
            return Ok(());
        }
        if self.bytes.is_empty() {
            self.chunk = None;
            let chunk = self.stream.receive().await?;
            self.bytes = chunk.bytes.clone();
            self.chunk = Some(chunk);
        }
        self.pause = self.decoder.run(&mut self.bytes, events)?;
        if self.bytes.is_empty() {
            self.chunk = None;
        }
        Ok(())
    }

    fn ready(&self) -> bool {
        !self.bytes.is_empty() || self.pause.is_some() || self.stream.ready()
    }
}

#[async_trait]
impl ChangeSource for PgSource {
    async fn inspect(&mut self) -> Result<SourceState, PortError> {
        let looked = self.look().await;
        looked.map_err(|error| {
            let (slot, table, address) = (&self.spec.slot, self.spec.qualified(), self.spec.config.address());
            error.during(format!("looking at slot {slot} and table {table} on {address}"))
        })
    }

    async fn create_slot(&mut self) -> Result<Lsn, PortError> {
        let created = self.snapshot_at_new_slot(false).await;
        created.map_err(|error| error.during(format!("creating slot {} with a snapshot", self.spec.slot)))
    }

    async fn open_snapshot(&mut self) -> Result<Lsn, PortError> {
        let opened = self.snapshot_at_new_slot(true).await;
        opened.map_err(|error| error.during(format!("opening a snapshot of {}", self.spec.qualified())))
    }

    async fn read_rows(&mut self, after: Option<&KeyBound>, rows: &mut Vec<Tuple>) -> Result<Arc<Relation>, PortError> {
        let attempt = format!("reading the snapshot of {}", self.spec.qualified());
        let Some(snapshot) = &mut self.snapshot else {
            return Err(Error::Protocol("no snapshot is open".to_owned()).during(attempt));
        };
        let relation = snapshot.relation();
        let before = rows.len();
        snapshot.read(after, rows).await.map_err(|error| error.during(attempt))?;
        if rows.len() == before
            && let Some(snapshot) = self.snapshot.take()
        {
            snapshot.close(&self.spec).await;
        }
        Ok(relation)
    }

    async fn start(&mut self, from: Lsn) -> Result<Lsn, PortError> {
        let started = self.start_stream(from).await;
        started.map_err(|error| error.during(format!("streaming from slot {} at {from}", self.spec.slot)))
    }

    async fn next(&mut self, wait: Duration, events: &mut Vec<Event>) -> Result<(), PortError> {
        let read = self.read_events(wait, events).await;
        read.map_err(|error| explain(&self.spec, error).during(format!("streaming from slot {}", self.spec.slot)))
    }

    fn ready(&self) -> bool {
        self.stream.as_ref().is_some_and(Streaming::ready)
    }

    fn confirm(&mut self, lsn: Lsn) {
        self.confirmed = self.confirmed.max(lsn);
        if let Some(streaming) = &self.stream {
            streaming.stream.confirm(self.confirmed.0);
        }
    }

    fn request_chunk(&mut self, request: ChunkRequest) {
        if let Some(earlier) = self.asked.take() {
            earlier.abort();
        }
        let (reader, spec) = (self.chunks.take(), self.spec.clone());
        self.asked = Some(tokio::spawn(async move {
            let reader = match reader {
                Some(reader) => reader,
                None => ChunkReader::connect(&spec).await?,
            };
            Ok((reader.answer(&request).await?, reader))
        }));
    }

    fn beat(&mut self) {
        self.beat.run(&self.spec);
    }

    async fn stop(&mut self) -> Result<(), PortError> {
        (self.asked, self.chunks) = (None, None);
        if let Some(streaming) = self.stream.take() {
            streaming.stream.stop().await;
        }
        self.idle = None;
        self.sql = None;
        Ok(())
    }
}
