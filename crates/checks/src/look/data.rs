//! The rows themselves: what the objects, or without a sink the log, lead to, and what the table holds.
//!
//! Others may write meanwhile. The rows are those of one moment, of which it is known whose transactions they hold. Then the
//! pipeline is waited for until everything before that moment is where it is compared, and of what is found there only
//! the same transactions count. A table that nobody writes to is waited for no longer than its worker's heartbeat.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datapipe_core::Lsn;
use datapipe_core::change::Relation;
use datapipe_core::connector::{SinkConfig, SourceConfig};
use datapipe_core::plan::PipelinePlan;
use datapipe_core::port::PortError;
use datapipe_core::port::rows::{Moment, RowSource as _};
use datapipe_core::settings::Role;
use datapipe_core::value::Modes;
use datapipe_kafka::{KafkaConfig, ReaderSettings, TopicReader};
use datapipe_postgres::{PgConfig, Session, SourceSpec, TableRows};
use datapipe_reconcile::{Proving, ReconcileError, Report, Sample, Scope, TupleRows};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Servers;
use super::kafka::{partitions, unread};
use super::mend::{self, Asked};
use super::postgres::quoted;
use super::worker::chain;

/// Between two looks at how far a pipeline has come.
const PAUSE: Duration = Duration::from_millis(500);
/// Until rows that were asked for are compared: a source looks for signals every 5 s.
const REPAIRED: Duration = Duration::from_secs(2);
/// Until what is still wrong is asked for again: rows may have been written meanwhile whose earlier events are lost.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// What comparing the rows came to: a report, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// The rows were compared.
    Compared {
        /// What was found.
        report: Box<Report>,
        /// How long it took in all.
        took: Duration,
        /// How long the pipeline was waited for.
        waited: Duration,
        /// What its worker was asked for first.
        asked: Asked,
    },
    /// They could not be.
    Broken(String),
    /// There is nothing to compare.
    Left(String),
}

/// How rows are compared.
#[derive(Clone, Debug)]
pub struct How {
    /// How long a pipeline may take to bring everything of one moment to its end.
    pub patience: Duration,
    /// Of how many keys one is compared.
    pub one_of: u32,
    /// Where each table's rows are kept once they are proven, for the next proof to go on from.
    pub keep: Option<PathBuf>,
    /// Whether rows that are wrong are asked for, which is no reading any more.
    pub repair: bool,
}

impl Proof {
    /// Compares a table's objects with its rows, or its topic if it has no sink. Reads only.
    pub async fn of(servers: &Servers, pipeline: &PipelinePlan, how: &How) -> Self {
        if pipeline.connector(Role::Source).is_none() {
            return Self::Left("the table has no source connector".to_owned());
        }
        let begun = Instant::now();
        match prove(servers, pipeline, how).await {
            Ok((Comparison { report, waited, .. }, asked)) => {
                Self::Compared { report: Box::new(report), took: begun.elapsed(), waited, asked }
            }
            Err(why) => Self::Broken(why),
        }
    }
}

/// Compares, and where it is asked for has rows repaired and compares until they are right or nothing comes any more.
async fn prove(servers: &Servers, pipeline: &PipelinePlan, how: &How) -> Result<(Comparison, Asked), String> {
    let mut last = compare(servers, pipeline, how).await?;
    if !how.repair || last.report.proven() {
        return Ok((last, Asked::default()));
    }
    let mut asked = last.repair(servers, pipeline).await?;
    let begun = Instant::now();
    let mut asked_at = begun;
    while !last.is_right(&asked) && begun.elapsed() < how.patience {
        sleep(REPAIRED).await;
        last = compare(servers, pipeline, how).await?;
        if !last.is_right(&asked) && asked_at.elapsed() > ASK_AGAIN {
            let again = last.repair(servers, pipeline).await?;
            asked = Asked { read: asked.read.max(again.read), removed: asked.removed.max(again.removed), ..again };
            asked_at = Instant::now();
        }
    }
    Ok((last, asked))
}

/// What one comparison came to.
struct Comparison {
    report: Report,
    waited: Duration,
    relation: Arc<Relation>,
}

impl Comparison {
    /// Asks the worker for what is wrong.
    async fn repair(&self, servers: &Servers, pipeline: &PipelinePlan) -> Result<Asked, String> {
        let kafka = servers.kafka.as_ref().map_err(Clone::clone)?;
        let asked = mend::ask(kafka, pipeline, &self.relation, &self.report).await;
        asked.map_err(|why| format!("{}\n  not repaired: {why}", self.report))
    }

    /// Whether what was asked for has come.
    fn is_right(&self, asked: &Asked) -> bool {
        let Report { lost, differing, surplus, orphaned, .. } = &self.report;
        let none = |samples: &[&Sample]| samples.iter().all(|sample| sample.count == 0);
        (asked.read == 0 || none(&[lost, differing])) && (asked.removed == 0 || none(&[surplus, orphaned]))
    }
}

async fn compare(servers: &Servers, pipeline: &PipelinePlan, how: &How) -> Result<Comparison, String> {
    let postgres = servers.postgres.as_ref().map_err(Clone::clone)?;
    let kafka = servers.kafka.as_ref().map_err(Clone::clone)?;
    let told = |error: PortError| error.report();
    let broken = |error: ReconcileError| chain(&error);
    let names = &pipeline.names;
    let spec = SourceSpec::new(postgres.clone(), &pipeline.schema, &names.table, &names.slot, &names.publication);
    let rows = TableRows::open(&spec).await.map_err(told)?;
    let (moment, relation) = (rows.moment().clone(), rows.relation());
    // Keys that only a JVM worker knows keep the whole from being read; the forms are then the plan's.
    let source = pipeline.connector(Role::Source).map(|source| SourceConfig::from_map(&source.config));
    let modes = source.and_then(Result::ok).map_or(Modes::PLAN, |source| source.modes);
    let mut rows = TupleRows::new(rows, modes);
    let sink = pipeline.connector(Role::Sink);
    let topic = sink.and_then(|sink| sink.config.get("topics")).unwrap_or(&names.data_topic);
    let mut scope = rows.scope(topic);
    scope.moment = Some(moment.clone());
    scope.one_of = how.one_of;
    if how.repair {
        scope.limits.examples_max = mend::KEYS_MAX;
    }
    if let Some(keep) = how.keep.as_ref().filter(|_| sink.is_some()) {
        scope.keep = Some(keep.join(topic));
        scope.forms = format!("{} {} {modes:?}", postgres.address(), spec.qualified());
    }
    if let Some(Ok(sink)) = sink.map(|sink| SinkConfig::from_map(&sink.config)) {
        (scope.layout, scope.output) = (sink.layout, sink.output);
    }
    let proving = Proving::begin(&scope).map_err(broken)?.rows(&mut rows, &scope).await.map_err(broken)?;
    // Its transaction holds back VACUUM: it ends before the pipeline is waited for.
    drop(rows);
    let begun = Instant::now();
    let river = River { postgres, kafka, pipeline, topic, patience: how.patience };
    river.captured(&moment).await?;
    let proving = if sink.is_some() {
        let store = servers.store.as_ref().map_err(Clone::clone)?;
        river.delivered(&mut scope).await?;
        let waited = begun.elapsed();
        (proving.objects(store, &scope).await.map_err(broken)?, waited)
    } else {
        let waited = begun.elapsed();
        let mut reader = TopicReader::new(kafka, ReaderSettings::new(topic, "datapipe-verify")).map_err(told)?;
        (proving.log(&mut reader, &scope).await.map_err(broken)?, waited)
    };
    let (proving, waited) = proving;
    Ok(Comparison { report: proving.finish().await.map_err(broken)?, waited, relation })
}

/// A pipeline that is waited for.
struct River<'a> {
    postgres: &'a PgConfig,
    kafka: &'a KafkaConfig,
    pipeline: &'a PipelinePlan,
    topic: &'a str,
    patience: Duration,
}

impl River<'_> {
    /// Waits until everything that ended before the moment is in the log: what a slot has confirmed is there.
    async fn captured(&self, moment: &Moment) -> Result<(), String> {
        let session = Session::connect(self.postgres).await.map_err(|error| error.report())?;
        let slot = &self.pipeline.names.slot;
        let query = format!(
            "SELECT confirmed_flush_lsn, active FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            quoted(slot)
        );
        let begun = Instant::now();
        loop {
            let rows = session.rows(&query).await.map_err(|error| error.report())?;
            let row = rows.first().ok_or_else(|| format!("replication slot {slot} does not exist"))?;
            let cell = |column: usize| row.get(column).and_then(Option::as_deref);
            let confirmed = cell(0).and_then(|text| text.parse::<Lsn>().ok()).unwrap_or(Lsn::ZERO);
            if confirmed >= moment.fence {
                return Ok(());
            }
            if begun.elapsed() > self.patience {
                let reader = if cell(1) == Some("t") { "its worker reads on" } else { "no worker reads it" };
                return Err(format!(
                    "slot {slot} has confirmed {confirmed} after {} s, and the rows are of {}: {reader}",
                    self.patience.as_secs(),
                    moment.fence
                ));
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until everything that the log holds now is in objects, and notes what they must answer for.
    async fn delivered(&self, scope: &mut Scope) -> Result<(), String> {
        let told = |error: PortError| error.report();
        let group = &self.pipeline.names.sink_group;
        let now = partitions(self.kafka, self.topic, group).await.map_err(told)?;
        let ends: BTreeMap<i32, i64> = now.iter().map(|one| (one.partition, one.end)).collect();
        let attested = !self.pipeline.worker.kind.runs_in_jvm(Role::Sink);
        let begun = Instant::now();
        loop {
            let mut now = partitions(self.kafka, self.topic, group).await.map_err(told)?;
            for one in &mut now {
                one.end = ends.get(&one.partition).copied().unwrap_or(0);
            }
            if !unread(self.kafka, self.pipeline, self.topic, &now).await.map_err(told)? {
                for one in now {
                    // The group's offset of a native sink is where an object ends: control records before it may be in one
                    // that begins after the log's end of then.
                    if let Some(committed) = one.committed.filter(|_| attested) {
                        scope.answered.insert(one.partition, one.first..committed);
                    }
                    scope.ends.insert(one.partition, one.end.max(one.committed.unwrap_or(0)));
                }
                return Ok(());
            }
            if begun.elapsed() > self.patience {
                let behind: i64 = now.iter().map(datapipe_kafka::lag::PartitionLag::offsets).sum();
                return Err(format!(
                    "group {group} has {behind} of the offsets to read after {} s that topic {} had when the wait began",
                    self.patience.as_secs(),
                    self.topic
                ));
            }
            sleep(PAUSE).await;
        }
    }
}
