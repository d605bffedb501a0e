//! Worker processes: `datapipe-run start`, to be killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::Result;
use crate::servers::{Servers, TABLES};

/// A worker process; killed when dropped.
pub struct Worker {
    child: Child,
    log: PathBuf,
    ports: [u16; 4],
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
    /// The REST ports, in the tables' order.
    pub ports: [u16; 4],
}

impl Worker {
    /// Starts a worker for all four tables; its log is appended to `{name}.log`.
    pub fn start(servers: &Servers, settings: &Settings, name: &str) -> Result<Self> {
        let (postgres, s3) = (servers.stack.postgres(), servers.stack.s3());
        let mut command = Command::new(program()?);
        command.arg("start").current_dir(servers.root());
        let mut set = |key: &str, value: &str| {
            command.arg("--set").arg(format!("{key}={value}"));
        };
        set("postgres.host", postgres.host());
        set("postgres.port", &postgres.port().to_string());
        set("postgres.database", postgres.database());
        set("postgres.user", postgres.user());
        set("postgres.password", "${env:PGPASSWORD}");
        set("kafka.bootstrap", &servers.stack.kafka().bootstrap());
        set("kafka.replication_factor", "1");
        set("s3.endpoint", &s3.endpoint());
        set("s3.bucket", &settings.bucket);
        set("topic.prefix", &settings.prefix);
        set("source.heartbeat", "1s");
        set("sink.age", &settings.age);
        set("run.data_dir", &servers.root().join(format!("spool-{name}")).display().to_string());
        for (table, port) in TABLES.iter().zip(settings.ports) {
            set(&format!("tables.{table}.port"), &port.to_string());
        }
        command
            .env("PGPASSWORD", postgres.password())
            .env("AWS_ACCESS_KEY_ID", s3.access_key())
            .env("AWS_SECRET_ACCESS_KEY", s3.secret_key());
        Self::run(command, servers.root(), name, settings.ports)
    }

    /// Starts a worker by a command of one's own; its log is appended to `{name}.log` in the folder.
    pub fn run(mut command: Command, folder: &Path, name: &str, ports: [u16; 4]) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file));
        Ok(Self { child: command.spawn()?, log, ports })
    }

    /// The worker's log so far, its last 4 KiB.
    pub fn words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(4096);
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

    /// SIGTERM, and waits for an end in order.
    pub async fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() { Ok(()) } else { Err(format!("the worker ended with {status}").into()) };
            }
            if begun.elapsed() > Duration::from_secs(40) {
                return Err("the worker did not end within 40 s of SIGTERM".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The sum of a metric over the tables; none if a port does not answer, or does not show it.
    pub async fn metric(&self, http: &reqwest::Client, name: &str) -> Option<[f64; 4]> {
        let mut values = [0.0; 4];
        for (value, port) in values.iter_mut().zip(self.ports) {
            let text = http.get(format!("http://127.0.0.1:{port}/metrics")).send().await.ok()?.text().await.ok()?;
            let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')))?;
            *value = line.rsplit(' ').next()?.parse().ok()?;
        }
        Some(values)
    }

    /// Waits until a metric is at least `least` for every table.
    pub async fn until(&mut self, http: &reqwest::Client, name: &str, least: f64, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            if self.metric(http, name).await.is_some_and(|values| values.iter().all(|value| *value >= least)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the worker ended by itself with {status}:\n{}", self.words()).into());
            }
            if begun.elapsed() > limit {
                let limit_s = limit.as_secs();
                return Err(format!("{name} is not {least} for all tables after {limit_s} s:\n{}", self.words()).into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program as `cargo build --bins` leaves it: beside this one, or one folder up from a test.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("datapipe-run")).find(|path| Path::exists(path));
    found.ok_or_else(|| {
        "datapipe-run is not built: cargo build --bin datapipe-run (with --release for a release)".into()
    })
}

/// Ports that nobody listens on now.
pub fn free_ports() -> Result<[u16; 4]> {
    let mut ports = [0; 4];
    let listeners: Vec<_> = ports.iter().map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect();
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}
