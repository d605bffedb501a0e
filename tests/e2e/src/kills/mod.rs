//! Rounds of faults: load, kills at random moments, a drain, and a verdict.

mod record;
mod round;

use std::path::Path;
use std::time::{Duration, Instant};

pub use record::{Kill, Round, append, last_round, report};
pub use round::Scenario;

use crate::Result;
use crate::servers::{PG15, PG18, Servers};

/// Rounds on one set of servers; then new ones are started, so that what earlier rounds left cannot pile up.
const ROUNDS_PER_STACK: u64 = 20;

/// What the runner is asked to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of the first round.
    pub first: u64,
    /// How many rounds.
    pub rounds: u64,
    /// Decides every choice of every round, with the round's number.
    pub seed: u64,
    /// The longest time for all rounds; none is begun after it.
    pub time_max: Duration,
}

/// Runs rounds and hands each record on as it is made. Stops at a round that could not be run to its end.
pub async fn run(plan: &Plan, mut each: impl FnMut(&Round) -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    let mut round = plan.first;
    let end = plan.first + plan.rounds;
    while round < end && begun.elapsed() < plan.time_max {
        let folder = tempfile::Builder::new().prefix("datapipe-kills-").tempdir()?;
        let servers = start(folder.path(), round).await?;
        let stack_end = end.min(round + ROUNDS_PER_STACK);
        let mut ended = Ok(());
        while ended.is_ok() && round < stack_end && begun.elapsed() < plan.time_max {
            ended = match round::run(&servers, plan.seed, round).await {
                Ok(record) => each(&record),
                Err(error) => Err(format!("round {round} (seed {}) broke off: {error}", plan.seed).into()),
            };
            round += 1;
        }
        servers.stack.stop().await?;
        ended?;
    }
    Ok(())
}

/// PostgreSQL 15 as installed and 18 as fetched, in turn.
async fn start(folder: &Path, round: u64) -> Result<Servers> {
    let source = if (round / ROUNDS_PER_STACK).is_multiple_of(2) { PG15 } else { PG18 };
    Servers::start(folder, source).await
}
