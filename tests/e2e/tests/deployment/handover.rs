//! A table's worker is replaced by one of another kind, and back, by an apply.

use std::time::Instant;

use crate::bed::{Bed, Deployment, TABLES, to_the_end};

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn a_table_goes_to_a_native_worker_and_back_without_a_gap_or_a_double() {
    let bed = Bed::find();
    bed.deployed(Deployment::Contract);
    let others = || -> Vec<_> {
        TABLES.iter().filter(|(table, _)| *table != "orders").map(|(_, app)| bed.starts(app)).collect()
    };
    let before = others();
    for kind in ["native", "kafka-connect"] {
        // Rows that neither of them has seen when they change places.
        bed.rows(500);
        let begun = Instant::now();
        let mut apply = bed.deploy("apply", Deployment::Contract);
        apply.args(["--worker", &format!("orders={kind}")]);
        let said = to_the_end(apply);
        assert!(said.contains("~ Deployment kafka-connect-orders"), "{said}");
        println!("    orders is with {kind} after {} s", begun.elapsed().as_secs());
        bed.rows(500);
        bed.holds("topic", "orders");
    }
    assert_eq!(others(), before, "the others were not started again");
}
