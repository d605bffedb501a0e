//! Pods that run once, where the workers will be: they ask servers and images, and say what they found.

use std::time::Duration;

use datapipe_core::plan::{PipelinePlan, Plan, Problems};
use datapipe_core::settings::{Role, Settings, Span};
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, ObjectFieldSelector, Pod, PodReadinessGate, PodSpec,
    Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::secrets::Secrets;
use super::{CONFIG, CONFIG_FOLDER, jvm, native};
use crate::NAMESPACE;
use crate::network::TOOL;
use crate::options::RenderOptions;
use crate::parts::{
    WORKER_UID, container_security, empty_dir, labels, mount, pod_security, read_only, resources, server_labels, words,
    worker_labels,
};

/// The `app` label of these pods, and the beginning of their names.
pub(crate) const APP: &str = "datapipe-tool";
/// Kubernetes ends a pod that nobody deletes.
const LIFE_MAX_S: i64 = 120;
/// Where the pod's settings stand: they need no object of their own then, which would have to be deleted too.
const SETTINGS: &str = "datapipe/settings";
const MEMORY_MIB: u32 = 64;
/// A look has a client of each server, and the worker's own test besides.
const LOOK_MEMORY_MIB: u32 = 96;
const CPU_MILLIS: (u32, u32) = (50, 500);
/// A comparison holds 64 MiB of rows at a time, and reads objects side by side.
const PROOF_MEMORY_MIB: u32 = 384;
const PROOF_CPU_MILLIS: (u32, u32) = (250, 2000);
/// What its temporary files may take: the images of all events, uncompressed.
const PROOF_FILES: &str = "20Gi";
const TEMPORARY: &str = "tmp";
/// The label of a pod that looks; its value is the run that made it.
pub(crate) const LOOK: &str = "datapipe/look";
/// A condition that nobody sets: a pod that has the worker's labels and is never ready gets no request that is the worker's.
const NEVER_READY: &str = "datapipe/looks-only";

/// What a pod is to look at, and for whom.
#[derive(Clone, Debug)]
pub struct InsideLook {
    /// The mark of the run that makes the pods, as the value of a label.
    pub run: String,
    /// How long each server may take to answer.
    pub timeout: Duration,
    /// Further flags of `datapipe-run look`.
    pub flags: Vec<String>,
    /// Whether rows are compared, which takes memory, files and time.
    pub compares: bool,
}

/// `datapipe-run` with these words, for all tables of the plan, with the secrets that a worker has.
pub(crate) fn servers(
    plan: &Plan,
    options: &RenderOptions,
    arguments: &[String],
    life_s: i64,
) -> Result<Pod, Problems> {
    let secrets = Secrets::of(plan);
    let file = native::FILE;
    let mut command = vec!["datapipe-run".to_owned()];
    command.extend(arguments.iter().cloned());
    command.extend(words(["--config", &format!("{CONFIG_FOLDER}/{file}")]));
    command.extend(plan.tables.iter().flat_map(|pipeline| words(["--table", &pipeline.names.table])));
    let mut mounts = vec![read_only(CONFIG, CONFIG_FOLDER)];
    mounts.extend(secrets.mounts());
    let container = Container {
        name: "datapipe".to_owned(),
        image: Some(options.worker_image.clone()),
        command: Some(command),
        env: Some(secrets.env()).filter(|env| !env.is_empty()),
        volume_mounts: Some(mounts),
        ..container()
    };
    let mut volumes = secrets.volumes();
    volumes.push(settings_volume(file));
    let mut pod = pod(vec![container], volumes, life_s.max(LIFE_MAX_S));
    pod.metadata.annotations = Some(labels([(SETTINGS, settings(plan)?.as_str())]));
    Ok(pod)
}

/// A look at the servers from where a table's worker is. For network policies it is that worker: it has all of its labels, and not
/// those of a tool.
pub(crate) fn look(
    plan: &Plan,
    options: &RenderOptions,
    pipeline: &PipelinePlan,
    what: &InsideLook,
    life_s: i64,
) -> Result<Pod, Problems> {
    let mut arguments = words(["look", &pipeline.names.table]);
    arguments.extend(words(["--timeout", &Span(what.timeout).to_string()]));
    arguments.extend(what.flags.iter().cloned());
    let mut pod = servers(plan, options, &arguments, life_s)?;
    let mut all = worker_labels(pipeline);
    all.insert(LOOK.to_owned(), what.run.clone());
    pod.metadata.labels = Some(all);
    pod.metadata.generate_name = Some("datapipe-look-".to_owned());
    if let Some(spec) = &mut pod.spec {
        spec.readiness_gates = Some(vec![PodReadinessGate { condition_type: NEVER_READY.to_owned() }]);
        let compares = what.compares;
        let (memory_mib, cpu_millis) =
            if compares { (PROOF_MEMORY_MIB, PROOF_CPU_MILLIS) } else { (LOOK_MEMORY_MIB, CPU_MILLIS) };
        for container in &mut spec.containers {
            container.resources = Some(resources(memory_mib, cpu_millis.0, cpu_millis.1));
            if compares {
                container.volume_mounts.get_or_insert_default().push(mount(TEMPORARY, "/tmp"));
            }
        }
        if compares {
            spec.volumes.get_or_insert_default().push(empty_dir(TEMPORARY, Some(PROOF_FILES.to_owned())));
        }
    }
    Ok(pod)
}

/// One file of settings for all tables.
fn settings(plan: &Plan) -> Result<String, Problems> {
    let mut all = Settings::default();
    for pipeline in &plan.tables {
        let mut one = native::settings(plan, pipeline)?;
        one.tables.append(&mut all.tables);
        all = one;
    }
    Ok(toml::to_string(&native::pruned(&all)).unwrap_or_default())
}

fn settings_volume(file: &str) -> Volume {
    let field = ObjectFieldSelector { field_path: format!("metadata.annotations['{SETTINGS}']"), api_version: None };
    let item =
        DownwardAPIVolumeFile { path: file.to_owned(), field_ref: Some(field), ..DownwardAPIVolumeFile::default() };
    Volume {
        name: CONFIG.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource { items: Some(vec![item]), default_mode: None }),
        ..Volume::default()
    }
}

/// Says of each class whether the JVM workers' plugins have it: `has CLASS` or `lacks CLASS`, and `folder NAME` of what is
/// there. The names of a jar's entries stand in it as they are, so it needs no JVM.
pub(crate) fn plugins(plan: &Plan, options: &RenderOptions, classes: &[&str]) -> Option<Pod> {
    let first = plan.tables.iter().find(|pipeline| has_jvm(pipeline))?;
    let folders = format!("{} {}", jvm::IMAGE_PLUGINS, jvm::FETCHED_PLUGINS);
    let script = format!(
        "command -v grep > /dev/null || {{ echo 'the image has no grep' >&2; exit 3; }}\n\
         for class in {classes}; do\n\
         entry=$(echo \"$class\" | tr . /).class\n\
         found=lacks\n\
         grep -rqsF \"$entry\" {folders} /opt/kafka/libs && found=has\n\
         for root in {folders}; do for file in \"$root/$entry\" \"$root\"/*/\"$entry\"; do\n\
         [ -e \"$file\" ] && found=has\n\
         done; done\n\
         echo \"$found $class\"\n\
         done\n\
         for folder in {images}/* {fetched}/*; do [ -e \"$folder\" ] && echo \"folder ${{folder##*/}}\"; done\n\
         exit 0\n",
        classes = classes.join(" "),
        images = jvm::IMAGE_PLUGINS,
        fetched = jvm::FETCHED_PLUGINS,
    );
    let mut looks = Container {
        name: "plugins".to_owned(),
        image: Some(options.connect_image.clone()),
        command: Some(words(["sh", "-c", &script])),
        ..container()
    };
    if options.plugins.is_empty() {
        return Some(pod(vec![looks], Vec::new(), LIFE_MAX_S));
    }
    looks.volume_mounts = Some(vec![read_only(jvm::PLUGINS, jvm::FETCHED_PLUGINS)]);
    let mut pod = pod(vec![looks], jvm::fetch_volumes(), LIFE_MAX_S);
    if let Some(spec) = &mut pod.spec {
        spec.init_containers = Some(vec![jvm::fetch(first, options)]);
        // A network policy takes a moment until it holds for a new pod.
        spec.restart_policy = Some("OnFailure".to_owned());
    }
    Some(pod)
}

fn has_jvm(pipeline: &PipelinePlan) -> bool {
    let runs = |role| pipeline.connector(role).is_some() && pipeline.worker.kind.runs_in_jvm(role);
    runs(Role::Source) || runs(Role::Sink)
}

fn container() -> Container {
    Container {
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(resources(MEMORY_MIB, CPU_MILLIS.0, CPU_MILLIS.1)),
        security_context: Some(container_security()),
        ..Container::default()
    }
}

fn pod(containers: Vec<Container>, volumes: Vec<Volume>, life_s: i64) -> Pod {
    let metadata = ObjectMeta {
        generate_name: Some(format!("{APP}-")),
        namespace: Some(NAMESPACE.to_owned()),
        labels: Some(server_labels(APP, TOOL)),
        ..ObjectMeta::default()
    };
    let spec = PodSpec {
        active_deadline_seconds: Some(life_s),
        automount_service_account_token: Some(false),
        containers,
        enable_service_links: Some(false),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(pod_security(WORKER_UID)),
        termination_grace_period_seconds: Some(1),
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    Pod { metadata, spec: Some(spec), status: None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datapipe_core::catalog::Catalog;
    use datapipe_core::table::{Table, TablePipeline};
    use serde_json::{Value, json};

    use super::*;
    use crate::in_cluster;

    struct Named(&'static str, u16);
    impl TablePipeline for Named {
        fn table(&self) -> Table {
            Table::new(self.0, self.1)
        }
    }

    fn planned(settings: &Settings) -> (Plan, RenderOptions) {
        let tables = [Named("users", 8083), Named("orders", 8085), Named("items", 8086)];
        let catalog = Catalog::of(tables.map(|table| Arc::new(table) as Arc<dyn TablePipeline>)).unwrap();
        (Plan::new(&catalog, settings).unwrap(), RenderOptions::new(&settings.deploy).unwrap())
    }

    fn settings_of(more: &Value) -> Settings {
        let mut settings = json!({ "deploy": { "with": ["kafka", "s3"] } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        in_cluster(serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn the_pod_plans_what_was_planned_here_for_tables_of_every_kind() {
        let settings = settings_of(&json!({
            "tables": { "users": { "worker": { "kind": "hybrid" }, "sink": { "rows": 9 } },
                        "orders": { "worker": { "kind": "native" }, "source": { "snapshot": "no_data" } } },
            "topic": { "prefix": "shop.cdc", "partitions": 3 },
        }));
        let (plan, options) = planned(&settings);
        let pod = servers(&plan, &options, &["preflight".to_owned()], 60).unwrap();
        let text = &pod.metadata.annotations.as_ref().unwrap()[SETTINGS];
        let (there, _) = planned(&toml::from_str::<Settings>(text).unwrap());
        assert_eq!(there.tables, plan.tables, "{text}");
        assert_eq!((&there.postgres, &there.kafka, &there.s3), (&plan.postgres, &plan.kafka, &plan.s3));
        let spec = pod.spec.unwrap();
        assert_eq!(spec.active_deadline_seconds, Some(120));
        let command = spec.containers[0].command.as_ref().unwrap().join(" ");
        let words = "datapipe-run preflight --config /etc/datapipe/config/datapipe.toml --table items --table orders --table users";
        assert_eq!(command, words);
    }

    #[test]
    fn a_look_is_for_policies_what_the_worker_is_and_gets_no_request() {
        let (plan, options) = planned(&settings_of(&json!({})));
        let pipeline = plan.tables.iter().find(|pipeline| pipeline.names.table == "users").unwrap();
        let mut what =
            InsideLook { run: "7-1".to_owned(), timeout: Duration::from_secs(10), flags: Vec::new(), compares: false };
        let pod = look(&plan, &options, pipeline, &what, 90).unwrap();
        let mut labels = pod.metadata.labels.clone().unwrap();
        assert_eq!(labels.remove(LOOK).as_deref(), Some("7-1"));
        assert_eq!(labels, worker_labels(pipeline), "all of them, and no tool's");
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!(spec.active_deadline_seconds, Some(120));
        assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
        assert_eq!(spec.readiness_gates.as_ref().unwrap().len(), 1);
        assert!(spec.containers.iter().all(|container| container.ports.is_none()), "the Service's port is named");
        let command = spec.containers[0].command.as_ref().unwrap().join(" ");
        assert!(command.starts_with("datapipe-run look users --timeout 10s --config"), "{command}");
        // Secrets are named, and never there.
        let text = serde_json::to_string(&pod).unwrap();
        let literal = spec.containers[0].env.iter().flatten().find(|variable| variable.value.is_some());
        assert!(literal.is_none() && text.contains("secretName"), "{text}");

        (what.flags, what.compares) = (words(["--data", "--one-of", "10"]), true);
        let spec = look(&plan, &options, pipeline, &what, 14_400).unwrap().spec.unwrap();
        assert_eq!(spec.active_deadline_seconds, Some(14_400));
        let container = &spec.containers[0];
        let command = container.command.as_ref().unwrap().join(" ");
        assert!(command.starts_with("datapipe-run look users --timeout 10s --data --one-of 10 --config"), "{command}");
        let mounted = container.volume_mounts.iter().flatten().find(|mount| mount.mount_path == "/tmp").unwrap();
        let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mounted.name).unwrap();
        assert!(volume.empty_dir.as_ref().unwrap().size_limit.is_some(), "files for all events, and a bound");
    }

    #[test]
    fn plugins_are_looked_for_where_jvm_workers_have_them() {
        let (plan, options) = planned(&settings_of(&json!({})));
        let pod = plugins(&plan, &options, &["a.b.Sink"]).unwrap().spec.unwrap();
        assert!(pod.init_containers.is_none() && pod.volumes.unwrap().is_empty());
        let digest = "ab".repeat(32);
        let fetched = json!({ "with": ["kafka", "s3"],
                              "plugins": [{ "name": "p", "url": "https://plugins.example.org/p.tar.gz", "sha256": digest }] });
        let (plan, options) = planned(&settings_of(&json!({ "deploy": fetched })));
        let pod = plugins(&plan, &options, &["a.b.Sink"]).unwrap().spec.unwrap();
        let volumes: Vec<String> = pod.volumes.unwrap().into_iter().map(|volume| volume.name).collect();
        let init = pod.init_containers.unwrap();
        let mounts = init.iter().chain(&pod.containers).flat_map(|one| one.volume_mounts.clone().unwrap());
        for mount in mounts {
            assert!(volumes.contains(&mount.name), "{} has no volume", mount.name);
        }
        let (plan, options) = planned(&settings_of(&json!({ "worker": { "kind": "native" } })));
        assert!(plugins(&plan, &options, &["a.b.Sink"]).is_none(), "there is no JVM");
    }

    /// The script itself, where this machine has a shell.
    #[test]
    fn a_class_is_found_in_a_jar_and_in_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("plugins");
        std::fs::create_dir_all(folder.join("one")).unwrap();
        std::fs::create_dir_all(folder.join("two/c/d")).unwrap();
        std::fs::write(folder.join("one/one.jar"), b"PK\x03\x04\x00a/b/Source.class\xff\x00").unwrap();
        std::fs::write(folder.join("two/c/d/Sink.class"), b"").unwrap();
        let (plan, options) = planned(&settings_of(&json!({})));
        let pod = plugins(&plan, &options, &["a.b.Source", "c.d.Sink", "a.b.Other", "a.b.Sour"]).unwrap();
        let script = pod.spec.unwrap().containers[0].command.as_ref().unwrap()[2].clone();
        let script = script.replace(jvm::IMAGE_PLUGINS, folder.to_str().unwrap());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "has a.b.Source\nhas c.d.Sink\nlacks a.b.Other\nlacks a.b.Sour\nfolder one\nfolder two\n");
        assert!(output.status.success());
    }
}
