//! The record of rounds: one JSON line each, and the page made from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Scenario;
use crate::Result;

/// One round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its number.
    pub round: u64,
    /// The runner's seed; with the number it decides every choice.
    pub seed: u64,
    /// The commit that was tested.
    pub commit: String,
    /// PostgreSQL's version.
    pub postgres: String,
    /// Kafka's version.
    pub kafka: String,
    /// datapipe's version, and how it was built.
    pub datapipe: String,
    /// What was done.
    pub scenario: String,
    /// Rows in the four tables at the end.
    pub rows: i64,
    /// Events in the objects.
    pub events: i64,
    /// Objects.
    pub objects: u64,
    /// The kills.
    pub kills: Vec<Kill>,
    /// Rows that the objects do not lead to.
    pub lost: i64,
    /// Events that came twice.
    pub doubled: i64,
    /// Rows that the objects lead to and PostgreSQL does not have, and lost ones with other values.
    pub surplus: i64,
    /// What is wrong with the chain of objects.
    pub faults: Vec<String>,
    /// How long the round took, in seconds.
    pub seconds: f64,
    /// True if nothing is wrong.
    pub ok: bool,
}

/// One end of a worker, and how its successor came up. In seconds from the successor's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kill {
    /// Until all tables' groups had a new owner: the session timeout of at most 6 s, and the slot's release.
    pub owned_s: f64,
    /// From then on until every table had committed to Kafka again.
    pub flowing_s: f64,
}

/// Adds a record to the file.
pub fn append(path: &Path, round: &Round) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::options().create(true).append(true).open(path)?;
    // In one write, so that two runners may share a record.
    file.write_all(format!("{}\n", serde_json::to_string(round)?).as_bytes())?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Round>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let lines = BufReader::new(File::open(path)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

/// The highest number on record.
pub fn last_round(path: &Path) -> Result<Option<u64>> {
    Ok(read(path)?.iter().map(|round| round.round).max())
}

/// The page about the rounds on record, from the lines alone.
pub fn report(path: &Path) -> Result<String> {
    let rounds = read(path)?;
    let mut page = String::from(
        "# The fault runner's record\n\nMade by `kills --report` from `kills.jsonl`; not to be edited. `just kills` adds \
         rounds.\n\nA round kills workers with SIGKILL at random moments (or stops one with SIGSTOP until another has taken \
         over, and lets it go on) under mixed load on real PostgreSQL, Apache Kafka and S3 servers, drains, and lets SQL \
         decide: the events in the objects are loaded into PostgreSQL, folded and compared by `EXCEPT ALL`; the objects \
         must tile the topic and hold exactly its records.\n\n",
    );
    let sum = |of: fn(&Round) -> i64| rounds.iter().map(of).sum::<i64>();
    let kills: Vec<&Kill> = rounds.iter().flat_map(|round| &round.kills).collect();
    let faults: usize = rounds.iter().map(|round| round.faults.len()).sum();
    writeln!(
        page,
        "| rounds | kills | events | lost | doubled | surplus | chain faults |\n|---|---|---|---|---|---|---|"
    )?;
    writeln!(
        page,
        "| {} | {} | {} | {} | {} | {} | {faults} |\n",
        rounds.len(),
        kills.len(),
        sum(|round| round.events),
        sum(|round| round.lost),
        sum(|round| round.doubled),
        sum(|round| round.surplus)
    )?;
    let mut commits: Vec<&str> = Vec::new();
    for round in &rounds {
        if !commits.contains(&round.commit.as_str()) {
            commits.push(&round.commit);
        }
    }
    page.push_str(
        "A killed worker's groups are owned again when its session of 6 s has ended; a stopped one's slot is free when the \
         server's `wal_sender_timeout` has passed, too (10 s in our sessions; 60 s, the server's, in those of the first \
         commit).\n\n| commit | the successor's start, in seconds | times | p50 | p99 | max |\n|---|---|---|---|---|---|\n",
    );
    for commit in commits {
        successions(&mut page, commit, &rounds)?;
    }
    let mut groups: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for round in &rounds {
        let group = groups.entry((round.scenario.clone(), round.postgres.clone())).or_default();
        group.0 += 1;
        group.1 += u64::from(round.ok);
    }
    writeln!(page, "\n| scenario | PostgreSQL | rounds | clean |\n|---|---|---|---|")?;
    for ((scenario, postgres), (count, clean)) in groups {
        writeln!(page, "| {scenario} | {postgres} | {count} | {clean} |")?;
    }
    Ok(page)
}

/// How successors came up in the rounds of one commit.
fn successions(page: &mut String, commit: &str, rounds: &[Round]) -> Result<()> {
    for (what, paused) in [("killed", false), ("stopped", true)] {
        let of_commit = rounds.iter().filter(|round| round.commit == commit);
        let kills: Vec<&Kill> = of_commit
            .filter(|round| (round.scenario == Scenario::Pause.name()) == paused)
            .flat_map(|round| &round.kills)
            .collect();
        for (until, of) in [
            ("until its groups are owned", (|kill| kill.owned_s) as fn(&Kill) -> f64),
            ("from then until every table has committed", |kill| kill.flowing_s),
        ] {
            let mut values: Vec<f64> = kills.iter().map(|kill| of(kill)).collect();
            values.sort_by(f64::total_cmp);
            let Some(last) = values.len().checked_sub(1) else { continue };
            let at = |percent: usize| values[last * percent / 100];
            let (p50, p99, max) = (at(50), at(99), at(100));
            writeln!(page, "| {commit} | {what}, {until} | {} | {p50:.2} | {p99:.2} | {max:.2} |", values.len())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
    fn the_page_says_what_the_record_holds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults");
        let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
        assert_eq!(page, report(&folder.join("kills.jsonl")).unwrap(), "make it anew: kills --report");
    }
}
