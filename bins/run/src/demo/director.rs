//! The acts, one after the other: rows that exist, traffic, the kill, the drain, the proof.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datapipe_core::port::PortError;
use datapipe_embedded::Stack;
use datapipe_kafka::SESSION_TIMEOUT;
use datapipe_postgres::Session;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::child::WorkerProcess;
use super::scene::{Scene, secrets, write_config};
use super::show::{Show, resident_kib};
use super::traffic::{self, Committed};
use super::{DemoError, DemoOptions, proof};

/// How long nothing at all may move: the slowest wait is for the successor of the killed worker.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Director<'a> {
    options: &'a DemoOptions,
    root: &'a Path,
    stack: &'a Stack,
    show: &'a Show,
    stop: &'a CancellationToken,
    worker: Option<WorkerProcess>,
    committed: Arc<Committed>,
    started: Instant,
    pictured: Instant,
    memory_kib: u64,
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
        Self {
            options,
            root,
            stack,
            show,
            stop,
            worker: None,
            committed: Arc::default(),
            started: now,
            pictured: now,
            memory_kib: 0,
            memory_peak_kib: 0,
        }
    }

    /// True if the proof found nothing wrong.
    pub(super) async fn run(mut self) -> Result<bool, DemoError> {
        let ended = self.play().await;
        let stopped = self.stop_worker().await;
        let sound = ended?;
        stopped.map(|()| sound)
    }

    async fn play(&mut self) -> Result<bool, DemoError> {
        let scene = Scene::new(self.stack).await?;
        scene.session.run(include_str!("shop.sql")).await?;
        traffic::fill(&scene.session, self.options.rows, &self.committed).await?;
        self.show.say(&format!("the shop's four tables hold {} rows", self.committed.sum()));
        let config = write_config(self.stack, self.root, self.options.port)?;
        let pid = self.start_worker(&config)?;
        self.show.say(&format!("worker process {pid} takes the rows that exist, then every change"));
        let watching = self.stop.child_token();
        let mut watchers = JoinSet::new();
        scene.watch(&mut watchers, &watching);
        self.started = Instant::now();
        // Then every change that comes is an event of its own, and the counts agree at the end.
        let flows = async || Ok(scene.arrived.iter().all(|arrived| arrived.records.load(Ordering::Relaxed) > 0));
        self.until("waiting for the first rows in Kafka", &scene, flows).await?;
        let traffic = self.start_traffic(&scene).await?;
        self.crash(&scene, &config).await?;
        self.drain(&scene, traffic).await?;
        let sound = self.prove(&scene).await?;
        watching.cancel();
        while let Some(watcher) = watchers.join_next().await {
            if let Ok(Err(error)) = watcher {
                self.show.say(&format!("a watcher ended early: {}", error.report()));
            }
        }
        Ok(sound)
    }

    /// Its process id.
    fn start_worker(&mut self, config: &Path) -> Result<u32, DemoError> {
        let worker = WorkerProcess::start(self.root, config, &self.log(), &secrets(self.stack))?;
        Ok(self.worker.insert(worker).pid())
    }

    async fn stop_worker(&mut self) -> Result<(), DemoError> {
        match self.worker.take() {
            Some(worker) => worker.stop().await,
            None => Ok(()),
        }
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
    async fn crash(&mut self, scene: &Scene, config: &Path) -> Result<(), DemoError> {
        let half = Instant::now() + self.options.span / 2;
        self.until("waiting for half of the traffic", scene, async || Ok(Instant::now() >= half)).await?;
        let before = records(scene);
        if let Some(worker) = self.worker.take() {
            let pid = worker.pid();
            worker.kill().await?;
            self.show
                .say(&format!("kill -9 {pid}: the worker is gone, in the middle of the traffic; starting it again"));
        }
        let killed = Instant::now();
        self.start_worker(config)?;
        // What was committed before the kill may be counted after it.
        sleep(Duration::from_millis(300)).await;
        let before = before.max(records(scene));
        self.until("waiting for the recovery", scene, async || Ok(records(scene) > before)).await?;
        let (took, session) = (killed.elapsed().as_secs_f64(), SESSION_TIMEOUT.as_secs());
        self.show.say(&format!(
            "rows flow again {took:.1} s after the kill: Kafka waits up to {session} s for a worker that says nothing"
        ));
        Ok(())
    }

    /// Waits for the traffic's end, and until everything is in S3.
    async fn drain(&mut self, scene: &Scene, traffic: JoinHandle<Result<(), PortError>>) -> Result<(), DemoError> {
        self.until("waiting for the traffic's end", scene, async || Ok(traffic.is_finished())).await?;
        if let Ok(ended) = traffic.await {
            ended?;
        }
        let end = scene.end_of_log().await?;
        self.show.say("traffic has ended: draining");
        self.until("draining to Kafka", scene, async || scene.confirmed_to(&end).await).await?;
        let mut last = (records(scene), Instant::now());
        let settled = async || {
            let now = records(scene);
            if now != last.0 {
                last = (now, Instant::now());
            }
            let drained = scene.arrived.iter().all(|arrived| arrived.drained());
            Ok(drained && last.1.elapsed() > Duration::from_secs(1))
        };
        self.until("draining to S3", scene, settled).await?;
        self.picture(scene);
        Ok(())
    }

    /// With `--keep`, everything stays up after the proof until Ctrl-C.
    async fn prove(&mut self, scene: &Scene) -> Result<bool, DemoError> {
        let took = self.started.elapsed();
        if !self.options.keep {
            self.stop_worker().await?;
        }
        let proving = proof::run(scene, self.show, took, self.memory_peak_kib);
        let sound = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(DemoError::Interrupted),
            sound = proving => sound?,
        };
        if self.options.keep {
            self.show.finish();
            self.tell_what_to_try(scene);
            self.stop.cancelled().await;
        } else if self.options.folder.is_some() {
            let objects = scene.bucket_path.display();
            self.show.say(&format!("try next: zcat $(find {objects} -name '*.gz' | head -1) | head -1"));
        }
        Ok(sound)
    }

    fn tell_what_to_try(&self, scene: &Scene) {
        let (stack, port) = (self.stack, self.options.port);
        let lines = [
            "everything stays up until Ctrl-C; try, from another terminal:".to_owned(),
            format!("  curl http://localhost:{port}/"),
            format!("  curl http://localhost:{port}/connectors/postgres-cdc-users-connector/status"),
            format!("  curl http://localhost:{port}/metrics"),
            format!("  psql '{}' -c \"UPDATE users SET name = 'me' WHERE id = 1\"", stack.postgres().url()),
            format!(
                "  zcat $(find {}/table=users -name '*.gz' | sort | tail -1) | tail -1  # 5 s later",
                scene.bucket_path.display()
            ),
            format!("Kafka is at {}, S3 at {}", stack.kafka().bootstrap(), stack.s3().endpoint()),
            format!("the worker's log is {}", self.log().display()),
        ];
        for line in &lines {
            self.show.say(line);
        }
    }

    /// Waits until `done`, with pictures meanwhile; not for long where nothing moves.
    async fn until(
        &mut self,
        what: &'static str,
        scene: &Scene,
        mut done: impl AsyncFnMut() -> Result<bool, PortError>,
    ) -> Result<(), DemoError> {
        let mut moved = (arrived(scene), Instant::now());
        while !done().await? {
            if self.stop.is_cancelled() {
                return Err(DemoError::Interrupted);
            }
            if let Some(status) = self.worker.as_mut().and_then(WorkerProcess::ended) {
                return Err(DemoError::WorkerEnded { log: self.log(), status });
            }
            if arrived(scene) != moved.0 {
                moved = (arrived(scene), Instant::now());
            }
            if moved.1.elapsed() > STANDSTILL_MAX {
                return Err(DemoError::Late { what, limit: STANDSTILL_MAX, log: self.log() });
            }
            self.memory_kib = resident_kib(self.worker.as_ref().map(WorkerProcess::pid));
            self.memory_peak_kib = self.memory_peak_kib.max(self.memory_kib);
            if self.pictured.elapsed() >= self.show.pause() {
                self.picture(scene);
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    fn picture(&mut self, scene: &Scene) {
        self.pictured = Instant::now();
        self.show.picture(self.started.elapsed(), &self.committed, &scene.arrived, self.memory_kib);
    }
}

fn records(scene: &Scene) -> u64 {
    scene.arrived.iter().map(|arrived| arrived.records.load(Ordering::Relaxed)).sum()
}

/// In Kafka and in S3 together: it moves as long as anything does.
fn arrived(scene: &Scene) -> u64 {
    let written = scene.arrived.iter().map(|arrived| arrived.in_objects.load(Ordering::Relaxed));
    records(scene) + written.sum::<u64>()
}
