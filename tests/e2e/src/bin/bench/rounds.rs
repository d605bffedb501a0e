//! The measurements, each repeated in turns on the same rows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datapipe_core::convention::Names;
use datapipe_core::object::ObjectMeta;
use datapipe_core::port::PortError;
use datapipe_core::port::log::{LogReader as _, RecordBatch};
use datapipe_core::port::store::ObjectStore as _;
use datapipe_embedded::Stack;
use datapipe_kafka::lag::LagWatch;
use datapipe_kafka::{KafkaConnectStore, ReaderSettings, TopicReader};

use crate::measure::{Meter, Server};
use crate::report::Report;
use crate::scene::{ORIGIN, Scene};
use crate::worker::Worker;
use crate::{BenchError, Cli, latency, proc};

/// How long anything may take, however slow the machine: 1,000,000 rows at 2,000/s.
const LIMIT: Duration = Duration::from_secs(500);
/// How long a worker rests before its idle memory is read.
const IDLE: Duration = Duration::from_secs(10);
/// The slot that `pg_recvlogical` reads.
const CLIENT_SLOT: &str = "bench_client";

pub(crate) struct Rounds<'a> {
    scene: Scene<'a>,
    rows: u64,
    /// What the worker is told on its command line.
    settings: &'a [String],
    /// The worker's progress where the slot begins.
    progress: Vec<u8>,
    /// Where the last of the slot's transactions begins.
    end: String,
    runs: u32,
}

impl<'a> Rounds<'a> {
    /// Lets the worker make its slot on the empty table, keeps slot and progress as they are then, and fills the slot.
    pub(crate) async fn prepare(
        stack: &'a Stack,
        root: &Path,
        cli: &'a Cli,
        idle: bool,
        report: &mut Report,
    ) -> Result<Self, BenchError> {
        let scene = Scene::new(stack, root).await?;
        let (rows, settings) = (cli.rows, cli.set.as_slice());
        let mut rounds = Self { scene, rows, settings, progress: Vec::new(), end: String::new(), runs: 0 };
        let names = Scene::names("origin")?;
        let (mut worker, _) = rounds.streaming("origin", &["source", "sink"], &names.slot).await?;
        if idle {
            tokio::time::sleep(IDLE).await;
            report.idle("source and sink", proc::memory_mib(worker.pid(), "VmRSS"));
        }
        worker.check()?;
        rounds.stop(worker, &names).await?;
        if idle {
            let (worker, _) = rounds.streaming("origin", &["source"], &names.slot).await?;
            tokio::time::sleep(IDLE).await;
            report.idle("source", proc::memory_mib(worker.pid(), "VmRSS"));
            rounds.stop(worker, &names).await?;
        }
        let unknown = || BenchError::Unexpected("the worker has stored no progress".to_owned());
        rounds.progress = rounds.scene.progress(&names).await?.ok_or_else(unknown)?;
        rounds.scene.copy_slot(&names.slot, ORIGIN).await?;
        let begun = Instant::now();
        rounds.end = rounds.scene.fill(rows).await?;
        let sql = format!(
            "SELECT pg_size_pretty('{}'::pg_lsn - confirmed_flush_lsn) FROM pg_replication_slots \
             WHERE slot_name = '{ORIGIN}'",
            rounds.end
        );
        let size = rounds.scene.value(&sql).await?.unwrap_or_default();
        eprintln!("{rows} rows inserted in {:.0} s, {size} of WAL in the slot", begun.elapsed().as_secs_f64());
        Ok(rounds)
    }

    /// One sample of everything that is wanted.
    pub(crate) async fn all(&mut self, wanted: &dyn Fn(&str) -> bool, report: &mut Report) -> Result<(), BenchError> {
        if wanted("pg_recvlogical") {
            self.pg_recvlogical(report).await?;
        }
        if wanted("capture") {
            self.capture("capture", &["source"], report).await?;
        }
        if wanted("deliver") {
            self.capture("capture + deliver", &["source", "sink"], report).await?;
        }
        if wanted("copy") {
            self.copy(report).await?;
        }
        if wanted("snapshot") {
            self.snapshot(report).await?;
        }
        Ok(())
    }

    async fn pg_recvlogical(&self, report: &mut Report) -> Result<(), BenchError> {
        let scene = &self.scene;
        scene.copy_slot(ORIGIN, CLIENT_SLOT).await?;
        let publication = Scene::names("origin")?.publication;
        let mut command = self.program("pg_recvlogical");
        command.args(["--start", "--no-loop", "-f", "/dev/null", "-S", CLIENT_SLOT, "-E", &self.end]);
        command.args(["-o", "proto_version=1", "-o", &format!("publication_names={publication}")]);
        let mut child = self.spawn(command)?;
        let walsender = self.walsender(CLIENT_SLOT).await?;
        let meter = Meter::start(child.id(), Server::Walsender(walsender, 0.0), self.broker()?).of_whole_client();
        let pid = child.id();
        let sample = meter.until(self.rows, LIMIT, async || Ok(proc::has_ended(pid))).await;
        finish(&mut child, "pg_recvlogical")?;
        scene.drop_slot(CLIENT_SLOT).await?;
        report.add("pg_recvlogical to /dev/null", sample?.ok_or_else(|| late("pg_recvlogical"))?);
        Ok(())
    }

    /// The worker on the filled slot, until PostgreSQL is told that all of it is in Kafka and, with a sink, all of
    /// Kafka's part is in S3.
    async fn capture(&mut self, name: &str, connectors: &[&str], report: &mut Report) -> Result<(), BenchError> {
        let run = self.next_run();
        let names = Scene::names(&run)?;
        self.scene.copy_slot(ORIGIN, &names.slot).await?;
        self.scene.put_progress(&names, &self.progress).await?;
        let (mut worker, walsender) = self.streaming(&run, connectors, &names.slot).await?;
        let meter = Meter::start(worker.pid(), Server::Walsender(walsender, 0.0), self.broker()?);
        let sink = connectors.contains(&"sink");
        let lag = LagWatch::new(&self.scene.kafka, &names.data_topic, &names.sink_group)?;
        let confirmed = format!(
            "SELECT 1 FROM pg_replication_slots WHERE slot_name = '{}' AND confirmed_flush_lsn > '{}'",
            names.slot, self.end
        );
        let sample = meter
            .until(self.rows, LIMIT, async || {
                let captured = self.scene.value(&confirmed).await?.is_some();
                Ok(captured && (!sink || delivered(&lag, self.rows).await?))
            })
            .await?;
        worker.check()?;
        let sample = sample.ok_or_else(|| late(name))?;
        self.stop(worker, &names).await?;
        report.envelope(self.check_log(&names).await?);
        if sink {
            report.objects(self.check_objects(&names).await?);
        }
        report.add(name, sample);
        Ok(())
    }

    async fn copy(&self, report: &mut Report) -> Result<(), BenchError> {
        let mut command = self.program("psql");
        command.args(["-qX", "-o", "/dev/null", "-c", "COPY public.users TO STDOUT"]);
        let server = Server::whole(self.postmaster()?);
        let mut child = self.spawn(command)?;
        let meter = Meter::start(child.id(), server, self.broker()?).of_whole_client();
        let pid = child.id();
        let sample = meter.until(self.rows, LIMIT, async || Ok(proc::has_ended(pid))).await;
        finish(&mut child, "psql")?;
        report.add("COPY to /dev/null", sample?.ok_or_else(|| late("COPY"))?);
        Ok(())
    }

    /// The worker on a table with rows and without a slot, until it streams from the slot that it has made.
    async fn snapshot(&mut self, report: &mut Report) -> Result<(), BenchError> {
        let run = self.next_run();
        let names = Scene::names(&run)?;
        self.scene.drop_slot(&names.slot).await?;
        let server = Server::whole(self.postmaster()?);
        let mut worker = self.start(&run, &["source"])?;
        let made = format!("SELECT 1 FROM pg_replication_slots WHERE slot_name = '{}'", names.slot);
        while self.scene.value(&made).await?.is_none() {
            worker.check()?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let meter = Meter::start(worker.pid(), server, self.broker()?);
        // Until its snapshot has been stored whole, the slot has no reader.
        let sample = meter.until(self.rows, LIMIT, async || Ok(self.scene.walsender(&names.slot).await?.is_some()));
        let sample = sample.await?.ok_or_else(|| late("the snapshot"))?;
        self.stop(worker, &names).await?;
        self.check_log(&names).await?;
        report.add("snapshot", sample);
        Ok(())
    }

    /// Latency of single changes, with a worker that has nothing to catch up with.
    pub(crate) async fn latency(&mut self, rate: u32, span: Duration, report: &mut Report) -> Result<(), BenchError> {
        let run = self.next_run();
        let names = Scene::names(&run)?;
        self.scene.drop_slot(&names.slot).await?;
        self.scene.session.run("TRUNCATE public.users").await?;
        let (worker, _) = self.streaming(&run, &["source"], &names.slot).await?;
        let measured = latency::measure(&self.scene, &names, rate, span).await?;
        let cpu_s = proc::cpu_s(worker.pid()).unwrap_or_default();
        report.latency(measured, cpu_s, proc::memory_mib(worker.pid(), "VmHWM").unwrap_or_default());
        self.stop(worker, &names).await
    }

    fn next_run(&mut self) -> String {
        self.runs += 1;
        format!("run{}", self.runs)
    }

    fn start(&self, run: &str, connectors: &[&str]) -> Result<Worker, BenchError> {
        let config = self.scene.config(run, connectors)?;
        Worker::start(&config, &self.scene.root.join("worker.log"), self.settings, &self.scene.secrets())
    }

    /// A worker whose walsender has begun.
    async fn streaming(&self, run: &str, connectors: &[&str], slot: &str) -> Result<(Worker, u32), BenchError> {
        let mut worker = self.start(run, connectors)?;
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            worker.check()?;
            if let Some(walsender) = self.scene.walsender(slot).await? {
                return Ok((worker, walsender));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(late("the start of the worker"))
    }

    /// Stops the worker and takes its sink out of the configurations: the next run may have none.
    async fn stop(&self, worker: Worker, names: &Names) -> Result<(), BenchError> {
        worker.stop().await?;
        let store = KafkaConnectStore::new(self.scene.kafka.clone(), &names.configs_topic, &names.status_topic)?;
        store.delete_config(&names.sink_connector).await?;
        Ok(())
    }

    async fn walsender(&self, slot: &str) -> Result<u32, BenchError> {
        for _ in 0..1000 {
            if let Some(walsender) = self.scene.walsender(slot).await? {
                return Ok(walsender);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(late("the start of pg_recvlogical"))
    }

    /// Every row is in the log once. Returns the mean size of a value, in bytes.
    #[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^52")]
    async fn check_log(&self, names: &Names) -> Result<f64, BenchError> {
        let mut reader = TopicReader::new(&self.scene.kafka, ReaderSettings::new(&names.data_topic, "bench-check"))?;
        for partition in 0..reader.identity().await?.partitions {
            reader.seek(partition, 0).await?;
        }
        let (mut rows, mut bytes) = (0, 0);
        let mut batch = RecordBatch::default();
        loop {
            batch.clear();
            reader.poll(Duration::from_secs(2), &mut batch).await?;
            if batch.is_empty() {
                break;
            }
            rows += batch.len() as u64;
            bytes += batch.iter().map(|record| record.value.map_or(0, <[u8]>::len)).sum::<usize>();
        }
        self.expect_rows("Kafka", rows)?;
        Ok(bytes as f64 / rows as f64)
    }

    /// Every row is in an object once, by the objects' metadata. Returns how many objects there are.
    async fn check_objects(&self, names: &Names) -> Result<usize, BenchError> {
        let (mut rows, mut objects, mut from) = (0, 0, None);
        loop {
            let page = self.scene.store.list(&names.object_prefix, false, from.as_deref()).await?;
            for key in page.keys.iter().filter(|key| key.contains(&format!("{}-", names.data_topic))) {
                let head = self.scene.store.head(key).await?;
                let meta = head.and_then(|head| ObjectMeta::from_map(&head.metadata).ok());
                rows += meta.map_or(0, |meta| meta.written);
                objects += 1;
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        self.expect_rows("S3", rows)?;
        Ok(objects)
    }

    fn expect_rows(&self, place: &str, found: u64) -> Result<(), BenchError> {
        if found == self.rows {
            return Ok(());
        }
        Err(BenchError::Unexpected(format!("{place} holds {found} rows instead of {}", self.rows)))
    }

    fn program(&self, name: &str) -> Command {
        let postgres = self.scene.stack.postgres();
        let program: PathBuf = postgres.bin().join(name);
        let mut command = Command::new(program);
        command
            .env("PGPASSWORD", postgres.password())
            .args(["-h", postgres.host(), "-p", &postgres.port().to_string()])
            .args(["-U", postgres.user(), "-d", postgres.database()]);
        command
    }

    fn spawn(&self, mut command: Command) -> Result<Child, BenchError> {
        let log = File::create(self.scene.root.join("client.log")).map_err(BenchError::io("making a client's log"))?;
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().map_err(BenchError::io(format!("starting {program}, which an installed PostgreSQL brings")))
    }

    fn postmaster(&self) -> Result<u32, BenchError> {
        self.scene.stack.postgres().pid().ok_or_else(|| BenchError::Unexpected("PostgreSQL has ended".to_owned()))
    }

    fn broker(&self) -> Result<u32, BenchError> {
        self.scene.stack.kafka().pid().ok_or_else(|| BenchError::Unexpected("Kafka has ended".to_owned()))
    }
}

/// True once the sink has committed an offset at the end of a log that holds all rows.
async fn delivered(lag: &LagWatch, rows: u64) -> Result<bool, PortError> {
    let partitions = lag.look().await?;
    let end: i64 = partitions.iter().map(|partition| partition.end).sum();
    let left: i64 = partitions.iter().map(datapipe_kafka::lag::PartitionLag::offsets).sum();
    // The last transaction's marker is behind the last record.
    Ok(end.cast_unsigned() > rows && left <= 1)
}

fn finish(child: &mut Child, name: &str) -> Result<(), BenchError> {
    // After its end; before, it is in the way of the next sample.
    let _ = child.kill();
    let status = child.wait().map_err(BenchError::io(format!("waiting for {name}")))?;
    if status.success() { Ok(()) } else { Err(BenchError::Unexpected(format!("{name} ended with {status}"))) }
}

fn late(what: &str) -> BenchError {
    BenchError::Unexpected(format!("{what} took longer than {} s", LIMIT.as_secs()))
}
