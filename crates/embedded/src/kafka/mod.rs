//! A real Apache Kafka broker, KRaft mode, one node, small heap, loopback only.

mod config;
mod wire;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::artifacts::{self, Cache, JarSet};
use crate::class_archive::ClassArchive;
use crate::process::ServerProcess;
use crate::{Error, Progress, Result, blocking, log, port, requirements, state};

const NAME: &str = "Kafka";
const READY_LIMIT: Duration = Duration::from_secs(120);
const READY_POLL: Duration = Duration::from_millis(50);
/// A controlled shutdown of one node writes its snapshots and closes its logs.
const STOP_GRACE: Duration = Duration::from_secs(20);
const HEAP_MIB_MIN: u32 = 128;
const DROP_GRACE: Duration = Duration::from_secs(3);

/// How the broker is set up.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Largest Java heap, in MiB; at least 128. Default: 256.
    pub heap_mib: u32,
    /// Further lines for `server.properties`, name and value; they win over this crate's.
    pub settings: Vec<(String, String)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { heap_mib: 256, settings: Vec::new() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    port: u16,
    controller_port: u16,
    cluster_id: String,
}

/// What the broker is started with; none of it changes over a restart.
#[derive(Debug)]
struct Program {
    java: PathBuf,
    jars: PathBuf,
    archive: ClassArchive,
    heap_mib: u32,
}

/// The Apache Kafka that is brought along.
pub const KAFKA_VERSION: &str = config::VERSION;

/// An Apache Kafka broker in a folder. Dropping it kills the broker.
#[derive(Debug)]
pub struct Kafka {
    folder: PathBuf,
    state: State,
    /// `None` for a broker that was attached to: it can be stopped, not started again.
    program: Option<Program>,
    process: Option<ServerProcess>,
}

impl Kafka {
    /// Starts a broker with its data under `folder`, made anew or as an earlier start left it (same cluster id; same
    /// port if it is still free). What an earlier owner left running there is ended first.
    pub async fn start(folder: &Path, options: KafkaOptions, cache: &Cache, progress: &Progress) -> Result<Self> {
        let begun = Instant::now();
        let (folder, cache, shown) = (folder.to_owned(), cache.clone(), progress.clone());
        let (mut broker, fresh) =
            blocking::run("prepare Kafka", move || Self::prepare(&folder, &options, &cache, &shown)).await?;
        broker.launch().await?;
        let made = if fresh { "new" } else { "kept" };
        progress.line(&format!(
            "Kafka {} ready on {} in {} ms ({made} data)",
            config::VERSION,
            broker.bootstrap(),
            begun.elapsed().as_millis(),
        ));
        Ok(broker)
    }

    fn prepare(folder: &Path, options: &KafkaOptions, cache: &Cache, progress: &Progress) -> Result<(Self, bool)> {
        let java = requirements::java()?;
        let jars = artifacts::jars(cache, JarSet::KafkaBroker, progress)?;
        fs::create_dir_all(folder).map_err(Error::io(format!("create {}", folder.display())))?;
        let folder = fs::canonicalize(folder).map_err(Error::io(format!("resolve {}", folder.display())))?;
        end_leftover_in(&folder)?;
        let state = match state::load::<State>(&folder.join("state.json"))? {
            Some(earlier) => State {
                port: port::free_or_other(Some(earlier.port))?,
                controller_port: port::free_or_other(Some(earlier.controller_port))?,
                cluster_id: earlier.cluster_id,
            },
            None => State { port: port::free()?, controller_port: port::free()?, cluster_id: random_cluster_id() },
        };
        state::save(&folder.join("state.json"), &state)?;
        config::write(&folder, state.port, state.controller_port, options)?;
        let archive = ClassArchive::new(&java, &jars, &folder);
        let program = Program { java: java.program, jars, archive, heap_mib: options.heap_mib.max(HEAP_MIB_MIN) };
        let fresh = format(&folder, &program, &state.cluster_id)?;
        Ok((Self { folder, state, program: Some(program), process: None }, fresh))
    }

    /// Whether a start would have to fetch anything.
    pub(crate) fn fetches(cache: &Cache) -> bool {
        !cache.has(JarSet::KafkaBroker.name())
    }

    /// Takes over a running broker. With `guard`, it ends with this process as a started one does.
    pub(crate) fn attach(folder: &Path, guard: bool) -> Result<Self> {
        let not_running = |reason: &str| Error::NotRunning { root: folder.to_owned(), reason: reason.to_owned() };
        let state = state::load(&folder.join("state.json"))?.ok_or_else(|| not_running("Kafka has no data there"))?;
        let process = ServerProcess::adopt(NAME, folder.join("server.pid"), guard.then_some(Signal::KILL))?
            .ok_or_else(|| not_running("Kafka has ended"))?;
        Ok(Self { folder: folder.to_owned(), state, program: None, process: Some(process) })
    }

    async fn launch(&mut self) -> Result<()> {
        let Some(program) = &self.program else {
            let reason = "a broker that was attached to can't be started again".to_owned();
            return Err(Error::NotRunning { root: self.folder.clone(), reason });
        };
        let log_path = self.log_path();
        let (stdout, stderr) = log::outputs(&log_path)?;
        let sharing = program.archive.reading_or_writing();
        let mut command = program.command(&self.folder, "kafka.Kafka", Some(sharing));
        command.arg(config::path(&self.folder)).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let process = ServerProcess::spawn(NAME, &mut command, self.folder.join("server.pid"), Signal::KILL)?;
        let address = self.address();
        let ready = async || wire::has_broker(address).await;
        self.process = Some(process.until(ready, (READY_POLL, READY_LIMIT), &log_path, Signal::KILL).await?);
        Ok(())
    }

    /// Stops the broker with SIGTERM, with SIGKILL after 20 s; nothing happens if it is stopped already.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let orderly = process.stop(&[(Signal::TERM, STOP_GRACE)]).await?;
        let Some(archive) = self.program.as_ref().map(|program| program.archive.clone()) else { return Ok(()) };
        blocking::run("keep the class archive", move || {
            archive.settle(orderly);
            Ok(())
        })
        .await
    }

    /// Ends the broker with SIGKILL, as a crash would.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.stop(&[]).await?;
        if let Some(program) = &self.program {
            program.archive.settle(false);
        }
        Ok(())
    }

    /// Starts the stopped broker again, on the same port and data.
    pub async fn resume(&mut self) -> Result<()> {
        if self.process.is_some() { Ok(()) } else { self.launch().await }
    }

    /// Stops and starts it, on the same port and data.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch().await
    }

    /// Lets the broker outlive this process.
    pub(crate) fn detach(&mut self) {
        if let Some(process) = self.process.take() {
            process.detach();
        }
    }

    /// `127.0.0.1:port`, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.address().to_string()
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> &str {
        &self.state.cluster_id
    }

    /// The broker's log.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Process id of the broker, `None` while stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ServerProcess::pid)
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.state.port).into()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.stop_blocking(Signal::KILL, DROP_GRACE);
        }
    }
}

impl Program {
    fn command(&self, folder: &Path, main_class: &str, sharing: Option<String>) -> Command {
        let mut command = Command::new(&self.java);
        command
            .current_dir(folder)
            .arg("-Xms64m")
            .arg(format!("-Xmx{}m", self.heap_mib))
            .args(["-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData"])
            .args(sharing)
            .arg(format!("-Dlog4j2.configurationFile={}", config::log_path(folder).display()))
            .arg("-cp")
            .arg(self.jars.join("*"))
            .arg(main_class);
        command
    }
}

/// Ends a broker that an earlier owner left running in `folder`, if any.
pub(crate) fn end_leftover_in(folder: &Path) -> Result<()> {
    if let Some(mut leftover) = ServerProcess::adopt(NAME, folder.join("server.pid"), None)? {
        leftover.stop_blocking(Signal::TERM, DROP_GRACE);
    }
    Ok(())
}

/// Prepares the data folder unless it is prepared. Returns whether it was new.
fn format(folder: &Path, program: &Program, cluster_id: &str) -> Result<bool> {
    if folder.join("data/meta.properties").exists() {
        return Ok(false);
    }
    let output = program
        .command(folder, "kafka.tools.StorageTool", program.archive.reading())
        .args(["format", "-t", cluster_id, "-c"])
        .arg(config::path(folder))
        .output()
        .map_err(Error::io("run Kafka's storage tool"))?;
    if output.status.success() {
        return Ok(true);
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Error::Program {
        program: "Kafka's storage tool".to_owned(),
        status: output.status.to_string(),
        output: log::last_lines(&String::from_utf8_lossy(&text)),
    })
}

/// Sixteen random bytes in Kafka's form. A leading dash is avoided: the storage tool would take it for an option.
fn random_cluster_id() -> String {
    loop {
        let id = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        if !id.starts_with('-') {
            return id;
        }
    }
}
