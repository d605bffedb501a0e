use datapipe_core::plan::PipelinePlan;
use datapipe_core::port::connect::State;
use datapipe_core::settings::Role;

use super::{age_words, size};
use crate::finding::Findings;
use crate::seen::{PostgresSeen, RelationSeen, SlotSeen};

/// More than this held back, without any bound, is told.
const RETAINED_MAX: u64 = 1 << 30;
/// A slot is near its end when less than this share of its bound is left, in percent.
const ROOM_MIN: i64 = 25;
/// A slot that nobody holds and that is lost within this time is told.
const SOON_MS: i64 = 24 * 3_600_000;

pub(super) fn judge(pipeline: &PipelinePlan, seen: &PostgresSeen, source: Option<State>, found: &mut Findings<'_>) {
    found.ok("DP0301", "it answers");
    if seen.wal_level == "logical" {
        found.ok("DP0302", &seen.wal_level);
    } else {
        let next = "ALTER SYSTEM SET wal_level = logical; and restart the server";
        found.fail("DP0302", format!("it is {}", seen.wal_level), next);
    }
    let config = pipeline.connector(Role::Source).map(|source| &source.config);
    let once = config.and_then(|config| config.get("snapshot.mode")).is_some_and(|mode| mode == "initial_only");
    match &seen.slot {
        Some(slot) => judge_slot(pipeline, seen, slot, source, found),
        None if once => {
            for code in ["DP0303", "DP0304", "DP0305"] {
                found.skip(code, "rows are read once, without a slot");
            }
        }
        None => {
            let name = &pipeline.names.slot;
            found.fail("DP0303", format!("there is no slot {name}"), "start the table, which makes it");
            found.skip("DP0304", "there is no slot");
            found.skip("DP0305", "there is no slot");
        }
    }
    publication(pipeline, seen, found);
    relation(pipeline, seen.relation.as_ref(), found);
    room(seen, found);
    rights(pipeline, seen, found);
}

fn judge_slot(
    pipeline: &PipelinePlan,
    seen: &PostgresSeen,
    slot: &SlotSeen,
    source: Option<State>,
    found: &mut Findings<'_>,
) {
    let name = &pipeline.names.slot;
    if slot.plugin == "pgoutput" && slot.database == slot.own_database {
        found.ok("DP0303", name);
    } else {
        let words = format!("{name} is of plugin {:?} in database {:?}", slot.plugin, slot.database);
        found.fail("DP0303", words, format!("if nobody else needs it: SELECT pg_drop_replication_slot('{name}');"));
    }
    match (slot.active_pid, source) {
        (Some(pid), _) => found.ok("DP0304", format!("held by process {pid}")),
        (None, Some(State::Paused | State::Stopped)) => {
            found.warn(
                "DP0304",
                "held by nobody while the source is paused",
                "resume it before the log grows too large",
            );
        }
        (None, _) => found.fail("DP0304", "held by nobody", "see why the source does not run (DP0202)"),
    }
    log(seen, slot, found);
}

/// Whether the server still has the log that the slot needs, and for how long.
fn log(seen: &PostgresSeen, slot: &SlotSeen, found: &mut Findings<'_>) {
    let retained = size(slot.retained_bytes);
    let left_ms = left_ms(seen, slot);
    let forecast = match (left_ms, seen.wal_bytes_per_s) {
        (Some(left_ms), Some(rate)) => {
            format!(
                "; the log grows by {}/s: if the slot stays where it is, it is lost in {}",
                size(rate),
                age_words(left_ms)
            )
        }
        _ => String::new(),
    };
    match (slot.wal_status.as_str(), slot.safe_bytes) {
        ("lost", _) => {
            let why = slot.invalidated.as_ref().map_or(String::new(), |why| format!(" ({why})"));
            let next = "the changes are gone: start anew with a snapshot, as the worker's error says";
            found.fail("DP0305", format!("the server has removed log that it needs{why}"), next);
        }
        ("unreserved", _) => {
            let next = "let the source catch up now, or raise max_slot_wal_keep_size";
            found.fail("DP0305", format!("about to be lost; it holds back {retained}{forecast}"), next);
        }
        (_, Some(safe)) if is_near_end(slot.retained_bytes, safe) => {
            let left = size(safe.max(0).unsigned_abs());
            let next = "let the source catch up, or raise max_slot_wal_keep_size";
            found.warn("DP0305", format!("it holds back {retained}, and is lost after {left} more{forecast}"), next);
        }
        _ if slot.active_pid.is_none() && left_ms.is_some_and(|left_ms| left_ms < SOON_MS) => {
            let next = "let the source run before that, or raise max_slot_wal_keep_size";
            found.warn("DP0305", format!("it holds back {retained}{forecast}"), next);
        }
        (_, None) if slot.retained_bytes > RETAINED_MAX && seen.slot_wal_mib.is_none() => {
            let next = "let the source catch up; max_slot_wal_keep_size would keep the disk from filling";
            found.warn("DP0305", format!("it holds back {retained}, without any bound"), next);
        }
        _ => found.ok("DP0305", format!("it holds back {retained}{forecast}")),
    }
}

/// When a slot that does not move is lost.
fn left_ms(seen: &PostgresSeen, slot: &SlotSeen) -> Option<i64> {
    let rate = seen.wal_bytes_per_s.filter(|rate| *rate > 0)?;
    let safe = slot.safe_bytes?.max(0);
    Some((safe / i64::try_from(rate).ok()?).saturating_mul(1000))
}

fn is_near_end(retained_bytes: u64, safe_bytes: i64) -> bool {
    let retained = i64::try_from(retained_bytes).unwrap_or(i64::MAX);
    safe_bytes < retained.saturating_add(safe_bytes.max(0)) / 100 * ROOM_MIN
}

fn publication(pipeline: &PipelinePlan, seen: &PostgresSeen, found: &mut Findings<'_>) {
    let (name, table) = (&pipeline.names.publication, pipeline.qualified());
    let Some(publication) = &seen.publication else {
        found.fail(
            "DP0306",
            format!("there is no publication {name}"),
            format!("{};", pipeline.publication.create_sql),
        );
        return;
    };
    let holds = publication.tables.contains(&table);
    if !holds || publication.tables.len() > 1 {
        let next =
            format!("ALTER PUBLICATION \"{name}\" SET TABLE \"{}\".\"{}\";", pipeline.schema, pipeline.names.table);
        let words = format!("{name} publishes {}", listed(&publication.tables));
        // Others only cost traffic; a signaling table belongs there.
        if holds {
            found.warn("DP0306", words, next);
        } else {
            found.fail("DP0306", words, next);
        }
        return;
    }
    let truncates = pipeline.connector(Role::Source).and_then(|source| source.config.get("skipped.operations"));
    let passed_over = |operation: &&String| truncates.is_none_or(|skipped| !skipped.starts_with(&operation[..1]));
    let left_out: Vec<String> = publication.left_out.iter().filter(passed_over).cloned().collect();
    if left_out.is_empty() {
        found.ok("DP0306", format!("{name} publishes {table}"));
    } else {
        let next = format!("ALTER PUBLICATION \"{name}\" SET (publish = 'insert, update, delete, truncate');");
        found.fail("DP0306", format!("{name} leaves out {}", left_out.join(", ")), next);
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no table".to_owned() } else { names.join(", ") }
}

fn relation(pipeline: &PipelinePlan, relation: Option<&RelationSeen>, found: &mut Findings<'_>) {
    let table = pipeline.qualified();
    let full = format!("ALTER TABLE {table} REPLICA IDENTITY FULL;");
    let Some(relation) = relation else {
        return found.fail("DP0307", format!("there is no table {table}"), "make it, or take it out of the settings");
    };
    match (relation.kind.as_str(), relation.persistence.as_str(), relation.identity.as_str()) {
        ("p", ..) => {
            let words = "it is partitioned, and the log speaks of its partitions";
            let name = &pipeline.names.publication;
            let next = format!("ALTER PUBLICATION \"{name}\" SET (publish_via_partition_root = true);");
            found.warn("DP0307", words, next);
        }
        (_, "u", _) => found.fail(
            "DP0307",
            "it is unlogged: no change of it is in the log",
            format!("ALTER TABLE {table} SET LOGGED;"),
        ),
        (_, _, "n") => found.fail("DP0307", "replica identity NOTHING: updates and deletes fail", full),
        (_, _, "d") if !relation.has_key => {
            found.fail("DP0307", "it has no primary key: updates and deletes fail on the server", full);
        }
        (_, _, "f") => found.ok("DP0307", "replica identity FULL"),
        (_, _, identity) if relation.toastable.is_empty() => found.ok("DP0307", identity_word(identity)),
        (_, _, identity) => {
            let columns = relation.toastable.join(", ");
            found.ok(
                "DP0307",
                format!(
                    "{}; large values of {columns} that an update leaves alone come as a placeholder",
                    identity_word(identity)
                ),
            );
        }
    }
}

const fn identity_word(identity: &str) -> &'static str {
    if matches!(identity.as_bytes(), b"i") {
        "replica identity by an index"
    } else {
        "replica identity by the primary key"
    }
}

fn room(seen: &PostgresSeen, found: &mut Findings<'_>) {
    let words = format!(
        "{} of {} slots and {} of {} senders are taken",
        seen.slots.1, seen.slots.0, seen.senders.1, seen.senders.0
    );
    if seen.slots.1 < seen.slots.0 && seen.senders.1 < seen.senders.0 {
        found.ok("DP0308", words);
    } else {
        let next = "raise max_replication_slots and max_wal_senders, and restart the server";
        found.warn("DP0308", format!("{words}: a resumed snapshot needs one more"), next);
    }
}

fn rights(pipeline: &PipelinePlan, seen: &PostgresSeen, found: &mut Findings<'_>) {
    let user = pipeline.connector(Role::Source).and_then(|source| source.config.get("database.user"));
    let user = user.map_or("the role", String::as_str);
    let readable = seen.relation.as_ref().is_none_or(|relation| relation.readable);
    match (seen.replication, readable) {
        (true, true) => found.ok("DP0309", "REPLICATION, and SELECT on the table"),
        (false, _) => {
            found.fail("DP0309", format!("{user} may not replicate"), format!("ALTER ROLE \"{user}\" REPLICATION;"));
        }
        (_, false) => {
            let next = format!("GRANT SELECT ON {} TO \"{user}\";", pipeline.qualified());
            found.fail("DP0309", format!("{user} may not read the table"), next);
        }
    }
}
