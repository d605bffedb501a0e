//! A plan as a deployment on Kubernetes: manifests, connector files, scripts and the document beside them. Pure: the same
//! plan and options give the same bytes.
//!
//! ```
//! use std::sync::Arc;
//!
//! use datapipe_core::catalog::Catalog;
//! use datapipe_core::plan::{Plan, Problems};
//! use datapipe_core::settings::{Settings, TrialServer};
//! use datapipe_core::table::{Table, TablePipeline};
//! use datapipe_k8s::{RenderOptions, in_cluster, render};
//!
//! struct Payments;
//! impl TablePipeline for Payments {
//!     fn table(&self) -> Table {
//!         Table::new("payments", 8087)
//!     }
//! }
//!
//! let mut settings = Settings::default();
//! settings.deploy.with = vec![TrialServer::Kafka, TrialServer::S3];
//! let settings = in_cluster(settings);
//! let catalog = Catalog::of([Arc::new(Payments) as Arc<dyn TablePipeline>])?;
//! let tree = render(&Plan::new(&catalog, &settings)?, &RenderOptions::new(&settings.deploy)?)?;
//! assert!(tree.get("kafka-connect-payments-deployment.yaml").is_some());
//! # Ok::<(), Problems>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

#[cfg(feature = "apply")]
pub mod apply;
mod checks;
mod connectors;
mod defaults;
mod document;
mod kind;
mod manifest;
mod network;
mod options;
mod parts;
mod postgres;
mod scripts;
mod tree;
mod trial;
mod worker;

pub use checks::node_port;
pub use defaults::in_cluster;
pub use options::{ManifestFormat, PostgresOptions, RenderOptions};
pub use tree::{FOLDER, File, Tree, WriteError, Written};

use datapipe_core::plan::{Plan, Problems};

/// The namespace of everything.
pub const NAMESPACE: &str = "data-ingestion";
/// The Secret that holds what the settings' references lead to.
pub const CREDENTIALS: &str = "datapipe-credentials";
/// The PostgreSQL server that is deployed: its StatefulSet, Service and `app` label, and the Secret of its superuser.
pub const POSTGRES: &str = "postgresql";

/// Renders the whole tree, or says everything that keeps it from working.
///
/// The plan is for this machine where it speaks of this process (`run`): pods listen on all their addresses and keep
/// their files in volumes, whatever it says there.
pub fn render(plan: &Plan, options: &RenderOptions) -> Result<Tree, Problems> {
    let mut plan = plan.clone();
    defaults::for_pods(&mut plan.run);
    // People count tables by their ports.
    plan.tables.sort_by_key(|pipeline| pipeline.port);
    let mut problems = checks::all(&plan, options);
    let mut tree = Tree::default();
    let mut keep = |result: Result<(), Problems>| {
        if let Err(Problems(found)) = result {
            problems.extend(found);
        }
    };
    postgres::render(&plan, options, &mut tree);
    for pipeline in &plan.tables {
        keep(worker::render(&plan, pipeline, options, &mut tree));
        keep(connectors::render(&plan, pipeline, options, &mut tree));
    }
    network::render(&plan, options, &mut tree);
    kind::render(&plan, &mut tree);
    trial::render(&plan, options, &mut tree);
    scripts::render(options, &mut tree);
    document::render(&plan, options, &mut tree);
    let mut seen = std::collections::BTreeSet::new();
    problems.retain(|problem| seen.insert(problem.to_string()));
    if problems.is_empty() { Ok(tree) } else { Err(Problems(problems)) }
}
