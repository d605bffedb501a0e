//! A real Apache Kafka Connect worker in distributed mode, with Debezium's PostgreSQL connector: the reference that the
//! native worker is compared with.

mod config;

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::artifacts::{self, Cache, JarSet};
use crate::class_archive::ClassArchive;
use crate::process::ServerProcess;
use crate::{Error, Progress, Result, blocking, log, port, requirements};

const NAME: &str = "Kafka Connect";
const READY_LIMIT: Duration = Duration::from_secs(180);
const READY_POLL: Duration = Duration::from_millis(100);
/// Connectors stop and offsets are flushed.
const STOP_GRACE: Duration = Duration::from_secs(30);
const DROP_GRACE: Duration = Duration::from_secs(3);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// The Apache Kafka Connect that is brought along.
pub const CONNECT_VERSION: &str = "4.3.1";

/// Which Debezium stands in the worker's plugin path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Debezium {
    /// 3.6.3.Final, which may lose rows when it is restarted in a transaction.
    V3_6,
    /// 3.7.0.Final
    #[default]
    V3_7,
}

impl Debezium {
    /// Its version, as `source.version` carries it.
    pub fn version(self) -> &'static str {
        match self {
            Self::V3_6 => "3.6.3.Final",
            Self::V3_7 => "3.7.0.Final",
        }
    }

    pub(crate) fn jars(self) -> JarSet {
        match self {
            Self::V3_6 => JarSet::Debezium36,
            Self::V3_7 => JarSet::Debezium37,
        }
    }
}

/// Variables of a worker's environment. Their values, which may be secrets, are not printed.
#[derive(Clone, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Adds a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// `bootstrap.servers`
    pub bootstrap: String,
    /// `group.id`; its internal topics are `connect-{configs,offsets,status}-{name}`.
    pub name: String,
    /// The REST port; a free one without it.
    pub port: Option<u16>,
    /// Which Debezium is installed.
    pub debezium: Debezium,
    /// Folders that hold further plugins, each in a folder of its own.
    pub plugin_path: Vec<PathBuf>,
    /// The JVM's flags, after this crate's own; of two for the same thing the later one wins.
    pub jvm_flags: Vec<String>,
    /// Its environment beside this process's, for references `${env:..}`.
    pub environment: Environment,
    /// Further lines for the worker's properties, name and value; they win over this crate's.
    pub settings: Vec<(String, String)>,
}

impl ConnectOptions {
    /// A worker of group `connect-cluster-{name}` on a free port, with Debezium 3.7 and a heap of at most 256 MiB.
    pub fn new(bootstrap: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            name: name.into(),
            port: None,
            debezium: Debezium::default(),
            plugin_path: Vec::new(),
            jvm_flags: Vec::new(),
            environment: Environment::default(),
            settings: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct Program {
    java: PathBuf,
    jars: PathBuf,
    archive: ClassArchive,
    jvm_flags: Vec<String>,
    environment: Environment,
}

/// A Kafka Connect worker. Dropping it kills the worker.
#[derive(Debug)]
pub struct ConnectWorker {
    folder: PathBuf,
    port: u16,
    program: Program,
    process: Option<ServerProcess>,
}

impl ConnectWorker {
    /// Starts a worker with its files under `folder`; it is ready when REST answers. The internal topics are made by
    /// the worker where they are missing.
    pub async fn start(folder: &Path, options: ConnectOptions, cache: &Cache, progress: &Progress) -> Result<Self> {
        let begun = Instant::now();
        let (folder, cache, shown) = (folder.to_owned(), cache.clone(), progress.clone());
        let mut worker =
            blocking::run("prepare Kafka Connect", move || Self::prepare(&folder, options, &cache, &shown)).await?;
        worker.launch().await?;
        let (url, took_ms) = (worker.url(), begun.elapsed().as_millis());
        progress.line(&format!("Kafka Connect {CONNECT_VERSION} ready on {url} in {took_ms} ms"));
        Ok(worker)
    }

    fn prepare(folder: &Path, options: ConnectOptions, cache: &Cache, progress: &Progress) -> Result<Self> {
        let java = requirements::java()?;
        let jars = artifacts::jars(cache, JarSet::KafkaConnect, progress)?;
        let debezium = artifacts::jars(cache, options.debezium.jars(), progress)?;
        fs::create_dir_all(folder).map_err(Error::io(format!("create {}", folder.display())))?;
        let folder = fs::canonicalize(folder).map_err(Error::io(format!("resolve {}", folder.display())))?;
        if let Some(mut leftover) = ServerProcess::adopt(NAME, folder.join("worker.pid"), None)? {
            leftover.stop_blocking(Signal::TERM, DROP_GRACE);
        }
        let port = match options.port {
            Some(port) => port,
            None => port::free()?,
        };
        config::write(&folder, port, &debezium, &options)?;
        let archive = ClassArchive::new(&java, &jars, &folder);
        let program = Program {
            java: java.program,
            jars,
            archive,
            jvm_flags: options.jvm_flags,
            environment: options.environment,
        };
        Ok(Self { folder, port, program, process: None })
    }

    async fn launch(&mut self) -> Result<()> {
        let log_path = self.log_path();
        let (stdout, stderr) = log::outputs(&log_path)?;
        let mut command = self.program.command(&self.folder);
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let process = ServerProcess::spawn(NAME, &mut command, self.folder.join("worker.pid"), Signal::KILL)?;
        let address = self.address();
        let answers = async || matches!(timeout(ANSWER_LIMIT, answers(address)).await, Ok(Ok(true)));
        self.process = Some(process.until(answers, (READY_POLL, READY_LIMIT), &log_path, Signal::KILL).await?);
        Ok(())
    }

    /// Stops the worker with SIGTERM, with SIGKILL after 30 s; nothing happens if it is stopped already.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let orderly = process.stop(&[(Signal::TERM, STOP_GRACE)]).await?;
        let archive = self.program.archive.clone();
        blocking::run("keep the class archive", move || {
            archive.settle(orderly);
            Ok(())
        })
        .await
    }

    /// Ends the worker with SIGKILL, as a crash would.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.stop(&[]).await?;
        self.program.archive.settle(false);
        Ok(())
    }

    /// Starts the stopped worker again, on the same port.
    pub async fn resume(&mut self) -> Result<()> {
        if self.process.is_some() { Ok(()) } else { self.launch().await }
    }

    /// `http://127.0.0.1:port`, where REST answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The worker's log.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("worker.log")
    }

    /// Process id of the worker, `None` while stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ServerProcess::pid)
    }

    /// The exit status, if it has ended by itself.
    pub fn ended(&mut self) -> Option<String> {
        self.process.as_mut().and_then(ServerProcess::ended)
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Drop for ConnectWorker {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.stop_blocking(Signal::KILL, DROP_GRACE);
        }
    }
}

impl Program {
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.java);
        command
            .current_dir(folder)
            .envs(self.environment.0.iter().map(|(name, value)| (name, value)))
            .args(["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .arg("-XX:+ExitOnOutOfMemoryError")
            .args(&self.jvm_flags)
            .arg(self.archive.reading_or_writing())
            .arg(format!("-Dlog4j2.configurationFile={}", config::log_path(folder).display()))
            .arg("-cp")
            .arg(self.jars.join("*"))
            .arg("org.apache.kafka.connect.cli.ConnectDistributed")
            .arg(config::path(folder));
        command
    }
}

/// Whether the worker answers `GET /` with 200.
async fn answers(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(&status == b"HTTP/1.1 200")
}
