use std::net::IpAddr;
use std::time::Duration;

use datapipe_core::plan::PipelinePlan;
use datapipe_core::settings::Role;

use crate::edges::{EdgeSeen, EdgeTo, EdgesSeen, Way};
use crate::finding::Findings;
use crate::seen::{Looked, Seen, WorkerSeen};

const POLICIES: &str = "kubectl describe networkpolicy -n data-ingestion";

pub(super) fn judge(pipeline: &PipelinePlan, seen: &Seen, found: &mut Findings<'_>) {
    match &seen.edges {
        Looked::Seen(edges) => servers(pipeline, edges, found),
        Looked::Silent(why) | Looked::Left(why) => {
            let codes = ["DP0901", "DP0902", "DP0903", "DP0904"];
            for code in codes {
                found.skip(code, why);
            }
        }
    }
    rest(&seen.worker, seen.rest.as_ref(), found);
}

fn servers(pipeline: &PipelinePlan, seen: &EdgesSeen, found: &mut Findings<'_>) {
    dns(seen, found);
    let runs = |role| pipeline.connector(role).is_some();
    for (code, to, needed, without) in [
        ("DP0902", EdgeTo::Postgres, runs(Role::Source), "the table has no source connector"),
        ("DP0903", EdgeTo::Kafka, true, ""),
        ("DP0904", EdgeTo::S3, runs(Role::Sink), "the table has no sink connector"),
    ] {
        let ways: Vec<&EdgeSeen> = seen.edges.iter().filter(|edge| edge.to == to).collect();
        if !needed {
            found.skip(code, without);
        } else if ways.is_empty() {
            found.ok(code, "it is reached without a network");
        } else {
            server(code, &ways, seen.inside, found);
        }
    }
}

fn dns(seen: &EdgesSeen, found: &mut Findings<'_>) {
    let named: Vec<&EdgeSeen> = seen.edges.iter().filter(|edge| edge.host.parse::<IpAddr>().is_err()).collect();
    let silent = named.iter().find_map(|edge| match &edge.way {
        Way::NoDns(why) => Some((&edge.host, why)),
        _ => None,
    });
    match silent {
        Some((host, why)) => {
            let next = if seen.inside {
                "kubectl describe networkpolicy -n data-ingestion allow-dns; kubectl get pods -n kube-system -l k8s-app=kube-dns"
                    .to_owned()
            } else {
                format!("getent hosts {host}; cat /etc/resolv.conf")
            };
            found.fail("DP0901", format!("{}{host} is not resolved: {why}", place(seen.inside)), next);
        }
        None if named.is_empty() => found.ok("DP0901", "servers are given by their addresses"),
        None => found.ok("DP0901", "the servers' names were asked for, and answered"),
    }
}

fn server(code: &str, ways: &[&EdgeSeen], inside: bool, found: &mut Findings<'_>) {
    // Without policies between, a refusal is the machine's own: the network is well, and the server's check tells the rest.
    let closed = |edge: &&&EdgeSeen| edge.way != Way::Open && (inside || edge.way != Way::Refused);
    let wrong: Vec<&EdgeSeen> = ways.iter().filter(closed).copied().collect();
    if let Some(first) = wrong.first() {
        let words: Vec<String> = wrong.iter().map(|edge| words(edge, inside)).collect();
        let next = next(first, inside);
        return found.fail(code, format!("{}{}", place(inside), words.join("; ")), next);
    }
    let addresses = |refused: bool| {
        let of = ways.iter().filter(|edge| (edge.way == Way::Refused) == refused);
        of.map(|edge| address(edge)).collect::<Vec<_>>().join(", ")
    };
    let (open, refused) = (addresses(false), addresses(true));
    match (open.is_empty(), refused.is_empty()) {
        (_, true) => found.ok(code, format!("{}{open}", place(inside))),
        (true, _) => found.skip(code, format!("{refused} refuses: the network is open, and nothing listens there")),
        _ => found.ok(code, format!("{open}; {refused} refuses: the network is open, and nothing listens there")),
    }
}

fn place(inside: bool) -> &'static str {
    if inside { "from where the worker is: " } else { "" }
}

fn address(edge: &EdgeSeen) -> String {
    let EdgeSeen { host, port, .. } = edge;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn words(edge: &EdgeSeen, inside: bool) -> String {
    let address = address(edge);
    let wall = if inside { "a network policy" } else { "a firewall" };
    match &edge.way {
        Way::Open => format!("{address} is open"),
        Way::NoName(why) => format!("{address}: DNS knows no such name ({why})"),
        Way::NoDns(why) => format!("{address}: DNS does not answer ({why})"),
        Way::Refused => format!("{address} refuses: {wall} rejects it, or nothing listens there"),
        Way::TimedOut(ms) => {
            let span = Duration::from_millis(*ms).as_secs_f32();
            format!("{address} does not answer within {span} s: probably {wall} drops it, or the server hangs")
        }
        Way::Unreachable(why) => format!("{address}: no way leads there ({why})"),
    }
}

fn next(edge: &EdgeSeen, inside: bool) -> String {
    let EdgeSeen { to, host, port, way } = edge;
    if !inside {
        return match way {
            Way::NoName(_) | Way::NoDns(_) => format!("getent hosts {host}"),
            _ => format!("nc -vz {host} {port}"),
        };
    }
    let setting = match to {
        EdgeTo::Postgres => "postgres.host",
        EdgeTo::Kafka => "kafka.bootstrap",
        EdgeTo::S3 | EdgeTo::Worker => "s3.endpoint",
    };
    match (way, service(host)) {
        (Way::NoName(_), Some((name, namespace))) => {
            format!("kubectl get service -n {namespace} {name}; if it has another name, correct {setting}")
        }
        (Way::NoName(_), None) => format!("correct {setting}"),
        (Way::NoDns(_), _) => "see DP0901".to_owned(),
        (_, Some((name, namespace))) => {
            format!(
                "{POLICIES}; datapipe-deploy diff; kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}"
            )
        }
        (_, None) => format!("{POLICIES}; datapipe-deploy diff; then the firewall before {host}"),
    }
}

/// The Service that a name may be of, and its namespace.
fn service(host: &str) -> Option<(&str, &str)> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut labels = host.split('.');
    let (name, namespace, rest) = (labels.next()?, labels.next(), labels.next());
    match (namespace, rest) {
        (None, _) => Some((name, "data-ingestion")),
        (Some(namespace), None | Some("svc")) => Some((name, namespace)),
        _ => None,
    }
}

/// The way from whoever asks to the worker.
fn rest(worker: &Looked<WorkerSeen>, edge: Option<&EdgeSeen>, found: &mut Findings<'_>) {
    const CODE: &str = "DP0905";
    match (worker, edge) {
        (Looked::Seen(_), _) => found.ok(CODE, "it was asked, and has answered"),
        (Looked::Left(why), _) => found.skip(CODE, why),
        (Looked::Silent(_), None) => found.skip(CODE, "the worker does not answer"),
        (Looked::Silent(_), Some(edge)) => match &edge.way {
            Way::Open => found.ok(CODE, format!("{} is open, and nobody answers", address(edge))),
            Way::Refused => {
                found.skip(CODE, format!("{} refuses: the network is open, and nothing listens there", address(edge)));
            }
            _ => found.fail(CODE, words(edge, false), next(edge, false)),
        },
    }
}
