//! All kinds of workers beside each other: rows go from PostgreSQL to objects.

use std::fs;
use std::time::Instant;

use crate::bed::{Bed, Deployment, TABLES};
use crate::memory::{Container, Figures, Watch, print};

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn objects_hold_what_postgresql_holds() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    let mut containers = Container::all(&bed);
    // An archive that does not fit is passed over without a word.
    for container in containers.iter().filter(|container| container.name == "kafka-connect") {
        let maps = |process: &i32| fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        assert!(container.processes().iter().any(|process| maps(process).contains("connect.jsa")), "{}", container.app);
    }
    let before: Vec<Figures> = containers.iter_mut().map(Container::figures).collect();
    let watch = Watch::begin(containers);
    let begun = Instant::now();
    bed.rows(5000);
    for (table, _) in TABLES {
        // The Kafka Connect worker has no sink here.
        bed.holds(if table == "order_items" { "topic" } else { "objects" }, table);
    }
    println!("    20000 rows in topics and objects after {} s", begun.elapsed().as_secs());
    let (containers, load) = watch.end();
    let pods: Vec<(&str, u64)> = TABLES
        .iter()
        .map(|(_, app)| {
            let own = containers.iter().zip(&load).filter(|(container, _)| container.app == *app);
            (*app, own.map(|(_, figures)| figures.limit).sum())
        })
        .collect();
    print(&containers, &[("before", before), ("load", load)]);
    assert!(pods.iter().all(|(_, limit)| *limit == 250), "each pod has 250Mi in all: {pods:?}");
}
