//! What several objects are made of.

use std::collections::BTreeMap;

use datapipe_core::plan::PipelinePlan;
use k8s_openapi::api::core::v1::{
    Capabilities, EmptyDirVolumeSource, HTTPGetAction, PodSecurityContext, Probe, ResourceRequirements, SeccompProfile,
    SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::NAMESPACE;

pub(crate) type Labels = BTreeMap<String, String>;

/// The user that workers run as: any that is not root, as their images need none of their own.
pub(crate) const WORKER_UID: i64 = 10_001;

pub(crate) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The labels of everything that belongs to one server.
pub(crate) fn server_labels(app: &str, component: &str) -> Labels {
    labels([
        ("app", app),
        ("component", component),
        ("app.kubernetes.io/name", app),
        ("app.kubernetes.io/component", component),
        ("app.kubernetes.io/part-of", "datapipe"),
        ("app.kubernetes.io/managed-by", "datapipe-deploy"),
    ])
}

/// The labels of everything that belongs to one table's worker.
pub(crate) fn worker_labels(pipeline: &PipelinePlan) -> Labels {
    let mut labels = server_labels(&pipeline.names.worker, "worker");
    labels.insert("app.kubernetes.io/name".to_owned(), pipeline.worker.kind.name().to_owned());
    labels.insert("app.kubernetes.io/instance".to_owned(), pipeline.names.worker.clone());
    labels.insert("table".to_owned(), pipeline.names.table.clone());
    labels
}

pub(crate) fn metadata(name: &str, labels: Labels) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

/// Pods by their `app`.
pub(crate) fn app(name: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(labels([("app", name)])), ..LabelSelector::default() }
}

/// What Pod Security `restricted` asks of a pod. Volumes are chowned once: each time, PostgreSQL would refuse its folder,
/// and a large volume would take minutes.
pub(crate) fn pod_security(uid: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(uid),
        run_as_group: Some(uid),
        fs_group: Some(uid),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// The policy by which a container's last words are in its status, where whoever asks why it ended finds them.
pub(crate) const LAST_WORDS: &str = "FallbackToLogsOnError";

/// What it asks of a container, and a root file system that nobody writes to.
pub(crate) fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// Memory in MiB, the same as request and limit: what is not reserved is not there in need.
pub(crate) fn resources(memory_mib: u32, cpu_request_millis: u32, cpu_limit_millis: u32) -> ResourceRequirements {
    let of = |cpu_millis: u32| {
        let memory = Quantity(format!("{memory_mib}Mi"));
        BTreeMap::from([("cpu".to_owned(), Quantity(format!("{cpu_millis}m"))), ("memory".to_owned(), memory)])
    };
    ResourceRequirements {
        requests: Some(of(cpu_request_millis)),
        limits: Some(of(cpu_limit_millis)),
        ..ResourceRequirements::default()
    }
}

/// How often a probe looks, and when it gives up.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) period_s: i32,
    pub(crate) timeout_s: i32,
    pub(crate) failures: i32,
}

pub(crate) fn paced(probe: Probe, pace: Pace) -> Probe {
    Probe {
        period_seconds: Some(pace.period_s),
        timeout_seconds: Some(pace.timeout_s),
        failure_threshold: Some(pace.failures),
        ..probe
    }
}

/// A probe by HTTP at a named port.
pub(crate) fn http(path: &str, port: &str) -> Probe {
    let get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String(port.to_owned()),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(get), ..Probe::default() }
}

pub(crate) fn empty_dir(name: &str, size: Option<String>) -> Volume {
    let size_limit = size.map(Quantity);
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit, ..EmptyDirVolumeSource::default() }),
        ..Volume::default()
    }
}

pub(crate) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

pub(crate) fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(name, path) }
}

pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// Size in the largest unit of Kubernetes that divides it.
pub(crate) fn quantity(bytes: u64) -> Quantity {
    let units = [("Gi", 1_u64 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let whole = units.into_iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    Quantity(whole.map_or(bytes.to_string(), |(unit, factor)| format!("{}{unit}", bytes / factor)))
}
