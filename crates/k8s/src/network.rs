//! The namespace and who may talk to whom in it: nobody, and then exactly the edges that are needed.

use std::net::IpAddr;

use datapipe_core::plan::{PipelinePlan, Plan, host_and_port};
use datapipe_core::settings::Role;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::checks::{own_postgres, s3_address};
use crate::defaults::{KAFKA, S3};
use crate::manifest::Objects;
use crate::options::RenderOptions;
use crate::parts::{Labels, app, labels, metadata, server_labels, worker_labels};
use crate::tree::Tree;
use crate::{NAMESPACE, POSTGRES};

/// Pods that may ask workers and servers: a checking job, for example.
pub(crate) const TOOL: &str = "tool";

pub(crate) fn render(plan: &Plan, options: &RenderOptions, tree: &mut Tree) {
    let mut objects = Objects::default();
    objects.add(&namespace());
    objects.add(&policy("default-deny", LabelSelector::default(), common(), Some(Vec::new()), Some(Vec::new())));
    objects.add(&policy("allow-dns", LabelSelector::default(), common(), None, Some(vec![dns()])));
    for pipeline in &plan.tables {
        objects.add(&worker(plan, pipeline, options));
    }
    let mut servers = Vec::new();
    if own_postgres(plan) {
        servers.push((POSTGRES, 5432));
    }
    servers.extend(options.with_kafka.then_some(KAFKA));
    servers.extend(options.with_s3.then_some(S3));
    for (name, port) in servers {
        let from = vec![component("worker"), component(TOOL)];
        let rule = NetworkPolicyIngressRule { from: Some(from), ports: Some(vec![tcp(port)]) };
        objects.add(&policy(name, app(name), server_labels(name, "server"), Some(vec![rule]), None));
    }
    let to_workers = plan.tables.iter().map(|pipeline| egress(vec![peer(app(&pipeline.names.worker))], pipeline.port));
    let edges = to_workers.chain(to_servers(plan, options, true, true)).chain(to_plugins(options)).collect();
    let tools = LabelSelector { match_labels: Some(labels([("component", TOOL)])), ..LabelSelector::default() };
    objects.add(&policy(TOOL, tools, common(), None, Some(edges)));
    objects.put("03-network-policies-multi-instance", options.format, tree);
}

/// Pods that ask for more than Pod Security's strictest level allows are refused.
fn namespace() -> Namespace {
    let mut all = common();
    for mode in ["enforce", "audit", "warn"] {
        all.insert(format!("pod-security.kubernetes.io/{mode}"), "restricted".to_owned());
    }
    Namespace {
        metadata: ObjectMeta { name: Some(NAMESPACE.to_owned()), labels: Some(all), ..ObjectMeta::default() },
        ..Namespace::default()
    }
}

fn common() -> Labels {
    labels([("app.kubernetes.io/part-of", "datapipe"), ("app.kubernetes.io/managed-by", "datapipe-deploy")])
}

/// A direction that is none is left to other policies.
fn policy(
    name: &str,
    pods: LabelSelector,
    labels: Labels,
    ingress: Option<Vec<NetworkPolicyIngressRule>>,
    egress: Option<Vec<NetworkPolicyEgressRule>>,
) -> NetworkPolicy {
    let types = [("Ingress", ingress.is_some()), ("Egress", egress.is_some())];
    let types = types.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()).collect();
    NetworkPolicy {
        metadata: metadata(name, labels),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods),
            policy_types: Some(types),
            ingress: ingress.filter(|rules| !rules.is_empty()),
            egress: egress.filter(|rules| !rules.is_empty()),
        }),
    }
}

/// The user by the NodePort, tools, and whoever reads metrics; no other worker.
fn worker(plan: &Plan, pipeline: &PipelinePlan, options: &RenderOptions) -> NetworkPolicy {
    let mut from: Vec<NetworkPolicyPeer> = options.node_networks.iter().map(|network| block(network)).collect();
    from.push(component(TOOL));
    from.push(namespaced(&options.monitoring_namespace));
    let rule = NetworkPolicyIngressRule { from: Some(from), ports: Some(vec![tcp(pipeline.port)]) };
    let runs = |role| pipeline.connector(role).is_some();
    let mut edges = to_servers(plan, options, runs(Role::Source), runs(Role::Sink));
    edges.extend(to_plugins(options));
    edges.dedup();
    let name = &pipeline.names.worker;
    policy(name, app(name), worker_labels(pipeline), Some(vec![rule]), Some(edges))
}

/// Where plugins are fetched.
fn to_plugins(options: &RenderOptions) -> impl Iterator<Item = NetworkPolicyEgressRule> {
    options.plugins.iter().map(|plugin| {
        let default = if plugin.url.starts_with("https://") { 443 } else { 80 };
        let place = plugin.url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        let (host, port) = host_and_port(place, default);
        egress(peers(host), port)
    })
}

/// The broker, the database for sources, the store for sinks.
fn to_servers(plan: &Plan, options: &RenderOptions, source: bool, sink: bool) -> Vec<NetworkPolicyEgressRule> {
    let mut edges = Vec::new();
    if source && own_postgres(plan) {
        edges.push(egress(vec![peer(app(POSTGRES))], 5432));
    } else if source {
        edges.push(egress(peers(&plan.postgres.host), plan.postgres.port));
    }
    if options.with_kafka {
        edges.push(egress(vec![peer(app(KAFKA.0))], KAFKA.1));
    } else {
        let servers = plan.kafka.bootstrap.iter().map(|server| host_and_port(server, KAFKA.1));
        edges.extend(servers.map(|(host, port)| egress(peers(host), port)));
    }
    if sink && options.with_s3 {
        edges.push(egress(vec![peer(app(S3.0))], S3.1));
    } else if sink {
        let (host, port) = s3_address(&plan.s3);
        edges.push(egress(peers(host), port));
    }
    edges.dedup();
    edges
}

/// Where a host is, as far as its name tells: an address; a Service of this namespace or another; or anywhere outside,
/// because policies know no names.
fn peers(host: &str) -> Vec<NetworkPolicyPeer> {
    if let Ok(address) = host.parse::<IpAddr>() {
        let length = if address.is_ipv4() { 32 } else { 128 };
        return vec![block(&format!("{address}/{length}"))];
    }
    let mut labels = host.split('.');
    let (service, namespace, rest) = (labels.next().unwrap_or_default(), labels.next(), labels.next());
    match (namespace, rest) {
        (None, _) if !service.is_empty() => vec![namespaced(NAMESPACE)],
        (Some(namespace), None | Some("svc")) => vec![namespaced(namespace)],
        _ => vec![block("0.0.0.0/0"), block("::/0")],
    }
}

fn dns() -> NetworkPolicyEgressRule {
    let to = NetworkPolicyPeer {
        pod_selector: Some(LabelSelector {
            match_labels: Some(labels([("k8s-app", "kube-dns")])),
            ..LabelSelector::default()
        }),
        ..namespaced("kube-system")
    };
    let port = |protocol: &str| NetworkPolicyPort { protocol: Some(protocol.to_owned()), ..tcp(53) };
    NetworkPolicyEgressRule { to: Some(vec![to]), ports: Some(vec![port("UDP"), port("TCP")]) }
}

fn egress(to: Vec<NetworkPolicyPeer>, port: u16) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule { to: Some(to), ports: Some(vec![tcp(port)]) }
}

fn tcp(port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(port))),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    }
}

fn peer(pods: LabelSelector) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(pods), ..NetworkPolicyPeer::default() }
}

fn component(name: &str) -> NetworkPolicyPeer {
    peer(LabelSelector { match_labels: Some(labels([("component", name)])), ..LabelSelector::default() })
}

fn namespaced(name: &str) -> NetworkPolicyPeer {
    let selector = LabelSelector {
        match_labels: Some(labels([("kubernetes.io/metadata.name", name)])),
        ..LabelSelector::default()
    };
    NetworkPolicyPeer { namespace_selector: Some(selector), ..NetworkPolicyPeer::default() }
}

fn block(cidr: &str) -> NetworkPolicyPeer {
    let ip_block = Some(IPBlock { cidr: cidr.to_owned(), except: None });
    NetworkPolicyPeer { ip_block, ..NetworkPolicyPeer::default() }
}
