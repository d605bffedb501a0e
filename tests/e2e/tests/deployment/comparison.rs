//! One shared Kafka Connect worker against a worker for each table.

use crate::arrangement::{Arrangement, Fault};
use crate::bed::Bed;
use crate::impact::{Felt, Flood, flood, suffer};
use crate::memory::{Container, Figures};

/// Rows of the flood: the Kafka Connect worker of one table takes minutes for more.
const FLOOD_ROWS: u32 = 100_000;

/// What was measured of one arrangement.
struct Column {
    arrangement: Arrangement,
    felt: Vec<Felt>,
    flood: Flood,
    memory: Vec<Figures>,
}

impl Column {
    fn of(bed: &Bed, arrangement: Arrangement) -> Self {
        let felt = suffer(bed, arrangement, 1);
        let mut containers = arrangement.containers(bed);
        for container in &mut containers {
            // What came before the flood does not count.
            container.figures();
        }
        let flood = flood(bed, FLOOD_ROWS, 20.0);
        let memory = containers.iter_mut().map(Container::figures).collect();
        Self { arrangement, felt, flood, memory }
    }

    fn fault(&self, fault: Fault) -> &Felt {
        self.felt.iter().find(|felt| felt.fault == fault).unwrap()
    }
}

type Cell = Box<dyn Fn(&Column) -> String>;

/// The rows of the table.
fn rows() -> Vec<(String, Cell)> {
    let mut rows: Vec<(String, Cell)> = Vec::new();
    let mut row = |name: &str, cell: Cell| rows.push((name.to_owned(), cell));
    for (name, fault) in [
        ("a worker is killed", Fault::Killed),
        ("a worker passes its memory limit", Fault::OutOfMemory),
        ("a connector is given what it cannot process", Fault::Poisoned),
    ] {
        row(
            &format!("{name}: tables that stop, time until the table flows again (of which Kubernetes waited)"),
            Box::new(move |column| {
                let felt = column.fault(fault);
                format!("{} of 4, {:.1} s ({} s)", felt.stopped, felt.back_s, felt.waited_s)
            }),
        );
        row(
            &format!("{name}: p99 of the other tables, and in quiet"),
            Box::new(move |column| {
                let felt = column.fault(fault);
                format!("{:.0} ms, {:.0} ms ({:.2} times)", felt.during_ms, felt.quiet_ms, felt.ratio())
            }),
        );
    }
    row(
        "a flood in one table: p99 of the other tables, of `pg_recvlogical`, and in quiet",
        Box::new(|Column { flood, .. }| {
            format!("{:.0} ms, {:.0} ms, {:.0} ms", flood.others_ms, flood.bare_ms, flood.quiet_ms)
        }),
    );
    row("a flood in one table: its rows per second", Box::new(|column| format!("{:.0}", column.flood.rows_s)));
    row(
        "peak memory in the flood, all workers (own)",
        Box::new(|Column { memory, .. }| {
            let sum = |of: fn(&Figures) -> u64| memory.iter().map(of).sum::<u64>();
            format!("{} MiB ({}) of {}", sum(|one| one.most), sum(|one| one.resident), sum(|one| one.limit))
        }),
    );
    rows
}

#[test]
#[ignore = "takes seven minutes: scripts/k8s test comparison"]
fn a_shared_worker_against_a_worker_for_each_table() {
    let bed = Bed::find();
    bed.empty_namespace();
    let [kafka_connect, native] =
        [Arrangement::KafkaConnect, Arrangement::Native].map(|arrangement| Column::of(&bed, arrangement));
    // Which connectors a worker has lies in its topics.
    bed.empty_namespace();
    let columns = [Column::of(&bed, Arrangement::Shared), kafka_connect, native];
    bed.empty_namespace();
    println!("| | {} |", columns.each_ref().map(|column| column.arrangement.name()).join(" | "));
    println!("|---|---|---|---|");
    for (name, cell) in rows() {
        println!("| {name} | {} |", columns.each_ref().map(cell).join(" | "));
    }
    for column in &columns {
        for fault in [Fault::Killed, Fault::OutOfMemory] {
            let stopped = if column.arrangement == Arrangement::Shared { 4 } else { 1 };
            assert_eq!(column.fault(fault).stopped, stopped, "{:?}, {fault:?}", column.arrangement);
        }
    }
}
