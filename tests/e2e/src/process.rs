//! Worker processes: `datapipe-run start`, to be asked, stopped and killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::Result;
use crate::servers::{Servers, TABLES};

/// How long an end in order may take: `run.drain_timeout`, and half as long again for what comes after the drain.
const END_MAX: Duration = Duration::from_secs(30);
/// How much of a log is shown with a failure.
const TAIL_BYTES: usize = 6000;

/// A worker process; killed when dropped, with the end of its log shown if a test is failing.
pub struct Worker {
    child: Child,
    log: PathBuf,
    ports: Vec<u16>,
    http: reqwest::Client,
}

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `topic.prefix`
    pub prefix: String,
    /// The bucket.
    pub bucket: String,
    /// `sink.age`
    pub age: String,
    /// The REST ports, in the order of [`TABLES`].
    pub ports: [u16; 4],
    /// `--table`; all if there are none.
    pub tables: Vec<String>,
    /// Further settings, which win over those above.
    pub more: Vec<(String, String)>,
}

impl Settings {
    /// All four tables, on ports that are free now.
    pub fn new(prefix: impl Into<String>, bucket: impl Into<String>) -> Result<Self> {
        let (prefix, bucket) = (prefix.into(), bucket.into());
        Ok(Self { prefix, bucket, age: "1s".to_owned(), ports: free_ports()?, tables: Vec::new(), more: Vec::new() })
    }

    /// The flags of `datapipe-run`, its subcommand aside.
    fn flags(&self, servers: &Servers, name: &str) -> Vec<String> {
        let (postgres, s3) = (servers.stack.postgres(), servers.stack.s3());
        let mut flags = Vec::new();
        for table in &self.tables {
            flags.extend(["--table".to_owned(), table.clone()]);
        }
        let mut set = |key: &str, value: &str| flags.extend(["--set".to_owned(), format!("{key}={value}")]);
        set("postgres.host", postgres.host());
        set("postgres.port", &postgres.port().to_string());
        set("postgres.database", postgres.database());
        set("postgres.user", postgres.user());
        set("postgres.password", "${env:PGPASSWORD}");
        set("kafka.bootstrap", &servers.stack.kafka().bootstrap());
        set("kafka.replication_factor", "1");
        set("s3.endpoint", &s3.endpoint());
        set("s3.region", s3.region());
        set("s3.bucket", &self.bucket);
        set("topic.prefix", &self.prefix);
        set("source.heartbeat", "1s");
        set("sink.age", &self.age);
        set("run.data_dir", &servers.root().join(format!("spool-{name}")).display().to_string());
        for (table, port) in TABLES.iter().zip(self.ports) {
            set(&format!("tables.{table}.port"), &port.to_string());
        }
        for (key, value) in &self.more {
            set(key, value);
        }
        flags
    }

    /// `datapipe-run SUBCOMMAND` with these settings, the secrets in its environment.
    pub fn command(&self, servers: &Servers, subcommand: &str, name: &str) -> Result<Command> {
        let mut command = Command::new(program()?);
        command.arg(subcommand);
        Ok(self.given(command, servers, name))
    }

    /// Any program with these settings, the secrets in its environment.
    pub fn given(&self, mut command: Command, servers: &Servers, name: &str) -> Command {
        command
            .args(self.flags(servers, name))
            .current_dir(servers.root())
            .env("PGPASSWORD", servers.stack.postgres().password())
            .env("AWS_ACCESS_KEY_ID", servers.stack.s3().access_key())
            .env("AWS_SECRET_ACCESS_KEY", servers.stack.s3().secret_key());
        command
    }

    /// The ports that a worker with these settings serves.
    fn served(&self) -> Vec<u16> {
        let served = |table: &str| self.tables.is_empty() || self.tables.iter().any(|one| one == table);
        TABLES.iter().zip(self.ports).filter(|(table, _)| served(table)).map(|(_, port)| port).collect()
    }
}

impl Worker {
    /// Starts a worker; its log is appended to `{name}.log`.
    pub fn start(servers: &Servers, settings: &Settings, name: &str) -> Result<Self> {
        Self::run(settings.command(servers, "start", name)?, servers.root(), name, settings.served())
    }

    /// Starts a worker by a command of one's own; its log is appended to `{name}.log` in the folder.
    pub fn run(mut command: Command, folder: &Path, name: &str, ports: Vec<u16>) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file));
        let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        Ok(Self { child: command.spawn()?, log, ports, http })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The worker's log so far; earlier workers of the same name wrote to it as well.
    pub fn words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of the worker's log.
    pub fn tail(&self) -> String {
        let text = self.words();
        let from = text.len().saturating_sub(TAIL_BYTES);
        let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        text[from..].to_owned()
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).ok_or("no such process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits for its end.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begun.elapsed() > limit {
                return Err(format!("the worker has not ended after {} s", limit.as_secs()).into());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// SIGTERM, and the wait for an end in order; returns how long that took.
    pub async fn stop(mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.signal(Signal::TERM)?;
        let status = self.ended(END_MAX).await?;
        if status.success() { Ok(begun.elapsed()) } else { Err(format!("the worker ended with {status}").into()) }
    }

    /// A metric of each table, in the tables' order; none if a port does not answer, or does not show it.
    pub async fn metric(&self, name: &str) -> Option<Vec<f64>> {
        let mut values = Vec::new();
        for port in &self.ports {
            let page =
                self.http.get(format!("http://127.0.0.1:{port}/metrics")).send().await.ok()?.text().await.ok()?;
            values.push(metric(&page, name)?);
        }
        Some(values)
    }

    /// Waits until every table's source has committed to Kafka.
    pub async fn flows(&mut self, limit: Duration) -> Result<()> {
        self.until("datapipe_source_commits_total", 1.0, limit).await
    }

    /// Waits until a metric is at least `least` for every table.
    pub async fn until(&mut self, name: &str, least: f64, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            if self.metric(name).await.is_some_and(|values| values.iter().all(|value| *value >= least)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the worker ended by itself with {status}:\n{}", self.tail()).into());
            }
            if begun.elapsed() > limit {
                let limit_s = limit.as_secs();
                return Err(format!("{name} is not {least} for all tables after {limit_s} s:\n{}", self.tail()).into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}", self.log.display(), self.tail());
        }
    }
}

/// A value of a page in Prometheus' text format; the first one, if there are several of that name.
pub fn metric(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// `datapipe-run` as `cargo build --bins` leaves it.
pub fn program() -> Result<PathBuf> {
    program_named("datapipe-run")
}

/// A program as `cargo build --bins` leaves it: beside this one, or one folder up from a test.
pub fn program_named(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| Path::exists(path));
    found.ok_or_else(|| format!("{name} is not built: cargo build --bin {name} (with --release for a release)").into())
}

/// Ports that nobody listens on now.
fn free_ports() -> Result<[u16; 4]> {
    let mut ports = [0; 4];
    for port in &mut ports {
        *port = datapipe_embedded::free_port()?;
    }
    Ok(ports)
}
