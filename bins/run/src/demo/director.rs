//! The acts, one after the other: rows that exist, traffic, the kill, the drain, the proof.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datapipe_core::port::PortError;
use datapipe_core::table::WorkerKind;
use datapipe_embedded::Stack;
use datapipe_kafka::SESSION_TIMEOUT;
use datapipe_postgres::Session;
use datapipe_reconcile::{Report, Sample};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::proof::{self, Leg};
use super::scene::Scene;
use super::show::Show;
use super::traffic::{self, Committed};
use super::workers::Workers;
use super::{DemoError, DemoOptions};

/// How long nothing at all may move: the slowest wait is for the successor of the killed worker.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);
/// A JVM takes longer to be back, four on a few cores longer still.
const STANDSTILL_MAX_JVM: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Director<'a> {
    options: &'a DemoOptions,
    stack: &'a Stack,
    show: &'a Show,
    stop: &'a CancellationToken,
    workers: Workers<'a>,
    committed: Arc<Committed>,
    started: Instant,
    pictured: Instant,
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
            stack,
            show,
            stop,
            workers: Workers::new(options, root.to_owned(), stack, show),
            committed: Arc::default(),
            started: now,
            pictured: now,
        }
    }

    /// True if the proof found nothing wrong.
    pub(super) async fn run(mut self) -> Result<bool, DemoError> {
        let ended = self.play().await;
        let stopped = self.workers.stop().await;
        let sound = ended?;
        stopped.map(|()| sound)
    }

    async fn play(&mut self) -> Result<bool, DemoError> {
        let scene = Scene::new(self.stack).await?;
        scene.session.run(include_str!("shop.sql")).await?;
        traffic::fill(&scene.session, self.options.rows, &self.committed).await?;
        self.show.say(&format!("the shop's four tables hold {} rows", self.committed.sum()));
        // JVMs take their time, in which Ctrl-C is to be heeded.
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(DemoError::Interrupted),
            started = self.workers.start(&scene) => started?,
        }
        let watching = self.stop.child_token();
        let mut watchers = JoinSet::new();
        scene.watch(&mut watchers, &watching);
        self.started = Instant::now();
        // Then every change that comes is an event of its own, and the counts agree at the end.
        let flows = async || Ok(scene.arrived.iter().all(|arrived| arrived.records.load(Ordering::Relaxed) > 0));
        self.until("waiting for the first rows in Kafka", &scene, flows).await?;
        let traffic = self.start_traffic(&scene).await?;
        self.crash(&scene).await?;
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

    async fn start_traffic(&self, scene: &Scene) -> Result<JoinHandle<Result<(), PortError>>, DemoError> {
        let session = Session::connect(&scene.server).await?;
        let (rate, span) = (self.options.rate, self.options.span);
        let (committed, stop) = (Arc::clone(&self.committed), self.stop.clone());
        self.show.say(&format!("traffic: about {rate} rows/s for {} s", span.as_secs()));
        Ok(tokio::spawn(async move { traffic::run(&session, rate, span, &committed, &stop).await }))
    }

    /// Lets half of the traffic pass, kills the workers, and starts them again.
    async fn crash(&mut self, scene: &Scene) -> Result<(), DemoError> {
        let half = Instant::now() + self.options.span / 2;
        self.until("waiting for half of the traffic", scene, async || Ok(Instant::now() >= half)).await?;
        let before = records(scene);
        self.workers.kill().await?;
        let killed = Instant::now();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(DemoError::Interrupted),
            started = self.workers.start_again() => started?,
        }
        // What was committed before the kill may be counted after it.
        sleep(Duration::from_millis(300)).await;
        let before = if self.is_native() { before.max(records(scene)) } else { before };
        self.until("waiting for the recovery", scene, async || Ok(records(scene) > before)).await?;
        let (took, session) = (killed.elapsed().as_secs_f64(), SESSION_TIMEOUT.as_secs());
        let why = if self.is_native() {
            format!("Kafka waits up to {session} s for a worker that says nothing")
        } else {
            format!("four JVMs start on this machine, and Kafka waits up to {session} s for a worker that says nothing")
        };
        self.show.say(&format!("rows flow again {took:.1} s after the kill: {why}"));
        Ok(())
    }

    fn is_native(&self) -> bool {
        self.options.kind == WorkerKind::Native
    }

    /// What is there to be proven.
    fn leg(&self) -> Leg {
        if self.options.kind == WorkerKind::KafkaConnect { Leg::Topic } else { Leg::Objects }
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
        let (mut last, objects) = ((records(scene), Instant::now()), self.leg() == Leg::Objects);
        let settled = async || {
            let now = records(scene);
            if now != last.0 {
                last = (now, Instant::now());
            }
            let drained = !objects || scene.arrived.iter().all(|arrived| arrived.drained());
            Ok(drained && last.1.elapsed() > Duration::from_secs(1))
        };
        let what = if objects { "draining to S3" } else { "waiting for the last records" };
        self.until(what, scene, settled).await?;
        self.picture(scene);
        Ok(())
    }

    /// With `--keep`, everything stays up after the proof until Ctrl-C.
    async fn prove(&mut self, scene: &Scene) -> Result<bool, DemoError> {
        let took = self.started.elapsed();
        if !self.options.keep {
            self.workers.stop().await?;
        }
        let memory = self.workers.memory_peak();
        let proving = proof::run(scene, self.show, self.leg(), took, &memory);
        let reports = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(DemoError::Interrupted),
            reports = proving => reports?,
        };
        let sound = self.judge(&reports);
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

    /// The native worker promises exactly once. Debezium may deliver again what it had delivered before a kill: that is
    /// told, and is no failure of the demo.
    fn judge(&self, reports: &[Report]) -> bool {
        let doubled: u64 = reports.iter().map(|report| report.doubled.count).sum();
        if self.is_native() || doubled == 0 {
            return reports.iter().all(Report::proven);
        }
        self.show.say(&format!(
            "{doubled} events came twice: after a kill Debezium goes on from its last stored offset, which may lie before \
             the last record that it sent; a native worker stores both in one transaction"
        ));
        let but_doubled = |report: &Report| Report { doubled: Sample::default(), ..report.clone() };
        reports.iter().map(but_doubled).all(|report| report.proven())
    }

    fn tell_what_to_try(&self, scene: &Scene) {
        let (stack, port) = (self.stack, self.options.port);
        let lines = [
            "everything stays up until Ctrl-C; try, from another terminal:".to_owned(),
            format!("  curl http://localhost:{port}/"),
            format!("  curl http://localhost:{port}/connectors/postgres-cdc-users-connector/status"),
            format!("  curl http://localhost:{port}/connectors?expand=status"),
            format!("  psql '{}' -c \"UPDATE users SET name = 'me' WHERE id = 1\"", stack.postgres().url()),
            format!(
                "  zcat $(find {}/table=users -name '*.gz' | sort | tail -1) | tail -1  # 5 s later",
                scene.bucket_path.display()
            ),
            format!("Kafka is at {}, S3 at {}", stack.kafka().bootstrap(), stack.s3().endpoint()),
            format!("the worker's log is {}", self.workers.log().display()),
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
            if let Some((log, status)) = self.workers.ended() {
                return Err(DemoError::WorkerEnded { log, status });
            }
            if arrived(scene) != moved.0 {
                moved = (arrived(scene), Instant::now());
            }
            let limit = if self.is_native() { STANDSTILL_MAX } else { STANDSTILL_MAX_JVM };
            if moved.1.elapsed() > limit {
                return Err(DemoError::Late { what, limit, log: self.workers.log() });
            }
            self.workers.look();
            if self.pictured.elapsed() >= self.show.pause() {
                self.picture(scene);
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    fn picture(&mut self, scene: &Scene) {
        self.pictured = Instant::now();
        self.show.picture(self.started.elapsed(), &self.committed, &scene.arrived, &self.workers.memory_now());
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
