//! One round.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use datapipe_core::convention::Names;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::record::{Kill, Round};
use crate::oracle::{Oracle, Verdict};
use crate::process::{Settings, Worker};
use crate::servers::{Servers, TABLES};
use crate::{Result, clients, load, topic};

/// How long anything may take before a round is given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a round does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Kills while rows are changed.
    Stream,
    /// Kills while the rows that exist are read, and others change them.
    Snapshot,
    /// One worker is stopped for longer than its session, and goes on after another has taken over.
    Pause,
}

impl Scenario {
    fn of(round: u64) -> Self {
        match round % 4 {
            1 => Self::Snapshot,
            3 => Self::Pause,
            _ => Self::Stream,
        }
    }

    /// Its name in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "kills while streaming",
            Self::Snapshot => "kills in the snapshot",
            Self::Pause => "a paused worker wakes up beside its successor",
        }
    }
}

pub(super) async fn run(servers: &Servers, seed: u64, round: u64) -> Result<Round> {
    let begun = Instant::now();
    commit();
    let mut rng = SmallRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(round));
    let scenario = Scenario::of(round);
    let db = servers.connect().await?;
    servers.reset(&db).await?;
    load::fill(&db, if scenario == Scenario::Snapshot { 40_000 } else { 500 }).await?;
    let age = ["300ms", "1s", "3s"][rng.random_range(0..3)].to_owned();
    let settings = Settings { age, ..Settings::new(format!("r{round}"), format!("round-{round}"))? };
    servers.stack.s3().create_bucket(&settings.bucket).await?;

    let stop = CancellationToken::new();
    let mut loads = JoinSet::new();
    for number in 0..2 {
        let (db, seed, stop) = (servers.connect().await?, rng.random(), stop.clone());
        let truncates = scenario != Scenario::Snapshot || round.is_multiple_of(8);
        loads.spawn(async move { load::small(&db, seed, truncates && number == 0, &stop).await });
    }
    let (copying, copied) = (servers.connect().await?, TABLES[rng.random_range(0..4)]);
    let copy_after = Duration::from_millis(rng.random_range(500..4000));
    loads.spawn(async move {
        sleep(copy_after).await;
        load::copy(&copying, copied).await.map(|()| 0)
    });

    let mut kills = Vec::new();
    let worker = faults(servers, &settings, scenario, &mut rng, &mut kills).await;
    stop.cancel();
    let worker = worker?;
    while let Some(load) = loads.join_next().await {
        load??;
    }
    let end = servers.end_of_log(&db).await?;
    servers.confirmed(&db, &end, PATIENCE).await.map_err(|error| format!("{error}\n{}", worker.tail()))?;
    let outcome = judge(servers, &db, &settings).await.map_err(|error| format!("{error}\n{}", worker.tail()))?;
    worker.stop().await?;
    record(servers, &db, Run { seed, round, scenario, begun, kills, outcome }).await
}

/// Kills, or stops and wakes, workers; returns the one that is alive at the end.
async fn faults(
    servers: &Servers,
    settings: &Settings,
    scenario: Scenario,
    rng: &mut SmallRng,
    kills: &mut Vec<Kill>,
) -> Result<Worker> {
    let mut worker = Worker::start(servers, settings, "worker")?;
    worker.until("datapipe_worker_owner", 1.0, PATIENCE).await?;
    if scenario == Scenario::Pause {
        worker.flows(PATIENCE).await?;
        sleep(Duration::from_millis(rng.random_range(200..1500))).await;
        let others = Settings { ports: Settings::new("", "")?.ports, ..settings.clone() };
        worker.signal(Signal::STOP)?;
        let (successor, kill) = succeed(servers, &others, "successor").await?;
        kills.push(kill);
        worker.signal(Signal::CONT)?;
        sleep(Duration::from_secs(2)).await;
        worker.stop().await.map_err(|error| format!("the woken worker: {error}"))?;
        return Ok(successor);
    }
    for _ in 0..rng.random_range(1..=3) {
        let moment = if scenario == Scenario::Snapshot { 50..900 } else { 200..2500 };
        sleep(Duration::from_millis(rng.random_range(moment))).await;
        worker.kill()?;
        let (successor, kill) = succeed(servers, settings, "worker").await?;
        kills.push(kill);
        worker = successor;
    }
    Ok(worker)
}

async fn succeed(servers: &Servers, settings: &Settings, name: &str) -> Result<(Worker, Kill)> {
    let begun = Instant::now();
    let mut worker = Worker::start(servers, settings, name)?;
    worker.until("datapipe_worker_owner", 1.0, PATIENCE).await?;
    let owned = begun.elapsed();
    worker.flows(PATIENCE).await?;
    let flowing = begun.elapsed().saturating_sub(owned);
    Ok((worker, Kill { owned_s: owned.as_secs_f64(), flowing_s: flowing.as_secs_f64() }))
}

#[derive(Default)]
struct Outcome {
    verdict: Verdict,
    objects: u64,
    faults: Vec<String>,
}

async fn judge(servers: &Servers, db: &Client, settings: &Settings) -> Result<Outcome> {
    let store = clients::store(&servers.stack, &settings.bucket);
    let mut outcome = Outcome::default();
    for table in TABLES {
        let names = Names::derive(&settings.prefix, "public", table).map_err(|_| "names")?;
        let mut oracle = Oracle::new(db).await?;
        for records in topic::Topic::read(servers, &names.data_topic).await? {
            let objects = topic::delivered(&store, table, &names.data_topic, &records, PATIENCE).await?;
            let mut unread = Ok(());
            let faults = topic::check(&store, &records, &objects, |line| {
                if unread.is_ok() {
                    unread = oracle.event(line);
                }
            });
            let faults = faults.await?;
            unread?;
            outcome.objects += objects.len() as u64;
            outcome.faults.extend(faults.into_iter().take(10).map(|fault| format!("{table}: {fault}")));
        }
        let verdict = oracle.judge(table).await?;
        if !verdict.is_clean() {
            outcome.faults.push(format!("{table}: {verdict:?}"));
        }
        outcome.verdict.events += verdict.events;
        outcome.verdict.rows += verdict.rows;
        outcome.verdict.lost += verdict.lost;
        outcome.verdict.surplus += verdict.surplus;
        outcome.verdict.doubled += verdict.doubled;
    }
    Ok(outcome)
}

struct Run {
    seed: u64,
    round: u64,
    scenario: Scenario,
    begun: Instant,
    kills: Vec<Kill>,
    outcome: Outcome,
}

async fn record(servers: &Servers, db: &Client, run: Run) -> Result<Round> {
    let Run { seed, round, scenario, begun, kills, outcome: Outcome { verdict, objects, faults } } = run;
    let postgres: String = db.query_one("SHOW server_version", &[]).await?.get(0);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    Ok(Round {
        round,
        seed,
        commit: commit(),
        postgres: postgres.split(' ').next().unwrap_or_default().to_owned(),
        kafka: datapipe_embedded::KAFKA_VERSION.to_owned(),
        datapipe: format!("{} {build}", env!("CARGO_PKG_VERSION")),
        scenario: scenario.name().to_owned(),
        rows: verdict.rows,
        events: verdict.events,
        objects,
        kills,
        lost: verdict.lost,
        doubled: verdict.doubled,
        surplus: verdict.surplus,
        ok: verdict.is_clean() && faults.is_empty() && servers.stack.kafka().pid().is_some(),
        faults,
        seconds: (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
    })
}

/// The checkout's commit when the runner began, whatever is committed meanwhile; `unknown` outside of a checkout.
fn commit() -> String {
    static AT_START: OnceLock<String> = OnceLock::new();
    let ask = || {
        let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
        let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
        text.map_or_else(|| "unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
    };
    AT_START.get_or_init(ask).clone()
}
