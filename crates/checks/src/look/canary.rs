//! A canary: something small that is sent through the pipeline and waited for, so that a quiet table is told from one that
//! is stuck. It writes, and only if it is asked for by name: a message into PostgreSQL's log, which no row shows, and where
//! a person allows it an UPDATE of one row that changes no value of it.

use std::time::{Duration, Instant};

use datapipe_core::Lsn;
use datapipe_core::plan::PipelinePlan;
use datapipe_core::port::PortError;
use datapipe_core::port::log::{LogReader, RecordBatch};
use datapipe_core::settings::Role;
use datapipe_kafka::{KafkaConfig, ReaderSettings, TopicReader};
use datapipe_postgres::{PgConfig, Session};

use super::{Servers, kafka, postgres, store};
use crate::seen::{CanarySeen, Hop};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
/// The prefix of the message.
const PREFIX: &str = "datapipe-verify";

/// How a canary is sent.
#[derive(Clone, Copy, Debug)]
pub struct Canary {
    /// Whether one row may be touched, so that the way to its object is seen.
    pub row: bool,
    /// How long each hop may take.
    pub patience: Duration,
}

impl Canary {
    /// Sends it through a table's pipeline and waits for it, hop by hop.
    pub async fn send(self, servers: &Servers, pipeline: &PipelinePlan) -> CanarySeen {
        let mut seen = CanarySeen::default();
        let walked = match (&servers.postgres, &servers.kafka) {
            (Ok(server), Ok(cluster)) => {
                let mut walk =
                    Walk { pipeline, cluster, patience: self.patience, hops: Vec::new(), at: Instant::now() };
                let walked = walk.message(server).await;
                seen.message = std::mem::take(&mut walk.hops);
                match walked {
                    Ok(()) if self.row => {
                        let walked = walk.row(server, servers).await;
                        seen.row = walk.hops;
                        walked
                    }
                    other => other,
                }
            }
            (Err(why), _) | (_, Err(why)) => Err(why.clone()),
        };
        seen.row_allowed = self.row;
        seen.stopped = walked.err();
        seen
    }
}

struct Walk<'a> {
    pipeline: &'a PipelinePlan,
    cluster: &'a KafkaConfig,
    patience: Duration,
    hops: Vec<Hop>,
    at: Instant,
}

impl Walk<'_> {
    fn hop(&mut self, place: impl Into<String>) {
        let took_ms = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.hops.push(Hop { place: place.into(), took_ms });
        self.at = Instant::now();
    }

    /// Waits until `arrived` says where it is.
    async fn until(
        &mut self,
        what: &str,
        mut arrived: impl AsyncFnMut() -> Result<Option<String>, PortError>,
    ) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            // A look that fails is no answer: the next one may be.
            let failed = match arrived().await {
                Ok(Some(place)) => {
                    self.hop(place);
                    return Ok(());
                }
                Ok(None) => None,
                Err(error) => Some(error.report()),
            };
            if begun.elapsed() > self.patience {
                let why = failed.map_or_else(String::new, |why| format!(": {why}"));
                return Err(format!("it is not {what} after {} s{why}", self.patience.as_secs()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn message(&mut self, server: &PgConfig) -> Result<(), String> {
        let Some(source) = self.pipeline.connector(Role::Source) else {
            return Err("the table has no source connector".to_owned());
        };
        let told = |error: PortError| error.report();
        let session = Session::connect(server).await.map_err(told)?;
        self.at = Instant::now();
        let query = format!("SELECT pg_logical_emit_message(true, '{PREFIX}', 'canary'), pg_current_wal_insert_lsn()");
        let rows = session.rows(&query).await.map_err(told)?;
        let lsn: Option<Lsn> = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
        let lsn = lsn.ok_or("PostgreSQL does not say where the message is")?;
        self.hop(format!("in PostgreSQL's log at {lsn}"));
        let (cluster, pipeline) = (self.cluster, self.pipeline);
        self.until("in Kafka", async || {
            let (stored, _) = kafka::stored(cluster, pipeline, &source.name).await?;
            Ok(stored.filter(|stored| *stored >= lsn).map(|stored| format!("passed in Kafka, stored is {stored}")))
        })
        .await?;
        let slot = postgres::quoted(&self.pipeline.names.slot);
        let query = format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = {slot}");
        self.until("confirmed to PostgreSQL", async || {
            let rows = session.rows(&query).await?;
            let confirmed: Option<Lsn> = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
            Ok(confirmed.filter(|confirmed| *confirmed >= lsn).map(|_| "confirmed to PostgreSQL".to_owned()))
        })
        .await
    }

    async fn row(&mut self, server: &PgConfig, servers: &Servers) -> Result<(), String> {
        let told = |error: PortError| error.report();
        let topic = &self.pipeline.names.data_topic;
        let mut reader = TopicReader::new(self.cluster, ReaderSettings::new(topic, PREFIX)).map_err(told)?;
        let partitions = reader.identity().await.map_err(told)?.partitions;
        for partition in 0..partitions {
            let (_, end) = reader.bounds(partition).await.map_err(told)?;
            reader.seek(partition, end).await.map_err(told)?;
        }
        let session = Session::connect(server).await.map_err(told)?;
        self.at = Instant::now();
        let xid = touch(&session, self.pipeline).await?;
        self.hop(format!("in PostgreSQL, transaction {xid}"));

        let (mark, mut found) = (format!("\"txId\":{xid},"), None);
        let mut batch = RecordBatch::default();
        self.until("in the topic", async || {
            batch.clear();
            reader.poll(PAUSE, &mut batch).await?;
            let ours = |value: &[u8]| value.windows(mark.len()).any(|part| part == mark.as_bytes());
            found = batch.iter().find(|record| record.value.is_some_and(ours)).map(|it| (it.partition, it.offset));
            Ok(found.map(|(partition, offset)| format!("in {topic}, partition {partition}, offset {offset}")))
        })
        .await?;
        let (Some((partition, offset)), Some(_)) = (found, self.pipeline.connector(Role::Sink)) else { return Ok(()) };
        let bucket = servers.store.as_ref().map_err(Clone::clone)?;
        let (cluster, pipeline) = (self.cluster, self.pipeline);
        if !pipeline.worker.kind.runs_in_jvm(Role::Sink) {
            let arrived = async || store::holding(bucket, pipeline, partition, offset).await;
            return self.until("in an object", arrived).await;
        }
        self.until("in an object", async || {
            let partitions = kafka::partitions(cluster, topic, &pipeline.names.sink_group).await?;
            let next = partitions.iter().find(|one| one.partition == partition).and_then(|one| one.committed);
            Ok(next.filter(|next| *next > offset).map(|next| format!("in an object, by the sink's offset {next}")))
        })
        .await
    }
}

/// Touches one row and changes no value of it; answers with the transaction.
async fn touch(session: &Session, pipeline: &PipelinePlan) -> Result<String, String> {
    let told = |error: PortError| error.report();
    let table = format!("\"{}\".\"{}\"", pipeline.schema, pipeline.names.table);
    let columns = format!(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped \
         AND attgenerated = '' AND attidentity <> 'a' ORDER BY attnum LIMIT 1",
        postgres::quoted(&table)
    );
    let rows = session.rows(&columns).await.map_err(told)?;
    let first = |rows: &[Vec<Option<String>>]| rows.first().and_then(|row| row.first().cloned().flatten());
    let column = first(&rows).ok_or("the table has no column that can be set")?;
    let update = format!(
        "UPDATE {table} SET {column} = {column} WHERE ctid = (SELECT ctid FROM {table} LIMIT 1 FOR UPDATE SKIP LOCKED) \
         RETURNING pg_current_xact_id()"
    );
    let rows = session.rows(&update).await.map_err(told)?;
    first(&rows).ok_or_else(|| "the table is empty, or its rows are locked: there is no row to touch".to_owned())
}
