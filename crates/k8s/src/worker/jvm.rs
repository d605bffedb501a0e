//! The JVM worker: Apache Kafka Connect with Debezium, alone or as a hybrid's source.

use std::collections::BTreeMap;

use datapipe_connect::{JVM_FLAGS, properties_file, worker_properties};
use datapipe_core::plan::{PipelinePlan, Plan, Problems};
use datapipe_core::settings::PluginSettings;
use datapipe_core::table::{JVM_PORT_OFFSET, WorkerKind};
use k8s_openapi::api::core::v1::{Container, EnvVar, ExecAction, Probe, Volume};

use super::secrets::Secrets;
use super::{CONFIG, CONFIG_FOLDER, Parts, REST, Share, rest_port, share, share_resources};
use crate::checks::heap_mib;
use crate::options::RenderOptions;
use crate::parts::{LAST_WORDS, Pace, container_security, empty_dir, http, mount, paced, read_only, resources, words};

/// Plugins of the image.
pub(super) const IMAGE_PLUGINS: &str = "/opt/plugins";
/// Plugins that were fetched.
pub(super) const FETCHED_PLUGINS: &str = "/opt/fetched-plugins";
const TEMPORARY: &str = "jvm-tmp";
pub(super) const PLUGINS: &str = "plugins";
/// The container of a JVM worker.
pub(crate) const JVM: &str = "kafka-connect";

/// A start takes 8 s with an archive of classes and 15 s without on a quiet machine, and several times that on a busy
/// one: three minutes tell it from a start that never ends.
const START: Pace = Pace { period_s: 3, timeout_s: 5, failures: 60 };
/// A worker that cannot reach Kafka is not ready, and no better after a restart.
const READY: Pace = Pace { period_s: 10, timeout_s: 5, failures: 3 };
/// REST that does not answer for a minute is a JVM that collects garbage only, or hangs.
const ALIVE: Pace = Pace { period_s: 10, timeout_s: 10, failures: 6 };

/// Kafka's log goes to where `kubectl logs` finds it.
const LOGGING: &str = "\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c)%n%throwable
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
logger.clients.name = org.apache.kafka.clients
logger.clients.level = warn
logger.configs.name = org.apache.kafka.common.config
logger.configs.level = warn
";

pub(super) fn parts(
    plan: &Plan,
    pipeline: &PipelinePlan,
    options: &RenderOptions,
    secrets: &Secrets,
) -> Result<Parts, Problems> {
    let mut plugin_path = IMAGE_PLUGINS.to_owned();
    let mut volumes = secrets.volumes();
    if options.plugins.is_empty() {
        volumes.push(temporary());
    } else {
        plugin_path = format!("{IMAGE_PLUGINS},{FETCHED_PLUGINS}");
        volumes.extend(fetch_volumes());
    }
    let mut properties = worker_properties(plan, pipeline, &plugin_path)?;
    if !options.exactly_once {
        for (_, value) in properties.iter_mut().filter(|(key, _)| key == "exactly.once.source.support") {
            "disabled".clone_into(value);
        }
    }
    let config = BTreeMap::from([
        ("worker.properties".to_owned(), properties_file(&properties)),
        ("log4j2.properties".to_owned(), LOGGING.to_owned()),
    ]);
    let init = if options.plugins.is_empty() { Vec::new() } else { vec![fetch(pipeline, options)] };
    Ok(Parts { init, containers: vec![container(pipeline, options, secrets)], volumes, config })
}

fn container(pipeline: &PipelinePlan, options: &RenderOptions, secrets: &Secrets) -> Container {
    let hybrid = pipeline.worker.kind == WorkerKind::Hybrid;
    let part = if hybrid { Share::Jvm } else { Share::Whole };
    let mut env = vec![EnvVar { name: "MALLOC_ARENA_MAX".to_owned(), value: Some("2".to_owned()), value_from: None }];
    env.extend(secrets.env());
    let mut mounts = vec![read_only(CONFIG, CONFIG_FOLDER), mount(TEMPORARY, "/tmp")];
    if !options.plugins.is_empty() {
        mounts.push(read_only(PLUGINS, FETCHED_PLUGINS));
    }
    mounts.extend(secrets.mounts());
    let probe = |path: &str, pace| {
        if hybrid { paced(on_loopback(pipeline, path), pace) } else { paced(http(path, REST), pace) }
    };
    Container {
        name: JVM.to_owned(),
        image: Some(options.connect_image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(command(pipeline, options, part)),
        env: Some(env),
        // The port of a hybrid is its native part's.
        ports: (!hybrid).then(|| rest_port(pipeline)),
        resources: Some(share_resources(pipeline, part)),
        security_context: Some(container_security()),
        startup_probe: Some(probe("/health", START)),
        readiness_probe: Some(probe("/health", READY)),
        liveness_probe: Some(probe("/", ALIVE)),
        volume_mounts: Some(mounts),
        termination_message_policy: Some(LAST_WORDS.to_owned()),
        ..Container::default()
    }
}

fn command(pipeline: &PipelinePlan, options: &RenderOptions, part: Share) -> Vec<String> {
    let (memory_mib, _, _) = share(pipeline, part);
    let heap = format!("-Xmx{}m", heap_mib(pipeline.worker.kind, memory_mib));
    let mut command = vec!["java".to_owned()];
    command
        .extend(JVM_FLAGS.iter().map(|flag| if flag.starts_with("-Xmx") { heap.clone() } else { (*flag).to_owned() }));
    // It would map a file into memory, and nobody reads it.
    command.push("-XX:-UsePerfData".to_owned());
    command.extend(options.class_archive.iter().map(|archive| format!("-XX:SharedArchiveFile={archive}")));
    command.push(format!("-Dlog4j2.configurationFile={CONFIG_FOLDER}/log4j2.properties"));
    command.extend(["-cp".to_owned(), "/opt/kafka/libs/*".to_owned()]);
    command.push("org.apache.kafka.connect.cli.ConnectDistributed".to_owned());
    command.push(format!("{CONFIG_FOLDER}/worker.properties"));
    command
}

/// Nobody outside of the pod reaches a hybrid's JVM worker, the node's probes included: so they ask from within.
fn on_loopback(pipeline: &PipelinePlan, path: &str) -> Probe {
    let port = pipeline.port.wrapping_add(JVM_PORT_OFFSET);
    let convention = format!("http://127.0.0.1:{port}");
    let url = pipeline.worker.jvm_url(pipeline.port);
    let place = url.strip_prefix("http://").unwrap_or(&convention).trim_end_matches('/').replace(':', "/");
    let script = format!(
        "exec 3<>/dev/tcp/{place} && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -u 3 line && \
         [[ $line == *' 200 '* ]]"
    );
    Probe { exec: Some(ExecAction { command: Some(words(["bash", "-c", &script])) }), ..Probe::default() }
}

fn temporary() -> Volume {
    empty_dir(TEMPORARY, Some("64Mi".to_owned()))
}

/// What [`fetch`] mounts.
pub(super) fn fetch_volumes() -> Vec<Volume> {
    vec![temporary(), empty_dir(PLUGINS, Some("512Mi".to_owned()))]
}

/// What is fetched is what was named: an archive of another digest ends the start.
pub(super) fn fetch(pipeline: &PipelinePlan, options: &RenderOptions) -> Container {
    let (memory_mib, request, limit) = share(pipeline, Share::Whole);
    let script: String = options.plugins.iter().map(fetch_one).collect();
    Container {
        name: "fetch-plugins".to_owned(),
        image: Some(options.fetch_image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(words(["sh", "-euc", &script])),
        resources: Some(resources(memory_mib, request, limit)),
        security_context: Some(container_security()),
        volume_mounts: Some(vec![mount(PLUGINS, FETCHED_PLUGINS), mount(TEMPORARY, "/tmp")]),
        ..Container::default()
    }
}

fn fetch_one(plugin: &PluginSettings) -> String {
    let PluginSettings { name, url, sha256 } = plugin;
    let url = url.replace('\'', "'\\''");
    let sha256 = sha256.to_lowercase();
    let archive = format!("{FETCHED_PLUGINS}/{name}.tar.gz");
    format!(
        "curl --fail --location --silent --show-error --retry 5 --output {archive} '{url}'\n\
         echo '{sha256}  {archive}' | sha256sum -c -\n\
         mkdir -p {FETCHED_PLUGINS}/{name}\n\
         tar -xzf {archive} -C {FETCHED_PLUGINS}/{name}\n\
         rm {archive}\n"
    )
}
