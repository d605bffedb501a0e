//! `demo`: the whole way on one machine, in two minutes, with a crash in the middle and a proof at the end.

mod child;
mod director;
mod proof;
mod scene;
mod show;
mod traffic;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use datapipe_core::port::PortError;
use datapipe_embedded::{Progress, Stack};
use tokio_util::sync::CancellationToken;

use self::director::Director;
use self::show::Show;

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
}

/// What can go wrong with the demo itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The local servers.
    #[error("starting the local servers: {error}; {}", .error.hint())]
    Stack {
        /// Why.
        error: datapipe_embedded::Error,
    },
    /// The worker process.
    #[error("running the worker; its log is {}", .log.display())]
    Worker {
        /// Its log.
        log: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The worker ended by itself.
    #[error("the worker ended by itself with {status}; its log is {}", .log.display())]
    WorkerEnded {
        /// Its log.
        log: PathBuf,
        /// Its exit status.
        status: std::process::ExitStatus,
    },
    /// A file of the demo's.
    #[error("writing {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// One of the systems.
    #[error("{}", .0.report())]
    Port(#[from] PortError),
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s; the worker's log is {}", .limit.as_secs(), .log.display())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// The limit.
        limit: Duration,
        /// The worker's log.
        log: PathBuf,
    },
    /// Ctrl-C.
    #[error("interrupted; everything has been stopped")]
    Interrupted,
}

impl From<datapipe_embedded::Error> for DemoError {
    fn from(error: datapipe_embedded::Error) -> Self {
        Self::Stack { error }
    }
}

/// Runs the demo. True if the proof found nothing wrong.
pub(crate) async fn run(options: &DemoOptions, stop: &CancellationToken) -> Result<bool, DemoError> {
    let root = options.folder.clone().unwrap_or_else(|| std::env::temp_dir().join("datapipe-demo"));
    let show = Show::new();
    show.say("datapipe demo: PostgreSQL -> Kafka -> S3 for four tables, on this machine");
    let lines = Progress::new(|line| eprintln!("  {line}"));
    let starting = Stack::builder(&root).keep_data(options.folder.is_some()).progress(lines).start();
    let stack = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(DemoError::Interrupted),
        stack = starting => stack?,
    };
    let ended = Director::new(options, &root, &stack, &show, stop).run().await;
    show.finish();
    stack.stop().await?;
    ended
}
