//! `datapipe-run plan`: prints the plan.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use datapipe_boot::{Exit, report};
use datapipe_core::plan::{PipelinePlan, Plan};
use datapipe_core::settings::{ByteSize, Role, Span};

use crate::cli::{Output, PlanArguments};

pub(crate) fn run(arguments: &PlanArguments) -> Exit {
    let plan = match crate::planned(&arguments.selection) {
        Ok(plan) => plan,
        Err(problems) => return crate::refuse(&problems),
    };
    let text = match arguments.output {
        Output::Table => table(&plan),
        Output::Json => serde_json::to_string_pretty(&plan).expect("a plan is plain values") + "\n",
        Output::Yaml => serde_yaml_ng::to_string(&plan).expect("a plan is plain values"),
    };
    report::result(&text)
}

fn table(plan: &Plan) -> String {
    let Plan { postgres, kafka, s3, run, tables } = plan;
    let endpoint = s3.endpoint.as_deref().unwrap_or("AWS");
    let mut text = format!(
        "PostgreSQL  {}@{}:{}/{}\nKafka       {}\nS3          {endpoint} bucket {} ({})\nThis host   REST on {}, data in {}\n",
        postgres.user,
        postgres.host,
        postgres.port,
        postgres.database,
        kafka.bootstrap.join(", "),
        s3.bucket,
        s3.region,
        run.listen,
        run.data_dir.display(),
    );
    for pipeline in tables {
        text.push('\n');
        text.push_str(&pipeline_table(pipeline, &s3.bucket));
        text.push('\n');
    }
    text.push_str("\nEvery topic and connector configuration: -o json or -o yaml\n");
    text
}

fn pipeline_table(pipeline: &PipelinePlan, bucket: &str) -> String {
    let names = &pipeline.names;
    let worker = &pipeline.worker;
    let setting = |role, key: &str| pipeline.connector(role)?.config.get(key).cloned();
    let object = |key| setting(Role::Sink, key).unwrap_or_else(|| "-".to_owned());
    let number = |key| setting(Role::Sink, key)?.parse::<u64>().ok();
    let role = |role| pipeline.connector(role).map_or("(off)", |connector| connector.name.as_str());
    let partitions =
        pipeline.topics.iter().find(|topic| topic.name == names.data_topic).map_or(0, |topic| topic.partitions);
    let rows = [
        ("table", format!("{} key ({})", pipeline.qualified(), pipeline.key.join(", "))),
        (
            "worker",
            format!("{} ({}, {} MiB, port {})", names.worker, worker.kind.name(), worker.memory_mib, pipeline.port),
        ),
        ("slot, publication", format!("{}, {}", names.slot, names.publication)),
        ("source", role(Role::Source).to_owned()),
        ("topic", format!("{}, partitions: {partitions}", names.data_topic)),
        ("sink", role(Role::Sink).to_owned()),
        ("objects", format!("s3://{bucket}/{}year=../month=../day=../hour=../", names.object_prefix)),
        (
            "cut at",
            format!(
                "{} rows, {}, {}",
                object("file.max.records"),
                number("datapipe.object.max.bytes").map_or_else(String::new, |bytes| ByteSize(bytes).to_string()),
                number("datapipe.object.max.age.ms")
                    .map_or_else(String::new, |age_ms| Span(Duration::from_millis(age_ms)).to_string()),
            ),
        ),
        ("group", names.group.clone()),
        ("dead letters", names.dead_letter_topic.clone()),
    ];
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows.map(|(name, value)| [name.to_owned(), value]));
    table.to_string()
}
