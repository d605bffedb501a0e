//! `demo`: the whole way on one machine, in two minutes, with a crash in the middle and a proof at the end.

mod child;
mod director;
mod jvm;
mod proof;
mod scene;
mod show;
mod traffic;
mod watch;
mod workers;

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use datapipe_connect::ClientError;
use datapipe_core::plan::Problems;
use datapipe_core::port::PortError;
use datapipe_core::table::{JVM_PORT_OFFSET, WorkerKind};
use datapipe_embedded::{Progress, Stack};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::director::Director;
use self::show::Show;
use self::traffic::TABLES;
use crate::ports::{self, Holder};

/// What the demo is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct DemoOptions {
    /// Rows that exist before the first start, over all tables.
    pub(crate) rows: u64,
    /// Rows changed per second.
    pub(crate) rate: u32,
    /// How long rows are changed.
    pub(crate) span: Duration,
    /// Whether everything stays up at the end, until Ctrl-C.
    pub(crate) keep: bool,
    /// Where everything lies; a temporary folder without it.
    pub(crate) folder: Option<PathBuf>,
    /// The REST port of the first table; those of the others follow.
    pub(crate) port: u16,
    /// What serves the tables.
    pub(crate) kind: WorkerKind,
    /// A folder with plugins for JVM workers, the S3 sink among them.
    pub(crate) plugin_path: Option<PathBuf>,
}

/// What can go wrong with the demo itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The local servers.
    #[error("starting the local servers")]
    Stack(#[from] datapipe_embedded::Error),
    /// Somebody listens on a port.
    #[error("port {port} of this machine, where table {table} is to answer, is taken by another program")]
    Port {
        /// The port.
        port: u16,
        /// Whose it is to be.
        table: &'static str,
    },
    /// The folder is not empty.
    #[error("folder {} holds an earlier demo", .folder.display())]
    Used {
        /// The folder.
        folder: PathBuf,
    },
    /// The worker process.
    #[error("running the worker; its log is {}", .log.display())]
    Worker {
        /// Its log.
        log: PathBuf,
        /// Why.
        source: datapipe_embedded::Error,
    },
    /// The worker ended by itself.
    #[error("the worker ended by itself ({status}); its log is {}", .log.display())]
    WorkerEnded {
        /// Its log.
        log: PathBuf,
        /// Its exit status.
        status: String,
    },
    /// A file of the demo's.
    #[error("writing {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A JVM worker's REST interface.
    #[error("making connector {connector}")]
    Connector {
        /// The connector.
        connector: String,
        /// Why.
        source: ClientError,
    },
    /// There is no plan for JVM workers.
    #[error("planning the demo: {0}")]
    Plan(Problems),
    /// One of the systems.
    #[error(transparent)]
    System(#[from] PortError),
    /// Something did not happen in time.
    #[error("{what}: no progress for {} s; the worker's log is {}", .limit.as_secs(), .log.display())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// The limit.
        limit: Duration,
        /// The worker's log.
        log: PathBuf,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl DemoError {
    /// What to do next, where it is known.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Stack(error) => error.hint(),
            Self::Port { .. } => {
                "end that program (another demo?), or name the first of four free ports in a row, as in --port 9083"
                    .to_owned()
            }
            Self::Used { .. } => "remove it, or name another folder with --dir".to_owned(),
            Self::System(error) => error.next_step()?.to_owned(),
            _ => return None,
        })
    }
}

/// Starting, draining and proving take about this long beside the traffic.
const OVERHEAD: Duration = Duration::from_secs(25);

/// Four JVMs start twice.
const OVERHEAD_JVM: Duration = Duration::from_secs(120);

/// How long an interrupted start may take to be complete, so that it can be undone.
const HALF_MADE_MAX: Duration = Duration::from_secs(20);

/// Runs the demo. True if the proof found nothing wrong.
pub(crate) async fn run(options: &DemoOptions, stop: &CancellationToken) -> Result<bool, DemoError> {
    // The plan refuses a port that leaves no room for this one.
    let jvms = options.port.checked_add(JVM_PORT_OFFSET).filter(|_| options.kind == WorkerKind::Hybrid);
    let jvms = jvms.map(|first| (first..).zip(TABLES));
    for (port, table) in (options.port..).zip(TABLES).chain(jvms.into_iter().flatten()) {
        if !matches!(ports::holder((Ipv4Addr::LOCALHOST, port).into()).await, Holder::Nobody) {
            return Err(DemoError::Port { port, table });
        }
    }
    let place = Place::prepare(options).await?;
    let show = Show::new();
    show.say("datapipe demo: PostgreSQL -> Kafka -> S3 for four tables, on this machine");
    let overhead = if options.kind == WorkerKind::Native { OVERHEAD } else { OVERHEAD_JVM };
    let about_s = (options.span + overhead).as_secs();
    show.say(&format!("it takes about {about_s} s; Ctrl-C stops all of it"));
    let ended = play(options, &place.root, &show, stop).await;
    show.finish();
    let sound = match &ended {
        Ok(sound) => *sound,
        Err(DemoError::Interrupted) => true,
        Err(_) => false,
    };
    place.leave(sound, &show).await;
    if ended.is_ok() && !options.keep && place.temporary {
        show.say("try next: the same with --keep, for curl and psql, or with --dir DIR, to keep the objects");
    }
    ended
}

async fn play(options: &DemoOptions, root: &Path, show: &Show, stop: &CancellationToken) -> Result<bool, DemoError> {
    let lines = show.clone();
    let lines = Progress::new(move |line| lines.say(&format!("  {line}")));
    let mut starting = pin!(Stack::builder(root).keep_data(true).progress(lines).start());
    let stack = tokio::select! {
        biased;
        () = stop.cancelled() => {
            show.say("interrupted");
            // Half made servers would be completed on other threads, and lie there after all was thrown away.
            if let Ok(Ok(stack)) = timeout(HALF_MADE_MAX, starting).await {
                stack.stop().await?;
            }
            return Err(DemoError::Interrupted);
        }
        stack = &mut starting => stack?,
    };
    let ended = Director::new(options, root, &stack, show, stop).run().await;
    if matches!(ended, Err(DemoError::Interrupted)) {
        show.say("interrupted");
    }
    stack.stop().await?;
    ended
}

/// Where everything lies.
struct Place {
    root: PathBuf,
    /// The user did not name it, so it is thrown away.
    temporary: bool,
}

impl Place {
    /// A temporary folder is made anew, and what a demo that was killed left there is ended; a named one must be new.
    async fn prepare(options: &DemoOptions) -> Result<Self, DemoError> {
        if let Some(root) = options.folder.clone() {
            if root.join("stack.lock").exists() || root.join("worker.log").exists() {
                return Err(DemoError::Used { folder: root });
            }
            return Ok(Self { root, temporary: false });
        }
        let name = format!("datapipe-demo-{}", rustix::process::getuid().as_raw());
        let place = Self { root: std::env::temp_dir().join(name), temporary: true };
        child::end_leftover(&place.root).await?;
        place.throw_away().await?;
        Ok(place)
    }

    async fn throw_away(&self) -> Result<(), DemoError> {
        Stack::clean(&self.root).await?;
        match std::fs::remove_dir_all(&self.root) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(DemoError::File { path: self.root.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// What went wrong is kept to be looked at.
    async fn leave(&self, sound: bool, show: &Show) {
        let root = self.root.display();
        if !self.root.exists() {
            return;
        }
        if !self.temporary {
            show.say(&format!("everything is stopped; data and logs stay in {root}"));
        } else if sound && self.throw_away().await.is_ok() {
            show.say("everything is stopped and thrown away");
        } else {
            show.say(&format!("everything is stopped; data and logs stay in {root} until the next demo"));
        }
    }
}
