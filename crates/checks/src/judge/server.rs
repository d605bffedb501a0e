//! The server as a whole: which one it is, what is left over, what a failover would leave.

use datapipe_core::plan::PipelinePlan;

use crate::finding::Findings;
use crate::seen::{KafkaSeen, Looked, PostgresSeen, StoredOf};

/// Slots can be copied to standbys from this version on.
const FAILOVER_MIN: u32 = 170_000;

pub(super) fn judge(pipeline: &PipelinePlan, seen: &PostgresSeen, kafka: &Looked<KafkaSeen>, found: &mut Findings<'_>) {
    if seen.orphans.is_empty() {
        found.ok("DP0310", "none");
    } else {
        let first = &seen.orphans[0];
        let next = format!("if it is of no use any more: SELECT pg_drop_replication_slot('{first}');");
        found.warn("DP0310", seen.orphans.join(", "), next);
    }
    let stored = match kafka {
        Looked::Seen(KafkaSeen { stored_of: Some(stored), .. }) => Some(stored),
        Looked::Seen(_) | Looked::Silent(_) | Looked::Left(_) => None,
    };
    match stored {
        None => found.skip("DP0311", "nothing is stored that tells it"),
        Some(stored) => identity(pipeline, seen, stored, found),
    }
    match seen.left_publications.first() {
        None => found.ok("DP0312", "none"),
        Some(first) => {
            let next = format!("if it is of no use any more: DROP PUBLICATION \"{first}\";");
            found.warn("DP0312", seen.left_publications.join(", "), next);
        }
    }
    failover(seen, found);
}

fn identity(pipeline: &PipelinePlan, seen: &PostgresSeen, stored: &StoredOf, found: &mut Findings<'_>) {
    let database = seen.slot.as_ref().map(|slot| slot.own_database.as_str());
    let mut other = Vec::new();
    if let Some(id) = seen.system_id.as_ref().filter(|id| **id != stored.system_id) {
        other.push(format!("the server is {id}, stored is {}", stored.system_id));
    }
    if let Some(database) = database.filter(|database| *database != stored.database) {
        other.push(format!("the database is {database}, stored is {}", stored.database));
    }
    for (what, planned, stored) in [
        ("slot", &pipeline.names.slot, &stored.slot),
        ("publication", &pipeline.names.publication, &stored.publication),
    ] {
        if planned != stored {
            other.push(format!("the {what} is {planned}, stored is {stored}"));
        }
    }
    if !other.is_empty() {
        let next = "correct postgres.url, or start anew with a snapshot, as the worker's error says";
        return found.fail("DP0311", other.join("; "), next);
    }
    match seen.timeline {
        Some(timeline) if timeline < stored.timeline => {
            let words = format!("timeline {timeline}, stored is {}: the server is older than that", stored.timeline);
            found.fail("DP0311", words, "find the primary, and correct postgres.url");
        }
        Some(timeline) if timeline > stored.timeline => {
            let words = format!("a standby was promoted: timeline {timeline}, stored is {}", stored.timeline);
            let next = "the source goes on by itself if the slot was copied and lost nothing; otherwise its error says what to do";
            found.warn("DP0311", words, next);
        }
        _ => {
            let id = seen.system_id.as_deref().unwrap_or("not told");
            found.ok("DP0311", format!("system {id}, timeline {}", stored.timeline));
        }
    }
}

fn failover(seen: &PostgresSeen, found: &mut Findings<'_>) {
    match seen.slot.as_ref().map(|slot| slot.failover) {
        None => found.skip("DP0313", "there is no slot"),
        Some(Some(true)) => found.ok("DP0313", "standbys that synchronise slots have a copy"),
        Some(_) if seen.version >= FAILOVER_MIN => {
            found.ok("DP0313", "no copy on standbys (failover is off): after a failover it takes a new snapshot");
        }
        Some(_) => {
            found.ok("DP0313", "before PostgreSQL 17 no standby has a copy: after a failover it takes a new snapshot");
        }
    }
}
