//! The rows themselves: what the objects lead to, and what the table holds.

use datapipe_core::connector::{SinkConfig, SourceConfig};
use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;
use datapipe_core::value::Modes;
use datapipe_postgres::{SourceSpec, TableRows};
use datapipe_reconcile::{Report, Scope, TupleRows, reconcile};

use super::Servers;

/// What comparing the rows came to: a report, or why there is none.
#[derive(Debug)]
pub enum Proof {
    /// The rows were compared.
    Compared(Box<Report>),
    /// They could not be.
    Broken(String),
    /// There is nothing to compare.
    Left(String),
}

impl Proof {
    /// Compares a table's objects with its rows. Reads only.
    pub async fn of(servers: &Servers, pipeline: &PipelinePlan) -> Self {
        let (Some(source), Some(sink)) = (pipeline.connector(Role::Source), pipeline.connector(Role::Sink)) else {
            return Self::Left("the table has no source, or no sink".to_owned());
        };
        let (config, store) = match (&servers.postgres, &servers.store) {
            (Ok(config), Ok(store)) => (config.clone(), store),
            (Err(why), _) | (_, Err(why)) => return Self::Broken(why.clone()),
        };
        let names = &pipeline.names;
        let spec = SourceSpec::new(config, &pipeline.schema, &names.table, &names.slot, &names.publication);
        // Keys that only a JVM worker knows keep the whole from being read; the forms are then the plan's.
        let config_of_source = SourceConfig::from_map(&source.config);
        let modes = config_of_source.map_or(Modes::PLAN, |source| source.modes);
        let rows = match TableRows::open(&spec).await {
            Ok(rows) => rows,
            Err(error) => return Self::Broken(error.report()),
        };
        let mut rows = TupleRows::new(rows, modes);
        let topic = sink.config.get("topics").unwrap_or(&names.data_topic);
        let scope = rows.scope(topic);
        let scope = match SinkConfig::from_map(&sink.config) {
            Ok(sink) => Scope { layout: sink.layout, output: sink.output, ..scope },
            Err(_) => scope,
        };
        match reconcile(store, &mut rows, &scope).await {
            Ok(report) => Self::Compared(Box::new(report)),
            Err(error) => Self::Broken(error.to_string()),
        }
    }
}
