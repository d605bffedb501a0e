//! One table's worker: Deployment, Service and ConfigMap.

mod jvm;
mod native;
mod secrets;
#[cfg(feature = "apply")]
mod tool;

use std::collections::BTreeMap;

use datapipe_core::plan::{PipelinePlan, Plan, Problems};
use datapipe_core::table::WorkerKind;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, PodSpec, PodTemplateSpec, Service, ServicePort,
    ServiceSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::checks::{HYBRID_NATIVE_MIB, node_port};
use crate::manifest::Objects;
use crate::options::RenderOptions;
use crate::parts::{app, labels, metadata, pod_security, resources, worker_labels};
use crate::tree::{Tree, digest};
use secrets::Secrets;

pub(crate) use jvm::JVM;
pub(crate) use secrets::secret_keys;
#[cfg(feature = "apply")]
pub use tool::InsideLook;
pub(crate) use tool::{APP as TOOL_APP, LOOK, look as tool_look, plugins as tool_plugins, servers as tool_servers};

/// The port's name in pods and Services.
const REST: &str = "rest";
/// Where the ConfigMap is mounted.
const CONFIG_FOLDER: &str = "/etc/datapipe/config";
/// The ConfigMap as a volume.
const CONFIG: &str = "config";

/// What a kind of worker brings.
struct Parts {
    init: Vec<Container>,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
    config: BTreeMap<String, String>,
}

pub(crate) fn render(
    plan: &Plan,
    pipeline: &PipelinePlan,
    options: &RenderOptions,
    tree: &mut Tree,
) -> Result<(), Problems> {
    let secrets = Secrets::of(plan);
    let parts = match pipeline.worker.kind {
        WorkerKind::KafkaConnect => jvm::parts(plan, pipeline, options, &secrets)?,
        WorkerKind::Native => native::parts(plan, pipeline, options, &secrets)?,
        WorkerKind::Hybrid => {
            let mut jvm = jvm::parts(plan, pipeline, options, &secrets)?;
            let native = native::parts(plan, pipeline, options, &secrets)?;
            // The native part answers on the port: it stands first, so that `kubectl logs` shows it.
            jvm.containers.splice(0..0, native.containers);
            jvm.config.extend(native.config);
            let known: Vec<String> = jvm.volumes.iter().map(|volume| volume.name.clone()).collect();
            jvm.volumes.extend(native.volumes.into_iter().filter(|volume| !known.contains(&volume.name)));
            jvm
        }
    };
    let names = &pipeline.names;
    let config = ConfigMap {
        metadata: metadata(&names.worker, worker_labels(pipeline)),
        data: Some(parts.config.clone()),
        ..ConfigMap::default()
    };
    let mut objects = Objects::default();
    objects.add(&config);
    objects.add(&deployment(pipeline, parts));
    objects.add(&service(pipeline));
    objects.put(&format!("{}-deployment", names.worker), options.format, tree);
    Ok(())
}

/// One worker owns the table. So an old one goes before a new one comes: side by side, two JVM workers would be one
/// group and share the port of none.
fn deployment(pipeline: &PipelinePlan, parts: Parts) -> Deployment {
    let names = &pipeline.names;
    let config = serde_json::to_vec(&parts.config).unwrap_or_default();
    // A new configuration is a new pod.
    let annotations = labels([
        ("datapipe/config-sha256", digest(&config).as_str()),
        ("kubectl.kubernetes.io/default-container", parts.containers[0].name.as_str()),
    ]);
    let mut volumes = parts.volumes;
    volumes.push(config_volume(&names.worker));
    let pod = PodSpec {
        automount_service_account_token: Some(false),
        containers: parts.containers,
        // A Service's variables would look like settings: KAFKA_PORT and its like.
        enable_service_links: Some(false),
        init_containers: (!parts.init.is_empty()).then_some(parts.init),
        security_context: Some(pod_security(crate::parts::WORKER_UID)),
        termination_grace_period_seconds: Some(40),
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    Deployment {
        metadata: metadata(&names.worker, worker_labels(pipeline)),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            revision_history_limit: Some(3),
            selector: app(&names.worker),
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    annotations: Some(annotations),
                    labels: Some(worker_labels(pipeline)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn config_volume(worker: &str) -> Volume {
    Volume {
        name: CONFIG.to_owned(),
        config_map: Some(ConfigMapVolumeSource { name: worker.to_owned(), ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    }
}

fn service(pipeline: &PipelinePlan) -> Service {
    let names = &pipeline.names;
    Service {
        metadata: metadata(&names.worker, worker_labels(pipeline)),
        spec: Some(ServiceSpec {
            type_: Some("NodePort".to_owned()),
            selector: Some(labels([("app", names.worker.as_str())])),
            ports: Some(vec![ServicePort {
                name: Some(REST.to_owned()),
                port: i32::from(pipeline.port),
                target_port: Some(IntOrString::String(REST.to_owned())),
                node_port: Some(i32::from(node_port(pipeline.port))),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn rest_port(pipeline: &PipelinePlan) -> Vec<ContainerPort> {
    vec![ContainerPort {
        container_port: i32::from(pipeline.port),
        name: Some(REST.to_owned()),
        ..ContainerPort::default()
    }]
}

/// A container's share: a hybrid's two split what the contract gives one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Whole,
    Jvm,
    Native,
}

/// Memory in MiB, processor time requested and its limit in thousandths of a core.
pub(crate) fn share(pipeline: &PipelinePlan, share: Share) -> (u32, u32, u32) {
    let worker = &pipeline.worker;
    let (memory, request, limit) = (worker.memory_mib, worker.cpu_request_millis, worker.cpu_limit_millis);
    let native = (HYBRID_NATIVE_MIB.min(memory), request / 5, limit / 5);
    match share {
        Share::Whole => (memory, request, limit),
        Share::Native => native,
        Share::Jvm => (memory - native.0, request - native.1, limit - native.2),
    }
}

fn share_resources(pipeline: &PipelinePlan, part: Share) -> k8s_openapi::api::core::v1::ResourceRequirements {
    let (memory, request, limit) = share(pipeline, part);
    resources(memory, request, limit)
}
