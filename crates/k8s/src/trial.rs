//! Servers for trials: one broker and one S3 server, each with a volume that goes with its pod.

use std::collections::BTreeMap;

use datapipe_core::plan::Plan;
use datapipe_core::secret::SecretRef;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource, PodSpec, PodTemplateSpec, Probe,
    SecretKeySelector, Service, ServicePort, ServiceSpec, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::CREDENTIALS;
use crate::defaults::{KAFKA, S3, secret_key};
use crate::manifest::Objects;
use crate::options::{ManifestFormat, RenderOptions};
use crate::parts::{
    Pace, WORKER_UID, app, container_security, empty_dir, http, labels, metadata, mount, paced, pod_security,
    read_only, resources, server_labels, words,
};
use crate::tree::Tree;

const START: Pace = Pace { period_s: 2, timeout_s: 5, failures: 90 };
const READY: Pace = Pace { period_s: 5, timeout_s: 5, failures: 3 };

/// One node that is broker and controller. What the broker says to itself stays on loopback: through its Service it would
/// need an edge from itself to itself.
const BROKER: &str = "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
controller.listener.names=CONTROLLER
listeners=CLIENTS://:9092,INTERNAL://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093
advertised.listeners=CLIENTS://kafka:9092,INTERNAL://127.0.0.1:9094
listener.security.protocol.map=CLIENTS:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
log.dirs=/var/lib/kafka/log
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
";

pub(crate) fn render(plan: &Plan, options: &RenderOptions, tree: &mut Tree) {
    if options.with_kafka {
        kafka(options, tree);
    }
    if options.with_s3 {
        s3(plan, options, tree);
    }
}

struct Server {
    name: &'static str,
    port: u16,
    container: Container,
    init: Option<Container>,
    volumes: Vec<Volume>,
}

fn kafka(options: &RenderOptions, tree: &mut Tree) {
    let labels = server_labels(KAFKA.0, "server");
    let config = ConfigMap {
        metadata: metadata(KAFKA.0, labels),
        data: Some(BTreeMap::from([("server.properties".to_owned(), BROKER.to_owned())])),
        ..ConfigMap::default()
    };
    let script = "java=\"java -cp /opt/kafka/libs/* -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1\"\n\
                  set -f\n\
                  $java kafka.tools.StorageTool format --ignore-formatted --cluster-id ZGF0YXBpcGUtdHJpYWwtMQ \
                  --config /etc/kafka-trial/server.properties\n\
                  exec $java kafka.Kafka /etc/kafka-trial/server.properties\n";
    let port = Probe {
        tcp_socket: Some(TCPSocketAction { host: None, port: IntOrString::Int(i32::from(KAFKA.1)) }),
        ..Probe::default()
    };
    let container = Container {
        image: Some(options.kafka_image.clone()),
        command: Some(words(["sh", "-euc", script])),
        resources: Some(resources(640, 250, 1000)),
        startup_probe: Some(paced(port.clone(), START)),
        readiness_probe: Some(paced(port, READY)),
        volume_mounts: Some(vec![
            read_only("config", "/etc/kafka-trial"),
            mount("data", "/var/lib/kafka"),
            mount("tmp", "/tmp"),
        ]),
        ..Container::default()
    };
    let config_volume = Volume {
        name: "config".to_owned(),
        config_map: Some(ConfigMapVolumeSource { name: KAFKA.0.to_owned(), ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    };
    let volumes = vec![config_volume, empty_dir("data", None), empty_dir("tmp", None)];
    let server = Server { name: KAFKA.0, port: KAFKA.1, container, init: None, volumes };
    let mut objects = Objects::default();
    objects.add(&config);
    put(server, objects, options.format, tree);
}

fn s3(plan: &Plan, options: &RenderOptions, tree: &mut Tree) {
    let secret = |name: &str, reference: &SecretRef| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: CREDENTIALS.to_owned(),
                key: secret_key(reference).to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let address = format!(":{}", S3.1);
    let mounts = vec![mount("data", "/data"), mount("tmp", "/tmp")];
    let container = Container {
        image: Some(options.s3_image.clone()),
        command: Some(words(["minio", "server", "--address", &address, "/data"])),
        env: Some(vec![
            secret("MINIO_ROOT_USER", &plan.s3.access_key_id),
            secret("MINIO_ROOT_PASSWORD", &plan.s3.secret_access_key),
            EnvVar { name: "HOME".to_owned(), value: Some("/tmp".to_owned()), value_from: None },
        ]),
        resources: Some(resources(512, 100, 500)),
        startup_probe: Some(paced(http("/minio/health/ready", "port"), START)),
        readiness_probe: Some(paced(http("/minio/health/ready", "port"), READY)),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    // A folder of the server's is a bucket. The mount makes it, so that the image needs no shell.
    let bucket = VolumeMount { sub_path: Some(plan.s3.bucket.clone()), ..mount("data", "/bucket") };
    let init = Container {
        name: "make-bucket".to_owned(),
        image: Some(options.s3_image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(words(["minio", "--version"])),
        env: Some(vec![EnvVar { name: "HOME".to_owned(), value: Some("/tmp".to_owned()), value_from: None }]),
        resources: Some(resources(128, 50, 500)),
        security_context: Some(container_security()),
        volume_mounts: Some(vec![bucket, mount("tmp", "/tmp")]),
        ..Container::default()
    };
    let volumes = vec![empty_dir("data", None), empty_dir("tmp", None)];
    let server = Server { name: S3.0, port: S3.1, container, init: Some(init), volumes };
    put(server, Objects::default(), options.format, tree);
}

fn put(server: Server, mut objects: Objects, format: ManifestFormat, tree: &mut Tree) {
    let Server { name, port, container, init, volumes } = server;
    let all = || server_labels(name, "server");
    let container = Container {
        name: name.to_owned(),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        ports: Some(vec![ContainerPort {
            container_port: i32::from(port),
            name: Some("port".to_owned()),
            ..ContainerPort::default()
        }]),
        security_context: Some(container_security()),
        ..container
    };
    let pod = PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        init_containers: init.map(|init| vec![init]),
        security_context: Some(pod_security(WORKER_UID)),
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    objects.add(&Service {
        metadata: metadata(name, all()),
        spec: Some(ServiceSpec {
            selector: Some(labels([("app", name)])),
            ports: Some(vec![ServicePort {
                port: i32::from(port),
                target_port: Some(IntOrString::String("port".to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    });
    objects.add(&Deployment {
        metadata: metadata(name, all()),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: app(name),
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(all()), ..ObjectMeta::default() }),
                spec: Some(pod),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    });
    objects.put(&format!("trial-{name}"), format, tree);
}
