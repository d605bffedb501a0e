//! What serves the demo's tables: the native worker's process, JVM workers, or both.

use std::path::PathBuf;

use datapipe_core::plan::Plan;
use datapipe_core::table::WorkerKind;
use datapipe_embedded::Stack;

use super::child::WorkerProcess;
use super::jvm::{self, Jvm};
use super::scene::{Scene, secrets, write_config};
use super::show::{Show, resident_kib};
use super::{DemoError, DemoOptions};

/// Resident memory in KiB: of the native process, and of the JVM that has most.
#[derive(Clone, Copy, Default)]
struct Memory {
    native_kib: u64,
    jvm_kib: u64,
}

/// The workers, all started, killed and stopped together.
pub(super) struct Workers<'a> {
    options: &'a DemoOptions,
    root: PathBuf,
    stack: &'a Stack,
    show: &'a Show,
    native: Option<WorkerProcess>,
    jvms: Vec<Jvm>,
    now: Memory,
    peak: Memory,
}

impl<'a> Workers<'a> {
    pub(super) fn new(options: &'a DemoOptions, root: PathBuf, stack: &'a Stack, show: &'a Show) -> Self {
        let (now, peak) = (Memory::default(), Memory::default());
        Self { options, root, stack, show, native: None, jvms: Vec::new(), now, peak }
    }

    /// Starts them for the first time.
    pub(super) async fn start(&mut self, scene: &Scene) -> Result<(), DemoError> {
        let kind = self.options.kind;
        if kind != WorkerKind::Native {
            let plan = jvm::plan(self.stack, self.options)?;
            jvm::prepare(&plan, scene).await?;
            self.jvms = jvm::start(&plan, self.stack, &self.root, self.options, self.show).await?;
            self.tell_pids();
            if kind == WorkerKind::KafkaConnect {
                return self.put_connectors(&plan).await;
            }
        }
        let pid = self.start_native()?;
        let does = match kind {
            WorkerKind::Hybrid => "delivers to S3, and answers for both on the tables' ports",
            _ => "takes the rows that exist, then every change",
        };
        self.show.say(&format!("worker process {pid} {does}"));
        Ok(())
    }

    async fn put_connectors(&self, plan: &Plan) -> Result<(), DemoError> {
        let delivers = jvm::put_connectors(plan).await?;
        self.show.say("Debezium takes the rows that exist, then every change");
        if !delivers {
            self.show.say(
                "this shows the source leg only, up to Kafka: the S3 sink is a plugin that you supply, as in \
                 --plugin-path FOLDER, where FOLDER/NAME holds the jars of Aiven's S3 sink",
            );
        }
        Ok(())
    }

    fn tell_pids(&self) {
        self.show.say(&format!("one JVM worker per table: {}", self.jvm_pids()));
    }

    fn jvm_pids(&self) -> String {
        let pids = self.jvms.iter().filter_map(|jvm| Some(format!("{} {}", jvm.table, jvm.worker.pid()?)));
        pids.collect::<Vec<_>>().join(", ")
    }

    fn start_native(&mut self) -> Result<u32, DemoError> {
        let config = write_config(self.stack, &self.root, self.options.port, self.options.kind)?;
        let worker = WorkerProcess::start(&self.root, &config, &self.log(), &secrets(self.stack))?;
        Ok(self.native.insert(worker).pid())
    }

    /// SIGKILL for all of them at once.
    pub(super) async fn kill(&mut self) -> Result<(), DemoError> {
        let mut pids = Vec::new();
        if !self.jvms.is_empty() {
            pids.push(format!("of the JVMs ({})", self.jvm_pids()));
        }
        if let Some(native) = self.native.take() {
            pids.insert(0, native.pid().to_string());
            native.kill().await?;
        }
        jvm::kill(&mut self.jvms).await?;
        let (pids, who) = (pids.join(" and "), if self.jvms.is_empty() { "worker is" } else { "workers are" });
        self.show.say(&format!("kill -9 {pids}: the {who} gone, in the middle of the traffic; starting again"));
        Ok(())
    }

    /// Starts them after the kill.
    pub(super) async fn start_again(&mut self) -> Result<(), DemoError> {
        if self.options.kind != WorkerKind::KafkaConnect {
            self.start_native()?;
        }
        jvm::resume(&mut self.jvms).await
    }

    /// SIGTERM, the native process first: it asks the JVMs.
    pub(super) async fn stop(&mut self) -> Result<(), DemoError> {
        let native = match self.native.take() {
            Some(native) => native.stop().await,
            None => Ok(()),
        };
        let jvms = jvm::stop(&mut self.jvms).await;
        native.and(jvms)
    }

    /// The log and exit status of one that has ended by itself.
    pub(super) fn ended(&mut self) -> Option<(PathBuf, String)> {
        if let Some(status) = self.native.as_mut().and_then(WorkerProcess::ended) {
            return Some((self.log(), status));
        }
        self.jvms.iter_mut().find_map(|jvm| Some((jvm.worker.log_path(), jvm.worker.ended()?)))
    }

    /// Where it stands what went wrong.
    pub(super) fn log(&self) -> PathBuf {
        match self.options.kind {
            WorkerKind::KafkaConnect => jvm::folder(&self.root, super::TABLES[0]).join("worker.log"),
            WorkerKind::Hybrid | WorkerKind::Native => self.root.join("worker.log"),
        }
    }

    /// Looks at their memory.
    pub(super) fn look(&mut self) {
        let native_kib = resident_kib(self.native.as_ref().map(WorkerProcess::pid));
        let jvm_kib = self.jvms.iter().map(|jvm| resident_kib(jvm.worker.pid())).max().unwrap_or(0);
        self.now = Memory { native_kib, jvm_kib };
        self.peak.native_kib = self.peak.native_kib.max(native_kib);
        self.peak.jvm_kib = self.peak.jvm_kib.max(jvm_kib);
    }

    /// Their memory, in words.
    pub(super) fn memory_now(&self) -> String {
        self.words(self.now).unwrap_or_else(|| "no worker".to_owned())
    }

    /// The most that they had, in words.
    pub(super) fn memory_peak(&self) -> String {
        let tables = self.options.kind == WorkerKind::Hybrid;
        let words = self.words(self.peak).unwrap_or_else(|| "worker not seen".to_owned());
        let shared = if tables { " (one process for all four sinks)" } else { "" };
        format!("{words} at most{shared}")
    }

    fn words(&self, memory: Memory) -> Option<String> {
        let mib = |kib: u64| kib / 1024;
        match (self.options.kind, mib(memory.native_kib), mib(memory.jvm_kib)) {
            (WorkerKind::Native, 0, _) | (WorkerKind::KafkaConnect, _, 0) | (WorkerKind::Hybrid, 0, 0) => None,
            (WorkerKind::Native, native, _) => Some(format!("worker {native} MiB")),
            (WorkerKind::KafkaConnect, _, jvm) => Some(format!("largest JVM {jvm} MiB")),
            (WorkerKind::Hybrid, native, jvm) => Some(format!("largest JVM {jvm} MiB, native process {native} MiB")),
        }
    }
}
