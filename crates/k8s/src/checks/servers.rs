//! The servers that pods reach, and the secrets that they are given.

use std::collections::BTreeMap;

use datapipe_core::plan::{Plan, Problem, S3Plan, host_and_port};
use datapipe_core::secret::SecretRef;
use datapipe_core::settings::{Role, SinkFlavour};
use datapipe_core::table::WorkerKind;

use crate::defaults::{KAFKA, S3, secret_key};
use crate::options::RenderOptions;
use crate::worker::secret_keys;
use crate::{NAMESPACE, POSTGRES};

/// Whether a host is that Service of the namespace.
fn is_service(host: &str, service: &str) -> bool {
    let full = format!("{service}.{NAMESPACE}");
    host == service || host == full || host.starts_with(&format!("{full}.svc"))
}

/// Whether the database server is the one that is deployed.
pub(crate) fn own_postgres(plan: &Plan) -> bool {
    is_service(&plan.postgres.host, POSTGRES)
}

/// Whether the brokers are the trial's.
fn own_kafka(plan: &Plan) -> bool {
    plan.kafka.bootstrap.iter().all(|server| is_service(host_and_port(server, KAFKA.1).0, KAFKA.0))
}

/// Whether the S3 server is the trial's.
fn own_s3(plan: &Plan) -> bool {
    is_service(s3_address(&plan.s3).0, S3.0)
}

/// Host and port of the store; no host for AWS's own.
pub(crate) fn s3_address(s3: &S3Plan) -> (&str, u16) {
    s3.address().unwrap_or(("", 443))
}

pub(super) fn check(plan: &Plan, options: &RenderOptions, problems: &mut Vec<Problem>) {
    loopback(plan, problems);
    trial(plan, options, problems);
    database(plan, problems);
    secrets(plan, problems);
    jvm(plan, options, problems);
}

/// In a pod, loopback is the pod.
fn loopback(plan: &Plan, problems: &mut Vec<Problem>) {
    let is_loopback =
        |host: &str| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let kafka = plan.kafka.bootstrap.iter().map(|server| ("kafka.bootstrap", host_and_port(server, 9092).0));
    let hosts = [("postgres.host", plan.postgres.host.as_str()), ("s3.endpoint", s3_address(&plan.s3).0)];
    for (key, host) in hosts.into_iter().chain(kafka).filter(|(_, host)| is_loopback(host)) {
        let what = format!("{host:?} is the pod itself, seen from a pod");
        let fix = match key {
            "postgres.host" => "name a host that pods reach, or leave it out: a server is deployed".to_owned(),
            "kafka.bootstrap" => {
                "name a host that pods reach, or leave it out and deploy a broker: --with kafka".to_owned()
            }
            _ => "name a host that pods reach, or leave it out and deploy a server: --with s3".to_owned(),
        };
        problems.push(Problem::new(key, what, fix));
    }
}

fn trial(plan: &Plan, options: &RenderOptions, problems: &mut Vec<Problem>) {
    let given = plan.kafka.bootstrap.join(",");
    if options.with_kafka && !own_kafka(plan) {
        let what = format!("names kafka, and kafka.bootstrap ({given}) leads elsewhere");
        problems.push(Problem::new("deploy.with", what, "leave out one of the two"));
    }
    if !options.with_kafka && own_kafka(plan) {
        let what = format!("{given:?} is the trial's broker, and it is not deployed");
        problems.push(Problem::new("kafka.bootstrap", what, "name your own brokers, or deploy one: --with kafka"));
    }
    if options.with_kafka && plan.kafka.replication_factor > 1 {
        let what = format!("is {}, and the trial has one broker", plan.kafka.replication_factor);
        problems.push(Problem::new("kafka.replication_factor", what, "leave it out"));
    }
    if options.with_kafka && !plan.kafka.properties.is_empty() {
        let what = "is set, and the trial's broker asks for no login and no TLS";
        problems.push(Problem::new("kafka.properties", what, "leave it out, or name your own brokers"));
    }
    let endpoint = plan.s3.endpoint.as_deref().unwrap_or("AWS");
    if options.with_s3 && !own_s3(plan) {
        let what = format!("names s3, and s3.endpoint ({endpoint}) leads elsewhere");
        problems.push(Problem::new("deploy.with", what, "leave out one of the two"));
    }
    if !options.with_s3 && own_s3(plan) {
        let what = format!("{endpoint:?} is the trial's server, and it is not deployed");
        problems.push(Problem::new("s3.endpoint", what, "name your own store, or deploy one: --with s3"));
    }
}

fn database(plan: &Plan, problems: &mut Vec<Problem>) {
    let postgres = &plan.postgres;
    if !own_postgres(plan) {
        return;
    }
    if postgres.port != 5432 {
        let what = format!("is {}, and the server that is deployed listens on 5432", postgres.port);
        problems.push(Problem::new("postgres.port", what, "leave it out"));
    }
    if postgres.user == "postgres" {
        let fix = "name another role, as \"cdc\": it is made with the least rights";
        problems.push(Problem::new("postgres.user", "is the superuser", fix));
    }
    if postgres.password.is_none() {
        let fix = "give it by reference, or leave out postgres.url and postgres.host";
        problems.push(Problem::new(
            "postgres.password",
            "is missing, and the server that is deployed asks for one",
            fix,
        ));
    }
}

fn references(plan: &Plan) -> impl Iterator<Item = SecretRef> {
    let kafka = plan.kafka.properties.values().filter_map(|value| value.parse::<SecretRef>().ok());
    plan.run.config_providers.named.iter().cloned().chain(kafka)
}

/// One Secret has all keys, so a name means one thing.
fn secrets(plan: &Plan, problems: &mut Vec<Problem>) {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for reference in references(plan) {
        let place = match &reference {
            SecretRef::Profile { .. } => {
                let fix = "leave it out: the keys are read from the Secret datapipe-credentials";
                problems.push(Problem::new("s3.profile", "is a file of this machine, which pods do not have", fix));
                continue;
            }
            SecretRef::Env(_) => "env".to_owned(),
            SecretRef::File { path, .. } => path.clone(),
            SecretRef::Dir { path, file } => format!("{path}/{file}"),
        };
        let key = secret_key(&reference).to_owned();
        if let Some(other) = places.insert(key.clone(), place.clone()).filter(|other| *other != place) {
            let what = format!("leads to {key:?} in the Secret, and so does a reference to {other}");
            problems.push(Problem::new(reference.to_string(), what, "give one of them another name"));
        }
    }
    let valid = |key: &str| {
        !key.is_empty() && key.len() <= 253 && key.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    for key in secret_keys(plan).into_iter().filter(|key| !valid(key)) {
        let what = format!("{key:?} cannot be a key of a Secret");
        problems.push(Problem::new("settings", what, "use letters, digits, dashes, dots and underscores for it"));
    }
}

fn jvm(plan: &Plan, options: &RenderOptions, problems: &mut Vec<Problem>) {
    for pipeline in &plan.tables {
        let table = &pipeline.names.table;
        if pipeline.worker.kind == WorkerKind::Hybrid {
            let url = pipeline.worker.jvm_url(pipeline.port);
            let (host, port) = host_and_port(url.trim_start_matches("http://").trim_end_matches('/'), 80);
            if host != "127.0.0.1" || port == pipeline.port {
                let what = format!("{url:?} is not where the JVM worker of the same pod can answer");
                let fix = "leave it out, or name another port of 127.0.0.1";
                problems.push(Problem::new(format!("tables.{table}.worker.jvm_url"), what, fix));
            }
        }
        let confluent = pipeline.worker.kind == WorkerKind::KafkaConnect && options.s3_sink == SinkFlavour::Confluent;
        let compression = pipeline.connector(Role::Sink).and_then(|sink| sink.config.get("file.compression.type"));
        if confluent && compression.is_some_and(|name| name != "gzip" && name != "none") {
            let what = "is not written by Confluent's sink as lines of JSON";
            let fix = "set \"gzip\" or \"none\", or another deploy.s3_sink";
            problems.push(Problem::new(format!("tables.{table}.sink.compression"), what, fix));
        }
    }
}
