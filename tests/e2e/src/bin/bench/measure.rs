//! One sample: what a reader and the servers behind it spend until something is done.

use std::time::{Duration, Instant};

use datapipe_core::port::PortError;
use serde::Serialize;

use crate::proc;

/// How often processes are looked at: what one spends after the last look before its end is not seen.
const LOOK: Duration = Duration::from_millis(10);
/// How often the servers are asked whether it is done.
const ASK: Duration = Duration::from_millis(50);

/// What one sample of a measurement gave.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// Rows per second of wall time.
    pub(crate) rows_per_s: f64,
    /// Seconds from the first to the last moment of the work.
    pub(crate) wall_s: f64,
    /// CPU seconds of the reader: the worker or the client program.
    pub(crate) client_cpu_s: f64,
    /// CPU seconds of PostgreSQL for it: the walsender's, or for COPY and snapshot all of the server's.
    pub(crate) server_cpu_s: f64,
    /// CPU seconds of the broker.
    pub(crate) broker_cpu_s: f64,
    /// The reader's largest resident size, in MiB.
    pub(crate) peak_mib: f64,
}

/// CPU times of the processes that take part, as differences to where they began.
pub(crate) struct Meter {
    begun: Instant,
    client: Process,
    server: Server,
    broker: Process,
    peak_mib: f64,
}

/// How much of PostgreSQL counts.
pub(crate) enum Server {
    /// One walsender. Made for this reader, so that all of its time counts.
    Walsender(u32, f64),
    /// The server by its postmaster, and what it had spent at the start.
    Whole(u32, f64),
}

impl Server {
    pub(crate) fn whole(postmaster: u32) -> Self {
        Self::Whole(postmaster, proc::family_cpu_s(postmaster))
    }
}

struct Process {
    pid: u32,
    begun_s: f64,
    last_s: f64,
}

impl Process {
    fn new(pid: u32) -> Self {
        let begun_s = proc::cpu_s(pid).unwrap_or_default();
        Self { pid, begun_s, last_s: begun_s }
    }

    fn look(&mut self) {
        self.last_s = proc::cpu_s(self.pid).unwrap_or_default().max(self.last_s);
    }

    fn spent_s(&self) -> f64 {
        self.last_s - self.begun_s
    }
}

impl Meter {
    /// Starts the clock.
    pub(crate) fn start(client: u32, server: Server, broker: u32) -> Self {
        Self {
            begun: Instant::now(),
            client: Process::new(client),
            server,
            broker: Process::new(broker),
            peak_mib: 0.0,
        }
    }

    /// All of the client's time counts, what it spent before the clock was started included.
    pub(crate) fn of_whole_client(mut self) -> Self {
        self.client.begun_s = 0.0;
        self
    }

    fn look(&mut self) {
        self.client.look();
        if let Server::Walsender(pid, spent_s) = &mut self.server {
            *spent_s = proc::cpu_s(*pid).unwrap_or_default().max(*spent_s);
        }
        self.peak_mib = proc::memory_mib(self.client.pid, "VmHWM").unwrap_or_default().max(self.peak_mib);
    }

    /// Looks at the processes until `done` says so; None if that takes longer than `limit`.
    pub(crate) async fn until(
        mut self,
        rows: u64,
        limit: Duration,
        mut done: impl AsyncFnMut() -> Result<bool, PortError>,
    ) -> Result<Option<Sample>, PortError> {
        let mut asked = Instant::now();
        loop {
            self.look();
            let ended = proc::has_ended(self.client.pid);
            if ended || asked.elapsed() >= ASK {
                asked = Instant::now();
                if done().await? {
                    return Ok(Some(self.finish(rows)));
                }
            }
            if self.begun.elapsed() > limit {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "rows are far below 2^52")]
    fn finish(mut self, rows: u64) -> Sample {
        let wall_s = self.begun.elapsed().as_secs_f64();
        self.look();
        self.broker.look();
        let server_cpu_s = match self.server {
            Server::Walsender(_, spent_s) => spent_s,
            Server::Whole(postmaster, begun_s) => proc::family_cpu_s(postmaster) - begun_s,
        };
        Sample {
            rows_per_s: rows as f64 / wall_s,
            wall_s,
            client_cpu_s: self.client.spent_s(),
            server_cpu_s,
            broker_cpu_s: self.broker.spent_s(),
            peak_mib: self.peak_mib,
        }
    }
}
