//! Connector configurations as files, as `POST /connectors` takes them.

use datapipe_core::connector::{JvmFlavour, for_jvm};
use datapipe_core::plan::{ConnectorPlan, PipelinePlan, Plan, Problem, Problems};
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::settings::{Role, SinkFlavour};
use datapipe_core::table::WorkerKind;
use serde_json::json;

use crate::options::RenderOptions;
use crate::tree::Tree;

pub(crate) fn render(
    plan: &Plan,
    pipeline: &PipelinePlan,
    options: &RenderOptions,
    tree: &mut Tree,
) -> Result<(), Problems> {
    for connector in &pipeline.connectors {
        let config = config(plan, pipeline, connector, options)?;
        let body = json!({ "name": connector.name, "config": config });
        let text = serde_json::to_string_pretty(&body).unwrap_or_default() + "\n";
        tree.put(file(pipeline, connector), text);
    }
    Ok(())
}

/// Where a connector's file is in the tree.
pub(crate) fn file(pipeline: &PipelinePlan, connector: &ConnectorPlan) -> String {
    let what = if connector.role == Role::Source { "debezium" } else { "s3-sink" };
    format!("connectors/{}-{what}-connector.json", pipeline.names.slug)
}

/// The configuration for whoever runs the connector.
fn config(
    plan: &Plan,
    pipeline: &PipelinePlan,
    connector: &ConnectorPlan,
    options: &RenderOptions,
) -> Result<ConfigMap, Problems> {
    let jvm = pipeline.worker.kind.runs_in_jvm(connector.role);
    if !jvm {
        return Ok(connector.config.clone());
    }
    let flavour = JvmFlavour {
        exactly_once: options.exactly_once,
        sink: options.s3_sink,
        replication_factor: plan.kafka.replication_factor,
    };
    for_jvm(pipeline, connector, flavour).map_err(|found| {
        let problem = |one: &datapipe_core::connector::ConfigProblem| {
            Problem::new(connector.name.clone(), one.to_string(), "report it: this is a defect")
        };
        Problems(found.iter().map(problem).collect())
    })
}

/// Whether objects of that table are named as the contract says.
pub(crate) fn foreign_names(pipeline: &PipelinePlan, options: &RenderOptions) -> bool {
    pipeline.worker.kind == WorkerKind::KafkaConnect && options.s3_sink == SinkFlavour::Confluent
}
