//! A table of one's own, planned by code: `cargo run -p datapipe --example plan`. No server is asked.
//!
//! Prints the names that follow from the table, and the configurations of its two connectors as any Kafka Connect
//! worker takes them; secrets are references.
#![allow(clippy::print_stdout, reason = "an example shows what it made")]

use std::sync::Arc;
use std::time::Duration;

use datapipe::catalog::Catalog;
use datapipe::plan::{Plan, Problems};
use datapipe::settings::Settings;
use datapipe::table::{Sink, SnapshotMode, Source, Table, TablePipeline};

/// Payments: read again whenever the stored position is lost, in small objects.
struct Payments;

impl TablePipeline for Payments {
    fn table(&self) -> Table {
        Table::new("payments", 8087)
    }

    fn source(&self, convention: Source) -> Source {
        convention.with_snapshot(SnapshotMode::WhenNeeded).with_heartbeat(Duration::from_secs(5))
    }

    fn sink(&self, convention: Sink) -> Sink {
        convention.with_rows_max(10_000)
    }
}

fn main() -> Result<(), Problems> {
    let mut settings = Settings::default();
    settings.postgres.url = Some("postgres://cdc@db.example:5432/shop".to_owned());
    settings.kafka.bootstrap = Some("kafka.example:9092".to_owned());
    settings.s3.bucket = Some("cdc".to_owned());

    let catalog = Catalog::of([Arc::new(Payments) as Arc<dyn TablePipeline>])?;
    let plan = Plan::new(&catalog, &settings)?;
    for pipeline in &plan.tables {
        let names = &pipeline.names;
        println!("{}: slot {}, topic {}, group {}", names.table, names.slot, names.data_topic, names.group);
        for connector in &pipeline.connectors {
            println!("\n{}", connector.name);
            for (key, value) in &connector.config {
                println!("  {key} = {value}");
            }
        }
    }
    Ok(())
}
