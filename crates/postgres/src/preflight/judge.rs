//! The judgement of what was observed. Pure.

use datapipe_core::plan::Problem;

use super::{Expected, Needed, ObservedServer, ObservedTable, TableFacts};
use crate::config::SourceSpec;
use crate::publication::{ObservedPublication, create_statement, published};
use crate::slot::ObservedSlot;
use crate::sql::{ident, literal, qualified};

/// The oldest version that this adapter is written for.
const VERSION_MIN: i32 = 140_000;

/// What the server or the role lacks for so many slots to be made, and so many streams to be opened.
pub fn judge_server(database: &str, server: &ObservedServer, wanted: &Needed) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut find = |what: String, why: &str, fix: String| {
        problems.push(Problem::new(format!("database {database}"), what, fix).because(why));
    };
    if server.version < VERSION_MIN {
        let what = format!("PostgreSQL {} is too old", server.version / 10_000);
        find(what, "versions 14 to 18 are supported", "upgrade the server".to_owned());
    }
    if server.in_recovery {
        let fix = "connect to the primary".to_owned();
        find("the server is a standby".to_owned(), "publications and slots are made on a primary", fix);
    }
    if server.wal_level != "logical" {
        let fix = "ALTER SYSTEM SET wal_level = 'logical', then restart the server".to_owned();
        find(format!("wal_level is {}", server.wal_level), "the log lacks what logical decoding needs", fix);
    }
    if !server.may_replicate {
        let fix = format!("ALTER ROLE {} REPLICATION", ident(&server.role));
        find(format!("role {} may not start replication", server.role), "streaming needs that right", fix);
    }
    let room = |max: i64, used: i64| usize::try_from(max - used).unwrap_or(0);
    // A snapshot that is interrupted goes on by a temporary slot; tables that need one at once take turns.
    let spare = usize::from(wanted.snapshots);
    let (slots, needed) = (room(server.slots_max, server.slots_used), wanted.slots + spare);
    if slots < needed {
        let what = format!("{slots} of {} replication slots are free, {needed} are needed", server.slots_max);
        let more = server.slots_used + i64::try_from(needed).unwrap_or(i64::MAX);
        let fix = format!(
            "ALTER SYSTEM SET max_replication_slots = {more}, then restart the server; or drop slots that nobody uses: \
             SELECT slot_name FROM pg_replication_slots WHERE NOT active"
        );
        find(what, "each table has its own slot, and an interrupted snapshot needs one more for a while", fix);
    }
    let senders = room(server.senders_max, server.senders_used);
    let needed = if wanted.streams > 0 { wanted.streams + spare } else { 0 };
    if senders < needed {
        let what = format!("{senders} of {} walsenders are free, {needed} are needed", server.senders_max);
        let more = server.senders_used + i64::try_from(needed).unwrap_or(i64::MAX);
        let fix = format!("ALTER SYSTEM SET max_wal_senders = {more}, then restart the server");
        find(what, "each table has its own stream", fix);
    }
    problems
}

/// What keeps one table from being captured.
pub fn judge_table(expected: &Expected, observed: &ObservedTable) -> Vec<Problem> {
    let spec = &expected.spec;
    let mut problems = Vec::new();
    match &observed.table {
        None => problems.push(Problem::new(
            format!("table {}", spec.qualified()),
            format!("it does not exist in database {}, or its schema is hidden from the role", spec.config.database),
            "create it, or correct schema and name in its declaration",
        )),
        Some(table) => {
            judge_kind(expected, table, &mut problems);
            judge_key(expected, table, &mut problems);
            judge_rights(spec, observed, table, &mut problems);
        }
    }
    if let Some(publication) = &observed.publication {
        judge_publication(expected, publication, &mut problems);
    }
    if let Some(slot) = &observed.slot {
        judge_slot(spec, slot, &mut problems);
    }
    problems
}

fn judge_kind(expected: &Expected, table: &TableFacts, problems: &mut Vec<Problem>) {
    let spec = &expected.spec;
    let mut find = |what: &str, why: &str, fix: String| {
        problems.push(Problem::new(format!("table {}", spec.qualified()), what, fix).because(why));
    };
    let name = qualified(&spec.schema, &spec.table);
    match table.kind {
        'r' => {}
        'p' if expected.debezium => {}
        'p' => find(
            "it is partitioned",
            "its rows lie in its partitions, each a table of its own",
            "declare the partitions, each as a table of its own".to_owned(),
        ),
        _ => find("it is no ordinary table", "only tables have changes in the log", "declare its table".to_owned()),
    }
    match table.persistence {
        'u' => {
            find("it is unlogged", "its changes are not in the log", format!("ALTER TABLE {name} SET LOGGED"));
        }
        't' => {
            find("it is temporary", "its changes are not in the log", "declare a permanent table".to_owned());
        }
        _ => {}
    }
    // Debezium leaves such columns out.
    for (column, why) in table.unsupported.iter().filter(|_| !expected.debezium) {
        let object = format!("column {}.{column}", spec.qualified());
        let fix = "leave it out by column.exclude.list, or of the publication by a column list (PostgreSQL 15 and later), or \
                   change its type";
        problems.push(Problem::new(object, why, fix));
    }
}

fn judge_key(expected: &Expected, table: &TableFacts, problems: &mut Vec<Problem>) {
    let spec = &expected.spec;
    let name = qualified(&spec.schema, &spec.table);
    let mut find = |what: String, why: &str, fix: String| {
        problems.push(Problem::new(format!("table {}", spec.qualified()), what, fix).because(why));
    };
    let columns = |key: &[String]| key.iter().map(|column| ident(column)).collect::<Vec<_>>().join(", ");
    // Debezium's keys are null without one.
    if table.key.is_empty() && (expected.keyless || expected.debezium) {
        if table.identity != 'f' {
            let fix = format!("ALTER TABLE {name} REPLICA IDENTITY FULL");
            let why = "its updates and deletes fail once published";
            find("it has neither a primary key nor replica identity FULL".to_owned(), why, fix);
        }
        return;
    }
    if table.key.is_empty() {
        let key = if expected.key.is_empty() { "..".to_owned() } else { columns(&expected.key) };
        find(
            "it has no primary key".to_owned(),
            "rows are known by it; and once published, its updates and deletes would fail without one",
            format!("ALTER TABLE {name} ADD PRIMARY KEY ({key})"),
        );
    } else if !expected.key.is_empty() && expected.key != table.key {
        find(
            format!("its primary key is ({}), declared is ({})", table.key.join(", "), expected.key.join(", ")),
            "messages are keyed by it",
            "correct the key in the table's declaration".to_owned(),
        );
    }
    let fix = format!("ALTER TABLE {name} REPLICA IDENTITY DEFAULT");
    match table.identity {
        'n' => find("its replica identity is NOTHING".to_owned(), "its updates and deletes fail once published", fix),
        'i' if !table.identity_is_key => find(
            "its replica identity is an index other than the primary key's".to_owned(),
            "a deleted row's primary key would not be sent",
            fix,
        ),
        _ => {}
    }
}

fn judge_rights(spec: &SourceSpec, observed: &ObservedTable, table: &TableFacts, problems: &mut Vec<Problem>) {
    let name = qualified(&spec.schema, &spec.table);
    let role = ident(&spec.config.user);
    if !table.may_select {
        let fix = format!("GRANT USAGE ON SCHEMA {} TO {role}; GRANT SELECT ON {name} TO {role}", ident(&spec.schema));
        let what = format!("role {} may not read it", spec.config.user);
        let problem = Problem::new(format!("table {}", spec.qualified()), what, fix);
        problems.push(problem.because("its snapshot needs that right"));
    }
    if table.rows_hidden {
        let what = format!("row level security hides rows from role {}", spec.config.user);
        let fix = format!("ALTER ROLE {role} BYPASSRLS");
        let problem = Problem::new(format!("table {}", spec.qualified()), what, fix);
        problems.push(problem.because("its snapshot would lack them, while the stream has them"));
    }
    if observed.publication.is_none() && !(observed.may_create_publication && table.owned) {
        let what = format!("it does not exist, and role {} may not create it", spec.config.user);
        let problem = Problem::new(format!("publication {}", spec.publication), what, create_statement(spec));
        problems.push(problem.because("that takes the table's owner, with CREATE on the database"));
    }
}

fn judge_publication(expected: &Expected, publication: &ObservedPublication, problems: &mut Vec<Problem>) {
    let spec = &expected.spec;
    let name = ident(&spec.publication);
    let set_table = format!("ALTER PUBLICATION {name} SET TABLE {}", published(spec));
    let mut find = |what: String, why: &str, fix: String| {
        problems.push(Problem::new(format!("publication {}", spec.publication), what, fix).because(why));
    };
    let exactly = "a change is known by its place among those that the publication sends";
    if expected.debezium && publishes(publication, spec) {
        // What it gets of other tables it leaves out.
    } else if publication.all_tables {
        let fix = format!("choose another name, or DROP PUBLICATION {name} and {}", create_statement(spec));
        find("it publishes all tables".to_owned(), exactly, fix);
    } else if !publishes_exactly(publication, spec) {
        let tables: Vec<String> = publication.tables.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
        let found = if tables.is_empty() { "no table".to_owned() } else { tables.join(", ") };
        let signals = spec.signal_table.as_ref().map(|(schema, name)| format!(" and {schema}.{name}"));
        let wanted = format!("{}{}", spec.qualified(), signals.unwrap_or_default());
        find(format!("it publishes {found}, not {wanted} alone"), exactly, set_table.clone());
    }
    if !publication.missing_operations.is_empty() {
        let what = format!("it leaves out {}", publication.missing_operations.join(", "));
        let fix = format!("ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')");
        find(what, "such changes would never arrive", fix);
    }
    if publication.row_filter {
        find("it has a row filter".to_owned(), "the snapshot takes every row", set_table.clone());
    }
    let missing = expected
        .key
        .iter()
        .filter(|column| publication.columns.as_ref().is_some_and(|published| !published.contains(column)));
    for column in missing {
        find(format!("it leaves out key column {column}"), "rows are known by it", set_table.clone());
    }
}

fn publishes(publication: &ObservedPublication, spec: &SourceSpec) -> bool {
    publication.tables.iter().any(|(schema, table)| *schema == spec.schema && *table == spec.table)
}

/// The table, and the signaling table if there is one, and no others.
fn publishes_exactly(publication: &ObservedPublication, spec: &SourceSpec) -> bool {
    let mut wanted: Vec<_> = spec.signal_table.iter().cloned().collect();
    wanted.push((spec.schema.clone(), spec.table.clone()));
    wanted.sort();
    let mut found = publication.tables.clone();
    found.sort();
    found == wanted
}

fn judge_slot(spec: &SourceSpec, slot: &ObservedSlot, problems: &mut Vec<Problem>) {
    let object = format!("slot {}", spec.slot);
    if let Some((what, fix)) = slot.unfit(spec) {
        problems.push(Problem::new(object, what, fix));
    } else if slot.lost() {
        let fix = format!(
            "SELECT pg_drop_replication_slot({}), remove the stored offset and start anew with a snapshot; then raise \
             max_slot_wal_keep_size",
            literal(&spec.slot)
        );
        problems.push(Problem::new(object, "the log that it needs is gone", fix).because("changes are lost for it"));
    }
}

#[cfg(test)]
mod tests;
