//! The three servers together, in one folder.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::kafka::{self, Kafka, KafkaOptions};
use crate::postgres::{self, Postgres, PostgresOptions, PostgresSource, Shutdown};
use crate::s3::S3Server;
use crate::{Cache, Error, Progress, Result, blocking, requirements};

/// What is made in the stack's folder; nothing else there is touched.
const PARTS: [&str; 3] = [POSTGRES, KAFKA, S3];
const POSTGRES: &str = "postgres";
const KAFKA: &str = "kafka";
const S3: &str = "s3";
/// Held by the process that owns the stack.
const LOCK: &str = "stack.lock";

/// How a stack is set up; made by [`Stack::builder`].
#[derive(Debug, Clone)]
pub struct StackBuilder {
    root: PathBuf,
    postgres: PostgresOptions,
    kafka: KafkaOptions,
    cache: Cache,
    progress: Progress,
    keep_data: bool,
}

impl StackBuilder {
    /// Which PostgreSQL; the other options stay.
    #[must_use]
    pub fn postgres(mut self, source: PostgresSource) -> Self {
        self.postgres.source = source;
        self
    }

    /// All options of PostgreSQL.
    #[must_use]
    pub fn postgres_options(mut self, options: PostgresOptions) -> Self {
        self.postgres = options;
        self
    }

    /// All options of Kafka.
    #[must_use]
    pub fn kafka_options(mut self, options: KafkaOptions) -> Self {
        self.kafka = options;
        self
    }

    /// Where fetched files are kept. Default: the user's cache folder.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// Receives a line per step. Default: silent.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Whether the data stays when the stack stops. Default: it is thrown away.
    #[must_use]
    pub fn keep_data(mut self, keep: bool) -> Self {
        self.keep_data = keep;
        self
    }

    /// Starts the three servers, PostgreSQL and Kafka side by side, once all that they need is found to be installed.
    /// What an earlier owner left running in the folder is
    /// ended first; data that is there is used on.
    pub async fn start(self) -> Result<Stack> {
        let fetches = (self.postgres.clone(), self.cache.clone());
        blocking::run("look for what is needed", move || {
            let (postgres, cache) = fetches;
            requirements::check(Kafka::fetches(&cache) || Postgres::fetches(&postgres, &cache))
        })
        .await?;
        let lock = lock(&self.root)?;
        let [postgres, kafka, s3] = PARTS.map(|part| self.root.join(part));
        let (postgres, kafka, s3) = tokio::join!(
            Postgres::start(&postgres, self.postgres, &self.cache, &self.progress),
            Kafka::start(&kafka, self.kafka, &self.cache, &self.progress),
            S3Server::start(&s3, &self.progress),
        );
        // A server that did start stops when it is dropped here, should another have failed.
        let servers = Servers { postgres: postgres?, kafka: kafka?, s3: s3? };
        Ok(Stack { servers: Some(servers), root: self.root, keep_data: self.keep_data, progress: self.progress, lock })
    }
}

/// A running stack. Call [`Stack::stop`] at the end; dropping it stops the servers too, at once and as well as it can.
///
/// The servers stand in process groups of their own: the terminal's Ctrl-C reaches the caller alone, who then calls
/// `stop`. If the caller dies without a word, PostgreSQL and Kafka are ended by a watchdog each.
#[derive(Debug)]
pub struct Stack {
    servers: Option<Servers>,
    root: PathBuf,
    keep_data: bool,
    progress: Progress,
    lock: File,
}

#[derive(Debug)]
struct Servers {
    postgres: Postgres,
    kafka: Kafka,
    s3: S3Server,
}

impl Stack {
    /// A stack in the folder `root`, which is created when needed.
    pub fn builder(root: impl Into<PathBuf>) -> StackBuilder {
        StackBuilder {
            root: root.into(),
            postgres: PostgresOptions::default(),
            kafka: KafkaOptions::default(),
            cache: Cache::of_user(),
            progress: Progress::silent(),
            keep_data: false,
        }
    }

    /// Takes over a stack that [`Stack::detach`] left running. PostgreSQL and Kafka are found by their pid files; the
    /// S3 server, which lives in a process, is started in this one, on the same port with the same objects and keys.
    /// The servers end with this process, and the data stays, unless said otherwise by [`Stack::throw_away`].
    pub async fn attach(root: impl Into<PathBuf>, progress: Progress) -> Result<Self> {
        let root = root.into();
        if !root.exists() {
            return Err(Error::NotRunning { root, reason: "there is no such folder".to_owned() });
        }
        let lock = lock(&root)?;
        let postgres = Postgres::attach(&root.join(POSTGRES), true)?;
        let kafka = match Kafka::attach(&root.join(KAFKA), true) {
            Ok(kafka) => kafka,
            Err(error) => {
                // Half a stack is left as it was found.
                let mut postgres = postgres;
                postgres.detach();
                return Err(error);
            }
        };
        let s3 = S3Server::start(&root.join(S3), &progress).await?;
        Ok(Self { servers: Some(Servers { postgres, kafka, s3 }), root, keep_data: true, progress, lock })
    }

    /// Ends whatever still runs in `root` and removes its data. Nothing happens if nothing is there.
    pub async fn clean(root: impl Into<PathBuf>) -> Result<()> {
        let root = root.into();
        if !root.exists() {
            return Ok(());
        }
        let lock = lock(&root)?;
        blocking::run("clean up the stack", move || {
            postgres::end_leftover_in(&root.join(POSTGRES))?;
            kafka::end_leftover_in(&root.join(KAFKA))?;
            let removed = remove(&root);
            drop(lock);
            removed
        })
        .await
    }

    /// PostgreSQL.
    pub fn postgres(&self) -> &Postgres {
        &self.servers().postgres
    }

    /// PostgreSQL, to stop and restart it.
    pub fn postgres_mut(&mut self) -> &mut Postgres {
        &mut self.servers_mut().postgres
    }

    /// Kafka.
    pub fn kafka(&self) -> &Kafka {
        &self.servers().kafka
    }

    /// Kafka, to stop and restart it.
    pub fn kafka_mut(&mut self) -> &mut Kafka {
        &mut self.servers_mut().kafka
    }

    /// The S3 server.
    pub fn s3(&self) -> &S3Server {
        &self.servers().s3
    }

    /// The S3 server, to stop and restart it.
    pub fn s3_mut(&mut self) -> &mut S3Server {
        &mut self.servers_mut().s3
    }

    /// The stack's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Throws the data away at the end.
    pub fn throw_away(&mut self) {
        self.keep_data = false;
    }

    /// Stops all three, then removes the data unless it is kept. All are stopped even if one fails; the first failure
    /// is returned.
    pub async fn stop(mut self) -> Result<()> {
        let Some(mut servers) = self.servers.take() else { return Ok(()) };
        self.progress.line("stopping PostgreSQL, Kafka and S3");
        let (postgres, kafka, ()) =
            tokio::join!(servers.postgres.stop(Shutdown::Fast), servers.kafka.stop(), servers.s3.stop());
        drop(servers);
        let removed = if self.keep_data { Ok(()) } else { remove(&self.root) };
        postgres.and(kafka).and(removed)
    }

    /// Leaves PostgreSQL and Kafka running, with their data, when this process ends. The S3 server is stopped: it can't
    /// outlive its process. [`Stack::attach`] takes over again, [`Stack::clean`] ends all.
    pub async fn detach(mut self) {
        if let Some(mut servers) = self.servers.take() {
            servers.postgres.detach();
            servers.kafka.detach();
            servers.s3.stop().await;
        }
    }

    fn servers(&self) -> &Servers {
        self.servers.as_ref().expect("only `stop` and `detach` take the servers, and they consume the stack")
    }

    fn servers_mut(&mut self) -> &mut Servers {
        self.servers.as_mut().expect("only `stop` and `detach` take the servers, and they consume the stack")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(servers) = self.servers.take() {
            drop(servers);
            if !self.keep_data
                && let Err(error) = remove(&self.root)
            {
                tracing::warn!(%error, root = %self.root.display(), "data of the stack was left behind");
            }
        }
        let _ = self.lock.unlock();
    }
}

/// Makes the folder and takes it for this process alone.
fn lock(root: &Path) -> Result<File> {
    fs::create_dir_all(root).map_err(Error::io(format!("create {}", root.display())))?;
    let path = root.join(LOCK);
    let file = File::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { root: root.to_owned() }),
        Err(TryLockError::Error(error)) => Err(Error::io(format!("lock {}", path.display()))(error)),
    }
}

/// Removes what a stack made, and the folder itself if nothing else is in it.
fn remove(root: &Path) -> Result<()> {
    for part in PARTS {
        let path = root.join(part);
        if part == POSTGRES {
            postgres::remove_home(&path)?;
        } else if path.exists() {
            fs::remove_dir_all(&path).map_err(Error::io(format!("remove {}", path.display())))?;
        }
    }
    let lock = root.join(LOCK);
    fs::remove_file(&lock).map_err(Error::io(format!("remove {}", lock.display())))?;
    // Somebody else's files in the folder keep it.
    let _ = fs::remove_dir(root);
    Ok(())
}
