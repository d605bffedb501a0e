//! The native worker, alone or as a hybrid's sink.

use std::collections::BTreeMap;

use datapipe_core::connector::{ConfigProblem, SinkConfig, SourceConfig};
use datapipe_core::plan::{ConnectorPlan, PipelinePlan, Plan, Problem, Problems};
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::settings::{
    ByteSize, ConfigProviderSettings, EnvProviderSettings, KafkaSettings, PathProviderSettings, PostgresSettings, Role,
    RunSettings, S3Settings, Settings, SinkSettings, SourceSettings, Span, TableSettings, TableTopicSettings,
    TopicSettings, WorkerSettings,
};
use datapipe_core::table::WorkerKind;
use k8s_openapi::api::core::v1::Container;

use super::secrets::Secrets;
use super::{CONFIG, CONFIG_FOLDER, Parts, REST, Share, rest_port, share_resources};
use crate::defaults::DATA_FOLDER;
use crate::options::RenderOptions;
use crate::parts::{LAST_WORDS, Pace, container_security, empty_dir, http, mount, paced, read_only, words};

const DATA: &str = "data";
pub(super) const FILE: &str = "datapipe.toml";
/// How long a start waits for a server that is away: network policies take a moment until they hold for a new pod.
const SERVER_WAIT: &str = "30s";

/// Before REST answers, it looks at all servers and makes what is missing.
const START: Pace = Pace { period_s: 2, timeout_s: 5, failures: 60 };
const READY: Pace = Pace { period_s: 10, timeout_s: 5, failures: 3 };
const ALIVE: Pace = Pace { period_s: 10, timeout_s: 5, failures: 6 };

pub(super) fn parts(
    plan: &Plan,
    pipeline: &PipelinePlan,
    options: &RenderOptions,
    secrets: &Secrets,
) -> Result<Parts, Problems> {
    let text = toml::to_string(&pruned(&settings(plan, pipeline)?)).unwrap_or_default();
    let mut volumes = secrets.volumes();
    volumes.push(empty_dir(DATA, Some(spool(pipeline))));
    Ok(Parts {
        init: Vec::new(),
        containers: vec![container(pipeline, options, secrets)],
        volumes,
        config: BTreeMap::from([(FILE.to_owned(), text)]),
    })
}

fn container(pipeline: &PipelinePlan, options: &RenderOptions, secrets: &Secrets) -> Container {
    let part = if pipeline.worker.kind == WorkerKind::Hybrid { Share::Native } else { Share::Whole };
    let mut mounts = vec![read_only(CONFIG, CONFIG_FOLDER), mount(DATA, DATA_FOLDER)];
    mounts.extend(secrets.mounts());
    let config = format!("{CONFIG_FOLDER}/{FILE}");
    let table = &pipeline.names.table;
    Container {
        name: "datapipe".to_owned(),
        image: Some(options.worker_image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(words(["datapipe-run", "start", "--config", &config, "--table", table, "--wait", SERVER_WAIT])),
        env: Some(secrets.env()).filter(|env| !env.is_empty()),
        ports: Some(rest_port(pipeline)),
        resources: Some(share_resources(pipeline, part)),
        security_context: Some(container_security()),
        startup_probe: Some(paced(http("/", REST), START)),
        readiness_probe: Some(paced(http("/health", REST), READY)),
        liveness_probe: Some(paced(http("/", REST), ALIVE)),
        volume_mounts: Some(mounts),
        working_dir: Some(DATA_FOLDER.to_owned()),
        termination_message_policy: Some(LAST_WORDS.to_owned()),
        ..Container::default()
    }
}

/// Room for the object that is written and the one that is filled, of each partition.
fn spool(pipeline: &PipelinePlan) -> String {
    let config = pipeline.connector(Role::Sink).map(|sink| &sink.config);
    let bytes_max = config.and_then(|config| config.get("datapipe.object.max.bytes")?.parse::<u64>().ok()).unwrap_or(0);
    let data = pipeline.topics.iter().find(|topic| topic.name == pipeline.names.data_topic);
    let partitions = data.map_or(1, |topic| u64::from(topic.partitions.unsigned_abs()));
    let mib = (bytes_max >> 20).saturating_add(1).saturating_mul(2).saturating_mul(partitions).saturating_add(64);
    format!("{mib}Mi")
}

/// The settings from which `datapipe-run` makes the same plan for this table: all of it stands in the table's own
/// sections, which win over everything else.
pub(super) fn settings(plan: &Plan, pipeline: &PipelinePlan) -> Result<Settings, Problems> {
    let (postgres, kafka, s3, run) = (&plan.postgres, &plan.kafka, &plan.s3, &plan.run);
    let suffix = format!(".{}.{}", pipeline.schema, pipeline.names.table);
    let prefix = pipeline.names.data_topic.strip_suffix(&suffix).unwrap_or_default();
    let paths = |paths: &Vec<_>| PathProviderSettings { allowed_paths: paths.clone() };
    Ok(Settings {
        postgres: PostgresSettings {
            url: None,
            host: Some(postgres.host.clone()),
            port: Some(postgres.port),
            database: Some(postgres.database.clone()),
            user: Some(postgres.user.clone()),
            password: postgres.password.clone(),
        },
        kafka: KafkaSettings {
            bootstrap: Some(kafka.bootstrap.join(",")),
            replication_factor: Some(kafka.replication_factor).filter(|replicas| *replicas > 0),
            properties: kafka.properties.clone(),
        },
        s3: S3Settings {
            endpoint: s3.endpoint.clone(),
            region: Some(s3.region.clone()),
            bucket: Some(s3.bucket.clone()),
            access_key_id: Some(s3.access_key_id.clone()),
            secret_access_key: Some(s3.secret_access_key.clone()),
            session_token: s3.session_token.clone(),
            profile: None,
            path_style: Some(s3.path_style),
        },
        topic: TopicSettings { prefix: Some(prefix.to_owned()), ..TopicSettings::default() },
        run: RunSettings {
            listen: Some(run.listen.to_string()),
            data_dir: Some(run.data_dir.clone()),
            drain_timeout: Some(run.drain_timeout),
            hosts: run.hosts.clone(),
            config_providers: ConfigProviderSettings {
                env: EnvProviderSettings { allowlist_pattern: run.config_providers.env_pattern.clone() },
                file: paths(&run.config_providers.file_paths),
                dir: paths(&run.config_providers.dir_paths),
            },
        },
        tables: BTreeMap::from([(pipeline.names.table.clone(), table(pipeline)?)]),
        ..Settings::default()
    })
}

fn table(pipeline: &PipelinePlan) -> Result<TableSettings, Problems> {
    let data = pipeline.topics.iter().find(|topic| topic.name == pipeline.names.data_topic);
    let retention = data.and_then(|topic| topic.config.get("retention.ms")?.parse().ok());
    let read = |role| pipeline.connector(role).map(|connector| &connector.planned);
    let further = |role| pipeline.connector(role).map(ConnectorPlan::further).unwrap_or_default();
    let source =
        read(Role::Source).map(SourceConfig::from_map).transpose().map_err(|found| defect(pipeline, &found))?;
    let sink = read(Role::Sink).map(SinkConfig::from_map).transpose().map_err(|found| defect(pipeline, &found))?;
    Ok(TableSettings {
        port: Some(pipeline.port),
        connectors: Some(pipeline.connectors.iter().map(|connector| connector.role).collect()),
        source: source.map(|source| source_settings(&source, further(Role::Source))).unwrap_or_default(),
        topic: TableTopicSettings {
            partitions: data.map(|topic| topic.partitions),
            retention: retention.map(std::time::Duration::from_millis).map(Span),
        },
        sink: sink.map(|sink| sink_settings(&sink, further(Role::Sink))).unwrap_or_default(),
        worker: WorkerSettings {
            kind: Some(pipeline.worker.kind),
            memory: Some(ByteSize(u64::from(pipeline.worker.memory_mib) << 20)),
            jvm_url: pipeline.worker.jvm_url.clone(),
        },
    })
}

fn source_settings(source: &SourceConfig, config: ConfigMap) -> SourceSettings {
    SourceSettings {
        snapshot: Some(source.snapshot),
        keyless_snapshot: Some(source.keyless_snapshot),
        heartbeat: Some(Span(source.heartbeat)),
        signals: Some(source.signals.topic.is_some()),
        tombstones: Some(source.tombstones),
        truncates: Some(source.truncates),
        batch_rows: Some(source.batch_rows_max),
        queue_bytes: Some(ByteSize(source.queue_bytes_max)),
        config,
    }
}

fn sink_settings(sink: &SinkConfig, config: ConfigMap) -> SinkSettings {
    SinkSettings {
        rows: Some(sink.rows_max),
        bytes: Some(ByteSize(sink.bytes_max)),
        age: Some(Span(sink.age_max)),
        compression: Some(sink.output.compression),
        tasks: Some(sink.tasks.get()),
        config,
    }
}

/// The plan's own configurations can be read, or the plan is wrong.
fn defect(pipeline: &PipelinePlan, found: &[ConfigProblem]) -> Problems {
    let told = |one: &ConfigProblem| {
        Problem::new(format!("tables.{}", pipeline.names.table), one.to_string(), "report it: this is a defect")
    };
    Problems(found.iter().map(told).collect())
}

/// Without the sections and lists that say nothing.
pub(super) fn pruned(settings: &Settings) -> toml::Value {
    fn prune(value: &mut toml::Value) -> bool {
        match value {
            toml::Value::Table(table) => {
                let empty: Vec<String> =
                    table.iter_mut().filter_map(|(key, value)| prune(value).then(|| key.clone())).collect();
                for key in empty {
                    table.remove(&key);
                }
                table.is_empty()
            }
            toml::Value::Array(list) => list.is_empty(),
            _ => false,
        }
    }
    let mut value = toml::Value::try_from(settings).unwrap_or(toml::Value::Boolean(false));
    prune(&mut value);
    value
}
