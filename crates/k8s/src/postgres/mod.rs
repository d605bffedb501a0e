//! The database server: StatefulSet, Service and ConfigMap. Left out if the settings name another server.

mod files;
mod sql;

use std::collections::BTreeMap;

use datapipe_core::plan::Plan;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, ExecAction, KeyToPath,
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource,
    SecretProjection, Service, ServicePort, ServiceSpec, Volume, VolumeMount, VolumeProjection,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::checks::own_postgres;
use crate::defaults::secret_key;
use crate::manifest::Objects;
use crate::options::{PostgresOptions, RenderOptions};
use crate::parts::{
    Pace, app, container_security, empty_dir, labels, metadata, mount, paced, pod_security, quantity, read_only,
    resources, server_labels, words,
};
use crate::tree::{Tree, digest};
use crate::{CREDENTIALS, POSTGRES};

/// The key of the superuser's password in the Secret [`POSTGRES`].
pub(crate) const SUPERUSER_KEY: &str = "postgres-password";

const CONFIG_FOLDER: &str = "/etc/postgresql";
const SECRETS_FOLDER: &str = "/etc/postgresql-secrets";
const VOLUME_FOLDER: &str = "/var/lib/postgresql/data";
const SOCKET_FOLDER: &str = "/run/postgresql";
const PORT: &str = "postgresql";

/// Recovery after a crash reads the log again: ten minutes tell it from a start that never ends.
const START: Pace = Pace { period_s: 2, timeout_s: 5, failures: 300 };
const READY: Pace = Pace { period_s: 5, timeout_s: 5, failures: 3 };
const ALIVE: Pace = Pace { period_s: 10, timeout_s: 5, failures: 6 };

pub(crate) fn render(plan: &Plan, options: &RenderOptions, tree: &mut Tree) {
    if !own_postgres(plan) {
        return;
    }
    let options_postgres = &options.postgres;
    let data = BTreeMap::from([
        ("postgresql.conf".to_owned(), files::configuration(options_postgres)),
        ("pg_hba.conf".to_owned(), files::access(plan)),
        ("init.sh".to_owned(), files::init()),
        ("init.sql".to_owned(), sql::init(plan, options_postgres.sample_tables)),
        ("start.sh".to_owned(), files::start()),
        ("ready.sh".to_owned(), files::ready()),
    ]);
    let mut objects = Objects::default();
    let config_digest = digest(&serde_json::to_vec(&data).unwrap_or_default());
    objects.add(&ConfigMap {
        metadata: metadata(POSTGRES, server_labels(POSTGRES, "server")),
        data: Some(data),
        ..ConfigMap::default()
    });
    objects.add(&service());
    objects.add(&stateful_set(plan, options_postgres, &config_digest));
    objects.put("task4-postgresql-statefulset", options.format, tree);
}

fn service() -> Service {
    Service {
        metadata: metadata(POSTGRES, server_labels(POSTGRES, "server")),
        spec: Some(ServiceSpec {
            // The pod's own address: a connection that lasts for weeks needs no balancing.
            cluster_ip: Some("None".to_owned()),
            selector: Some(labels([("app", POSTGRES)])),
            ports: Some(vec![ServicePort {
                name: Some(PORT.to_owned()),
                port: 5432,
                target_port: Some(IntOrString::String(PORT.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn stateful_set(plan: &Plan, options: &PostgresOptions, config_digest: &str) -> StatefulSet {
    let pod = PodSpec {
        automount_service_account_token: Some(false),
        init_containers: Some(vec![container(options, "init", "init.sh")]),
        containers: vec![server(options)],
        enable_service_links: Some(false),
        security_context: Some(pod_security(options.uid)),
        termination_grace_period_seconds: Some(120),
        volumes: Some(volumes(plan)),
        ..PodSpec::default()
    };
    StatefulSet {
        metadata: metadata(POSTGRES, server_labels(POSTGRES, "server")),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            selector: app(POSTGRES),
            service_name: Some(POSTGRES.to_owned()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    annotations: Some(labels([("datapipe/config-sha256", config_digest)])),
                    labels: Some(server_labels(POSTGRES, "server")),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            volume_claim_templates: Some(vec![claim(options)]),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

/// Server and init differ in what they run.
fn container(options: &PostgresOptions, name: &str, program: &str) -> Container {
    let path = format!("{CONFIG_FOLDER}/{program}");
    Container {
        name: name.to_owned(),
        image: Some(options.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(words(["sh", &path])),
        env: Some(vec![EnvVar {
            name: "PGDATA".to_owned(),
            value: Some(format!("{VOLUME_FOLDER}/pgdata")),
            value_from: None,
        }]),
        resources: Some(resources(512, 250, 1000)),
        security_context: Some(container_security()),
        volume_mounts: Some(mounts()),
        ..Container::default()
    }
}

fn server(options: &PostgresOptions) -> Container {
    let probe = || Probe {
        exec: Some(ExecAction { command: Some(words(["sh", &format!("{CONFIG_FOLDER}/ready.sh")])) }),
        ..Probe::default()
    };
    Container {
        ports: Some(vec![ContainerPort {
            container_port: 5432,
            name: Some(PORT.to_owned()),
            ..ContainerPort::default()
        }]),
        startup_probe: Some(paced(probe(), START)),
        readiness_probe: Some(paced(probe(), READY)),
        liveness_probe: Some(paced(probe(), ALIVE)),
        ..container(options, POSTGRES, "start.sh")
    }
}

fn mounts() -> Vec<VolumeMount> {
    vec![
        mount("data", VOLUME_FOLDER),
        read_only("config", CONFIG_FOLDER),
        read_only("secrets", SECRETS_FOLDER),
        mount("socket", SOCKET_FOLDER),
        mount("tmp", "/tmp"),
        mount("shm", "/dev/shm"),
    ]
}

fn volumes(plan: &Plan) -> Vec<Volume> {
    let config = Volume {
        name: "config".to_owned(),
        config_map: Some(ConfigMapVolumeSource { name: POSTGRES.to_owned(), ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    };
    // The superuser's password stays here; workers are not given it.
    let role_key = plan.postgres.password.as_ref().map(secret_key).unwrap_or_default();
    let file = |secret: &str, key: &str, path: &str| VolumeProjection {
        secret: Some(SecretProjection {
            name: secret.to_owned(),
            items: Some(vec![KeyToPath { key: key.to_owned(), path: path.to_owned(), mode: None }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let secrets = Volume {
        name: "secrets".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o440),
            sources: Some(vec![file(POSTGRES, SUPERUSER_KEY, "superuser"), file(CREDENTIALS, role_key, "role")]),
        }),
        ..Volume::default()
    };
    let shm = Volume {
        name: "shm".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(quantity(128 << 20)),
        }),
        ..Volume::default()
    };
    vec![config, secrets, empty_dir("socket", None), empty_dir("tmp", None), shm]
}

fn claim(options: &PostgresOptions) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta { name: Some("data".to_owned()), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: options.storage_class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), quantity(options.volume_bytes))])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
