//! A PostgreSQL server of its own: installed or fetched, logical replication on, loopback only.

mod account;
mod cluster;
mod install;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use self::account::Account;
pub(crate) use self::account::remove_home;
use self::install::Install;
use crate::artifacts::Cache;
use crate::process::ServerProcess;
use crate::{Error, Progress, Result, blocking, log, port, secret, state};

const NAME: &str = "PostgreSQL";
const HOST: &str = "127.0.0.1";
const USER: &str = "datapipe";
const DATABASE: &str = "postgres";
const PASSWORD_LEN: usize = 24;
const READY_LIMIT: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(10);
/// A fast shutdown waits for replication clients to take all that was written.
const FAST_GRACE: Duration = Duration::from_secs(20);
const IMMEDIATE_GRACE: Duration = Duration::from_secs(10);
const DROP_GRACE: Duration = Duration::from_secs(3);

/// Which PostgreSQL is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostgresSource {
    /// An installed server of version 14 or later, else the fetched binaries.
    #[default]
    Auto,
    /// An installed server of at least this major version; an error if there is none.
    Installed {
        /// Lowest acceptable major version, 14 or later.
        major_min: u32,
    },
    /// Portable binaries of PostgreSQL 18, fetched once through Maven.
    Binaries,
}

/// How PostgreSQL is set up.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Installed or fetched.
    pub source: PostgresSource,
    /// `fsync` of the server. Off is safe against crashes of processes, not of the machine. Default: off.
    pub fsync: bool,
    /// Further settings for `postgresql.conf`, name and value; they win over this crate's.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { source: PostgresSource::Auto, fsync: false, settings: Vec::new() }
    }
}

/// How the server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Open transactions are rolled back, connections closed, a checkpoint written; at most 20 s, then immediate.
    Fast,
    /// As a crash: the next start recovers from the WAL.
    Immediate,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    port: u16,
    password: String,
    bin: PathBuf,
    major: u32,
}

/// A PostgreSQL server in a folder. Dropping it stops the server at once.
#[derive(Debug)]
pub struct Postgres {
    home: PathBuf,
    account: Option<Account>,
    install: Install,
    state: State,
    process: Option<ServerProcess>,
}

impl Postgres {
    /// Starts a server with its data under `folder`, made anew or as an earlier start left it (same credentials; same
    /// port if it is still free). What an earlier owner left running there is ended first.
    pub async fn start(folder: &Path, options: PostgresOptions, cache: &Cache, progress: &Progress) -> Result<Self> {
        let begun = Instant::now();
        let (folder, cache, shown) = (folder.to_owned(), cache.clone(), progress.clone());
        let (mut server, fresh) =
            blocking::run("prepare PostgreSQL", move || Self::prepare(&folder, &options, &cache, &shown)).await?;
        server.launch().await?;
        let made = if fresh { "new" } else { "kept" };
        progress.line(&format!(
            "PostgreSQL {} ready on {HOST}:{} in {} ms ({made} data)",
            server.state.major,
            server.state.port,
            begun.elapsed().as_millis(),
        ));
        Ok(server)
    }

    fn prepare(folder: &Path, options: &PostgresOptions, cache: &Cache, progress: &Progress) -> Result<(Self, bool)> {
        let account = Account::for_server();
        let install = install::find(options.source, cache, account, progress)?;
        let home = account::home(folder, account)?;
        end_leftover(&home)?;
        let earlier: Option<State> = state::load(&home.join("state.json"))?;
        let (password, port) = match earlier {
            Some(earlier) => (earlier.password, port::free_or_other(Some(earlier.port))?),
            None => (secret::random(PASSWORD_LEN), port::free()?),
        };
        let state = State { port, password, bin: install.bin.clone(), major: install.major };
        let fresh = cluster::ensure(&home, &install, account, USER, &state.password)?;
        state::save(&home.join("state.json"), &state)?;
        cluster::configure(&home, port, options)?;
        Ok((Self { home, account, install, state, process: None }, fresh))
    }

    /// Whether a start with these options would have to fetch anything.
    pub(crate) fn fetches(options: &PostgresOptions, cache: &Cache) -> bool {
        install::fetches(options.source, cache, Account::for_server())
    }

    /// Takes over a running server. With `guard`, it ends with this process as a started one does.
    pub(crate) fn attach(folder: &Path, guard: bool) -> Result<Self> {
        let not_running = |reason: &str| Error::NotRunning { root: folder.to_owned(), reason: reason.to_owned() };
        let home = fs::canonicalize(folder).map_err(|_| not_running("PostgreSQL has no data there"))?;
        let state: State =
            state::load(&home.join("state.json"))?.ok_or_else(|| not_running("PostgreSQL has no state"))?;
        let process = ServerProcess::adopt(NAME, home.join("server.pid"), guard.then_some(Signal::QUIT))?
            .ok_or_else(|| not_running("PostgreSQL has ended"))?;
        let install = Install { bin: state.bin.clone(), major: state.major };
        Ok(Self { home, account: Account::for_server(), install, state, process: Some(process) })
    }

    async fn launch(&mut self) -> Result<()> {
        let log_path = self.log_path();
        let (stdout, stderr) = log::outputs(&log_path)?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.home.join("data")).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let process = ServerProcess::spawn(NAME, &mut command, self.home.join("server.pid"), Signal::QUIT)?;
        let pid = process.pid();
        let ready = async || cluster::is_ready(&self.home, pid);
        self.process = Some(process.until(ready, (READY_POLL, READY_LIMIT), &log_path, Signal::QUIT).await?);
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        cluster::command(&self.install, program, &self.home, self.account)
    }

    /// Stops the server; nothing happens if it is stopped already.
    pub async fn stop(&mut self, how: Shutdown) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let immediate = (Signal::QUIT, IMMEDIATE_GRACE);
        match how {
            Shutdown::Fast => process.stop(&[(Signal::INT, FAST_GRACE), immediate]).await?,
            Shutdown::Immediate => process.stop(&[immediate]).await?,
        };
        Ok(())
    }

    /// Starts the stopped server again, on the same port and data.
    pub async fn resume(&mut self) -> Result<()> {
        if self.process.is_some() { Ok(()) } else { self.launch().await }
    }

    /// Stops and starts it, on the same port and data.
    pub async fn restart(&mut self, how: Shutdown) -> Result<()> {
        self.stop(how).await?;
        self.launch().await
    }

    /// Lets the server outlive this process.
    pub(crate) fn detach(&mut self) {
        if let Some(process) = self.process.take() {
            process.detach();
        }
    }

    /// `postgres://user:password@host:port/database`.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@{HOST}:{}/{DATABASE}", self.state.password, self.state.port)
    }

    /// `127.0.0.1`.
    pub fn host(&self) -> &'static str {
        HOST
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.state.port
    }

    /// A superuser.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The superuser's password, random per folder.
    pub fn password(&self) -> &str {
        &self.state.password
    }

    /// The database that exists from the start.
    pub fn database(&self) -> &'static str {
        DATABASE
    }

    /// Major version, for instance 18.
    pub fn major(&self) -> u32 {
        self.state.major
    }

    /// Folder of the server's programs (`pg_recvlogical` and `psql` only if installed, not if fetched).
    pub fn bin(&self) -> &Path {
        &self.install.bin
    }

    /// The server's log.
    pub fn log_path(&self) -> PathBuf {
        self.home.join("server.log")
    }

    /// Process id of the postmaster, `None` while stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ServerProcess::pid)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.stop_blocking(Signal::QUIT, DROP_GRACE);
        }
    }
}

/// Ends a server that an earlier owner left running in `home`.
fn end_leftover(home: &Path) -> Result<()> {
    if let Some(mut leftover) = ServerProcess::adopt(NAME, home.join("server.pid"), None)? {
        leftover.stop_blocking(Signal::QUIT, IMMEDIATE_GRACE);
    }
    Ok(())
}

/// Ends a server that an earlier owner left running under `folder`, if any.
pub(crate) fn end_leftover_in(folder: &Path) -> Result<()> {
    match fs::canonicalize(folder) {
        Ok(home) => end_leftover(&home),
        Err(_) => Ok(()),
    }
}
