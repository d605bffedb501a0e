//! The configuration of a local cluster (kind): the workers' ports on this machine's loopback.

use datapipe_core::plan::Plan;
use serde::Serialize;

use crate::checks::node_port;
use crate::tree::Tree;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    kind: &'static str,
    api_version: &'static str,
    name: &'static str,
    nodes: [Node; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    role: &'static str,
    extra_port_mappings: Vec<Mapping>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    container_port: u16,
    host_port: u16,
    listen_address: &'static str,
    protocol: &'static str,
}

pub(crate) fn render(plan: &Plan, tree: &mut Tree) {
    let mut ports: Vec<u16> = plan.tables.iter().map(|pipeline| pipeline.port).collect();
    ports.sort_unstable();
    let mapping = |port| Mapping {
        container_port: node_port(port),
        host_port: port,
        listen_address: "127.0.0.1",
        protocol: "TCP",
    };
    let cluster = Cluster {
        kind: "Cluster",
        api_version: "kind.x-k8s.io/v1alpha4",
        name: "datapipe",
        nodes: [Node { role: "control-plane", extra_port_mappings: ports.into_iter().map(mapping).collect() }],
    };
    let text = serde_yaml_ng::to_string(&cluster).unwrap_or_default();
    let head = "# kind create cluster --config kind-config-multi-instance.yaml\n\
                # Each worker's NodePort appears on this machine at the port of its table.\n";
    tree.put("kind-config-multi-instance.yaml", format!("{head}{text}"));
}
