//! Whether the API server takes what is rendered.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::bed::{Bed, Deployment, NAMESPACE, objects, text};

/// The pod that a Deployment or a `StatefulSet` would make: Pod Security judges pods.
fn pod(object: &Value) -> Option<Value> {
    let template = object["spec"].get("template")?;
    let mut metadata = template["metadata"].clone();
    metadata["name"] = object["metadata"]["name"].clone();
    metadata["namespace"] = json!(NAMESPACE);
    let mut spec = template["spec"].clone();
    // What a StatefulSet's controller adds.
    for claim in object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let name = &claim["metadata"]["name"];
        let volume = json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
        spec["volumes"].as_array_mut().unwrap().push(volume);
    }
    Some(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }))
}

/// Whether the API server would take an object; if not, why.
fn taken(bed: &Bed, folder: &Path, object: &Value) -> Result<(), String> {
    let path = folder.join("one.json");
    fs::write(&path, object.to_string()).unwrap();
    let words = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", path.to_str().unwrap()];
    let output = bed.try_kubectl(&words);
    // A Deployment whose pods Pod Security would refuse is taken with a warning.
    if output.status.success() && output.stderr.is_empty() { Ok(()) } else { Err(text(&output.stderr)) }
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn every_manifest_of_each_kind_of_worker_is_taken_under_pod_security_restricted() {
    let bed = Bed::find();
    bed.empty_namespace();
    let (mut kinds, mut pods) = (0, 0);
    for (what, kind) in [
        (Deployment::Contract, "kafka-connect"),
        (Deployment::Contract, "hybrid"),
        (Deployment::Contract, "native"),
        (Deployment::Mixed, "as the settings say"),
    ] {
        let folder = tempdir().unwrap();
        let mut render = bed.deploy("render", what);
        render.args(["--format", "json", "--out"]).arg(folder.path());
        if matches!(what, Deployment::Contract) {
            render.args(["--worker", kind]);
        }
        if kind != "native" {
            let digest = "ab".repeat(32);
            let plugin = format!(
                "deploy.plugins=[{{name=\"p\",url=\"https://plugins.example.org/p.tar.gz\",sha256=\"{digest}\"}}]"
            );
            render.args(["--set", &plugin]);
        }
        let output = render.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let all = objects(&folder.path().join("1-data-ingestion-pipeline"));
        let namespace = all.iter().find(|object| object["kind"] == "Namespace").expect("a namespace is rendered");
        assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
        let path = folder.path().join("namespace.json");
        fs::write(&path, namespace.to_string()).unwrap();
        bed.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", path.to_str().unwrap()]);
        let made: Vec<Value> = all.iter().filter_map(pod).collect();
        for object in all.iter().chain(&made) {
            let name = format!("{kind}: {} {}", object["kind"], object["metadata"]["name"]);
            assert_eq!(taken(&bed, folder.path(), object), Ok(()), "{name}");
        }
        println!("    {kind}: {} objects and {} pods taken", all.len(), made.len());
        (kinds, pods) = (kinds + 1, pods + made.len());
        // The same judge refuses what is not restricted.
        let mut worse = made.first().unwrap().clone();
        worse["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
        worse["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        let refused = taken(&bed, folder.path(), &worse).unwrap_err();
        assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
    }
    // Four workers, PostgreSQL, Kafka and S3 each time.
    assert_eq!((kinds, pods), (4, 28));
}
