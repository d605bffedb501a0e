//! The acts, one after the other: rows that exist, traffic, the kill, the drain, the proof.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datapipe_core::port::PortError;
use datapipe_embedded::Stack;
use datapipe_postgres::Session;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::child::WorkerProcess;
use super::scene::{Scene, secrets, write_config};
use super::show::{Show, resident_kib};
use super::traffic::{self, Committed};
use super::watch::Arrived;
use super::{DemoError, DemoOptions, proof};

/// How long the first rows may take to arrive.
const FIRST_MAX: Duration = Duration::from_secs(60);
/// How long the killed worker's successor may take until rows flow again.
const RECOVER_MAX: Duration = Duration::from_secs(60);
/// How long everything may take to reach S3 after the traffic has ended.
const DRAIN_MAX: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Director<'a> {
    options: &'a DemoOptions,
    root: &'a Path,
    stack: &'a Stack,
    show: &'a Show,
    stop: &'a CancellationToken,
    committed: Arc<Committed>,
    started: Instant,
    pictured: Instant,
    memory_peak_kib: u64,
}

impl<'a> Director<'a> {
    pub(super) fn new(
        options: &'a DemoOptions,
        root: &'a Path,
        stack: &'a Stack,
        show: &'a Show,
        stop: &'a CancellationToken,
    ) -> Self {
        let now = Instant::now();
        let committed = Arc::default();
        Self { options, root, stack, show, stop, committed, started: now, pictured: now, memory_peak_kib: 0 }
    }

    /// True if the proof found nothing wrong.
    pub(super) async fn run(mut self) -> Result<bool, DemoError> {
        let scene = Scene::new(self.stack).await?;
        scene.session.run(include_str!("shop.sql")).await?;
        traffic::fill(&scene.session, self.options.rows, &self.committed).await?;
        self.show.say(&format!("the shop's four tables hold {} rows", self.committed.sum()));
        let config = write_config(self.stack, self.root)?;
        let mut worker = self.start_worker(&config)?;
        self.show
            .say(&format!("worker process {} takes the rows that exist, then every change", worker.pid().unwrap_or(0)));
        let watching = self.stop.child_token();
        let mut watchers = JoinSet::new();
        scene.watch(&mut watchers, &watching);
        self.started = Instant::now();
        self.until("the first rows in Kafka", FIRST_MAX, &scene, &mut worker, async || Ok(records(&scene) > 0)).await?;
        let traffic = self.start_traffic(&scene).await?;
        let worker = self.crash(&scene, &config, worker).await?;
        let worker = self.drain(&scene, traffic, worker).await?;
        let sound = self.prove(&scene, worker).await?;
        watching.cancel();
        while let Some(watcher) = watchers.join_next().await {
            if let Ok(Err(error)) = watcher {
                self.show.say(&format!("a watcher ended early: {}", error.report()));
            }
        }
        Ok(sound)
    }

    fn start_worker(&self, config: &Path) -> Result<WorkerProcess, DemoError> {
        WorkerProcess::start(config, &self.log(), &secrets(self.stack))
    }

    fn log(&self) -> PathBuf {
        self.root.join("worker.log")
    }

    async fn start_traffic(&self, scene: &Scene) -> Result<JoinHandle<Result<(), PortError>>, DemoError> {
        let session = Session::connect(&scene.server).await?;
        let (rate, span) = (self.options.rate, self.options.span);
        let (committed, stop) = (Arc::clone(&self.committed), self.stop.clone());
        self.show.say(&format!("traffic: about {rate} rows/s for {} s", span.as_secs()));
        Ok(tokio::spawn(async move { traffic::run(&session, rate, span, &committed, &stop).await }))
    }

    /// Lets half of the traffic pass, kills the worker, and starts it again.
    async fn crash(
        &mut self,
        scene: &Scene,
        config: &Path,
        mut worker: WorkerProcess,
    ) -> Result<WorkerProcess, DemoError> {
        let half = Instant::now() + self.options.span / 2;
        let limit = self.options.span + FIRST_MAX;
        self.until("half of the traffic", limit, scene, &mut worker, async || Ok(Instant::now() >= half)).await?;
        let before = records(scene);
        let pid = worker.pid().unwrap_or(0);
        worker.kill().await?;
        let killed = Instant::now();
        self.show.say(&format!("kill -9 {pid}: the worker is gone, in the middle of the traffic; starting it again"));
        let mut worker = self.start_worker(config)?;
        // What was committed before the kill may be counted after it.
        sleep(Duration::from_millis(300)).await;
        let before = before.max(records(scene));
        self.until("the recovery", RECOVER_MAX, scene, &mut worker, async || Ok(records(scene) > before)).await?;
        let took = killed.elapsed().as_secs_f64();
        self.show.say(&format!(
            "rows flow again {took:.1} s after the kill; up to 6 s of it is the group's session timeout"
        ));
        Ok(worker)
    }

    /// Waits for the traffic's end, and until everything is in S3.
    async fn drain(
        &mut self,
        scene: &Scene,
        traffic: JoinHandle<Result<(), PortError>>,
        mut worker: WorkerProcess,
    ) -> Result<WorkerProcess, DemoError> {
        let limit = self.options.span + FIRST_MAX;
        self.until("the traffic's end", limit, scene, &mut worker, async || Ok(traffic.is_finished())).await?;
        if let Ok(ended) = traffic.await {
            ended?;
        }
        let end = scene.end_of_log().await?;
        self.show.say("traffic has ended: draining");
        self.until("the drain to Kafka", DRAIN_MAX, scene, &mut worker, async || scene.confirmed_to(&end).await)
            .await?;
        let mut last = (records(scene), Instant::now());
        let settled = async || {
            let now = records(scene);
            if now != last.0 {
                last = (now, Instant::now());
            }
            let drained = scene.arrived.iter().all(|arrived| arrived.drained());
            Ok(drained && last.1.elapsed() > Duration::from_secs(1))
        };
        self.until("the drain to S3", DRAIN_MAX, scene, &mut worker, settled).await?;
        Ok(worker)
    }

    async fn prove(&mut self, scene: &Scene, worker: WorkerProcess) -> Result<bool, DemoError> {
        let took = self.started.elapsed();
        if !self.options.keep {
            worker.stop().await?;
            let sound = proof::run(scene, self.show, took, self.memory_peak_kib).await?;
            self.next_steps(scene, sound);
            return Ok(sound);
        }
        let sound = proof::run(scene, self.show, took, self.memory_peak_kib).await?;
        self.next_steps(scene, sound);
        self.stop.cancelled().await;
        self.show.say("stopping");
        worker.stop().await?;
        Ok(sound)
    }

    fn next_steps(&self, scene: &Scene, sound: bool) {
        let say = |text: &str| self.show.say(text);
        if !sound {
            say(&format!("the worker's log: {}", self.log().display()));
        }
        if self.options.keep {
            let stack = self.stack;
            say("everything stays up until Ctrl-C; try, from another terminal:");
            say("  curl http://localhost:8083/connectors/postgres-cdc-users-connector/status");
            say("  curl http://localhost:8083/metrics");
            say(&format!("  psql '{}'", stack.postgres().url()));
            say(&format!("  Kafka is at {}, S3 at {}", stack.kafka().bootstrap(), stack.s3().endpoint()));
            say(&format!("  objects: {}", scene.bucket_path.display()));
        } else if self.options.folder.is_some() {
            say(&format!("the objects lie in {}", scene.bucket_path.display()));
            say("next: look at one with `zcat`, or run again with --keep to try curl and psql against it");
        } else {
            say(
                "the servers and their data are gone; run with --keep to try curl and psql, or --dir DIR to keep the objects",
            );
        }
    }

    /// Waits until `done`, with pictures meanwhile.
    async fn until(
        &mut self,
        what: &'static str,
        limit: Duration,
        scene: &Scene,
        worker: &mut WorkerProcess,
        mut done: impl AsyncFnMut() -> Result<bool, PortError>,
    ) -> Result<(), DemoError> {
        let started = Instant::now();
        while !done().await? {
            if self.stop.is_cancelled() {
                return Err(DemoError::Interrupted);
            }
            if let Some(status) = worker.ended() {
                return Err(DemoError::WorkerEnded { log: self.log(), status });
            }
            if started.elapsed() > limit {
                return Err(DemoError::Late { what, limit, log: self.log() });
            }
            let memory_kib = resident_kib(worker.pid());
            self.memory_peak_kib = self.memory_peak_kib.max(memory_kib);
            if self.pictured.elapsed() >= self.show.pause() {
                self.pictured = Instant::now();
                self.show.picture(self.started.elapsed(), &self.committed, &scene.arrived, memory_kib);
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}

fn records(scene: &Scene) -> u64 {
    let count = |arrived: &Arc<Arrived>| arrived.records.load(Ordering::Relaxed);
    scene.arrived.iter().map(count).sum()
}
