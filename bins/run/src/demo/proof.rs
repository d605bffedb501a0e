//! The proof at the end: every object read back, folded, and compared with PostgreSQL key by key.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::value::Modes;
use datapipe_postgres::{SourceSpec, TableRows};
use datapipe_reconcile::{Report, TupleRows, reconcile, reconcile_log};
use tokio::time::Instant;

use super::scene::Scene;
use super::show::Show;

/// What is proven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    /// The objects in S3.
    Objects,
    /// The records in Kafka: nothing writes objects.
    Topic,
}

/// Proves all tables and prints what was found.
pub(super) async fn run(
    scene: &Scene,
    show: &Show,
    leg: Leg,
    took: Duration,
    memory: &str,
) -> Result<Vec<Report>, PortError> {
    let what = match leg {
        Leg::Objects => "every object back",
        Leg::Topic => "every committed record of the topics",
    };
    show.say(&format!("proving: reading {what} and comparing with PostgreSQL, key by key"));
    let started = Instant::now();
    let mut reports = Vec::new();
    for names in &scene.names {
        let spec = SourceSpec::new(scene.server.clone(), "public", &names.table, &names.slot, &names.publication);
        let mut rows = TupleRows::new(TableRows::open(&spec).await?, Modes::PLAN);
        let scope = rows.scope(&names.data_topic);
        let report = match leg {
            Leg::Objects => reconcile(scene.store.as_ref(), &mut rows, &scope).await,
            Leg::Topic => reconcile_log(&mut scene.reader(&names.data_topic)?, &mut rows, &scope).await,
        };
        let attempt = format!("proving table {}", names.table);
        reports.push(report.map_err(|error| PortError::new(ErrorKind::Refused, attempt).because(error))?);
    }
    print(&reports, show, took, started.elapsed(), memory);
    Ok(reports)
}

fn print(reports: &[Report], show: &Show, took: Duration, proving: Duration, memory: &str) {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["table", "rows", "events", "objects", "bytes", "lost", "doubled", "differing", "surplus"]);
    for report in reports {
        let counts =
            [report.rows, report.events, report.objects, report.bytes, report.lost.count, report.doubled.count];
        let counts = counts.into_iter().chain([report.differing.count, report.surplus.count]);
        table.add_row(std::iter::once(report.table.clone()).chain(counts.map(|count| count.to_string())));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    show.say(&table.to_string());
    for report in reports.iter().filter(|report| !report.proven()) {
        show.say(&report.to_string());
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (lost, doubled) = (sum(|report| report.lost.count), sum(|report| report.doubled.count));
    let differing = sum(|report| report.differing.count + report.surplus.count + report.orphaned.count);
    let events = sum(|report| report.events);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = |seconds: f64| (events as f64 / seconds.max(0.001)).round();
    show.say(&format!(
        "lost {lost}, doubled {doubled}, differing {differing} of {events} events; {} events/s on the way, {} events/s \
         proved; {memory}",
        rate(took.as_secs_f64()),
        rate(proving.as_secs_f64()),
    ));
}
