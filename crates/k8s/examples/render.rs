//! A table of one's own, deployed: `cargo run -p datapipe-k8s --example render -- FOLDER`. No server is asked.
//!
//! Declares a table, plans it, and writes the whole tree of manifests, connector files and
//! scripts below FOLDER.
#![allow(clippy::print_stdout, reason = "an example shows what it made")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use datapipe_core::catalog::Catalog;
use datapipe_core::plan::{Plan, Problems};
use datapipe_core::settings::{Settings, TrialServer};
use datapipe_core::table::{Table, TablePipeline, Worker, WorkerKind};
use datapipe_k8s::{RenderOptions, in_cluster, render};

/// Payments: on a native worker with less memory than the convention gives.
struct Payments;

impl TablePipeline for Payments {
    fn table(&self) -> Table {
        Table::new("payments", 8087)
    }

    fn worker(&self, convention: Worker) -> Worker {
        convention.with_kind(WorkerKind::Native).with_memory_mib(128)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write to")?;

    // A broker and an S3 server for trials come along; the database server always does, unless another one is named.
    let mut settings = Settings::default();
    settings.deploy.with = vec![TrialServer::Kafka, TrialServer::S3];
    let settings = in_cluster(settings);

    let catalog = Catalog::of([Arc::new(Payments) as Arc<dyn TablePipeline>]).map_err(Problems::from)?;
    let plan = Plan::new(&catalog, &settings)?;
    let tree = render(&plan, &RenderOptions::new(&settings.deploy)?)?;
    let written = tree.write(&out, false)?;
    for path in written.written {
        println!("{path}");
    }
    Ok(())
}
