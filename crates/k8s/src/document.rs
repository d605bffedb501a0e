//! `MULTI-INSTANCE-ARCHITECTURE.md`: this deployment in words and figures, all of them from the plan.

mod text;

use std::fmt::Write as _;

use datapipe_core::plan::{PipelinePlan, Plan};
use datapipe_core::table::WorkerKind;

use crate::FOLDER;
use crate::checks::{HYBRID_NATIVE_MIB, own_postgres};
use crate::connectors::foreign_names;
use crate::options::RenderOptions;
use crate::tree::Tree;

pub(crate) fn render(plan: &Plan, options: &RenderOptions, tree: &mut Tree) {
    let mut paths: Vec<String> = tree.files().map(|(path, _)| path.to_owned()).collect();
    paths.push("MULTI-INSTANCE-ARCHITECTURE.md".to_owned());
    let sections = [
        text::HEAD.to_owned(),
        flow(plan),
        text::WHY.to_owned(),
        resources(plan),
        database(plan, options),
        names(plan),
        access(plan),
        files(&mut paths),
        text::deployment(plan, options),
        objects(plan, options),
        text::checks(plan),
        text::TROUBLE.to_owned(),
        text::MIGRATION.to_owned(),
        text::COMPARISON.to_owned(),
    ];
    tree.put("MULTI-INSTANCE-ARCHITECTURE.md", sections.join("\n"));
}

fn flow(plan: &Plan) -> String {
    let width = plan.tables.iter().map(|pipeline| pipeline.names.worker.len()).max().unwrap_or(0);
    let mut text = "```text\n".to_owned();
    for (index, pipeline) in plan.tables.iter().enumerate() {
        let from = if index == 0 { "PostgreSQL" } else { "          " };
        let names = &pipeline.names;
        let _ = writeln!(
            text,
            "{from} -> {:width$} ({}, {}Mi) -> {} -> s3://{}/{}",
            names.worker,
            pipeline.worker.kind.name(),
            pipeline.worker.memory_mib,
            names.data_topic,
            plan.s3.bucket,
            names.object_prefix
        );
    }
    text + "```\n"
}

fn resources(plan: &Plan) -> String {
    let mut text =
        "## Resources\n\n| worker | kind | memory | CPU (request/limit) | table |\n|---|---|---|---|---|\n".to_owned();
    let (mut memory, mut request, mut limit) = (0_u64, 0_u64, 0_u64);
    for PipelinePlan { names, worker, .. } in &plan.tables {
        let split = match worker.kind {
            WorkerKind::Hybrid => format!(
                "{}Mi: {}Mi for the JVM, {HYBRID_NATIVE_MIB}Mi for the native part",
                worker.memory_mib,
                worker.memory_mib.saturating_sub(HYBRID_NATIVE_MIB)
            ),
            _ => format!("{}Mi", worker.memory_mib),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {split} | {}m/{}m | `{}` |",
            names.worker,
            worker.kind.name(),
            worker.cpu_request_millis,
            worker.cpu_limit_millis,
            names.table
        );
        memory += u64::from(worker.memory_mib);
        request += u64::from(worker.cpu_request_millis);
        limit += u64::from(worker.cpu_limit_millis);
    }
    let _ = writeln!(text, "| **all** | | **{memory}Mi** | **{request}m/{limit}m** | |");
    text.push_str(
        "\nA worker that takes more memory than its limit is killed and started again; the others do not notice.\n",
    );
    text
}

fn database(plan: &Plan, options: &RenderOptions) -> String {
    let postgres = &plan.postgres;
    let mut text = "## PostgreSQL\n\n".to_owned();
    if own_postgres(plan) {
        let _ = write!(
            text,
            "`task4-postgresql-statefulset.yaml` deploys the server: `wal_level=logical`, `max_replication_slots={slots}`, \
             `max_wal_senders={slots}`, `wal_keep_size=2GB`, `max_slot_wal_keep_size={kept}MB`. The last one is the price \
             of isolation: the log that a stopped table holds back ends there, its slot is lost and the table read anew, \
             instead of a full disk that stops every table. ",
            slots = options.postgres.slots,
            kept = options.postgres.slot_wal_bytes >> 20,
        );
    } else {
        let _ = write!(text, "The server is `{}:{}`, not part of this deployment. ", postgres.host, postgres.port);
    }
    let _ = writeln!(
        text,
        "The role `{}` may log in, replicate, and read the tables below; publications are made by their owner, one per \
         table, as soon as the table is there.",
        postgres.user
    );
    text
}

fn names(plan: &Plan) -> String {
    let mut text = "## Names\n\n| table | `group.id` | internal topics | slot | publication | dead letters |\n|---|---|---|---|---|---|\n".to_owned();
    for PipelinePlan { names, .. } in &plan.tables {
        let _ = writeln!(
            text,
            "| `{}` | `{}` | `{}`, `{}`, `{}` | `{}` | `{}` | `{}` |",
            names.table,
            names.group,
            names.configs_topic,
            names.offsets_topic,
            names.status_topic,
            names.slot,
            names.publication,
            names.dead_letter_topic
        );
    }
    text
}

fn access(plan: &Plan) -> String {
    let mut text = "## Ports\n\n| table | on this machine | NodePort |\n|---|---|---|\n".to_owned();
    for pipeline in &plan.tables {
        let port = pipeline.port;
        let _ = writeln!(text, "| `{}` | http://localhost:{port} | {} |", pipeline.names.table, crate::node_port(port));
    }
    text.push_str(
        "\n`kind-config-multi-instance.yaml` maps them for a local cluster. Elsewhere:\n\
         `kubectl port-forward -n data-ingestion service/NAME PORT`.\n",
    );
    text
}

fn files(paths: &mut [String]) -> String {
    paths.sort();
    let mut text = format!("## Files\n\n```text\n{FOLDER}/\n");
    for path in paths {
        let _ = writeln!(text, "  {path}");
    }
    text + "```\n"
}

fn objects(plan: &Plan, options: &RenderOptions) -> String {
    let mut text = format!("## Objects in S3\n\n```text\ns3://{}/\n", plan.s3.bucket);
    for pipeline in &plan.tables {
        let prefix = &pipeline.names.object_prefix;
        let topic =
            if foreign_names(pipeline, options) { format!("{}/", pipeline.names.data_topic) } else { String::new() };
        let _ = writeln!(text, "  {prefix}{topic}year=YYYY/month=MM/day=dd/hour=HH/");
    }
    text.push_str("```\n\nThe hour is the UTC hour of a record's time in Kafka.\n");
    text
}
