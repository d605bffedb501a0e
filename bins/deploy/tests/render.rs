//! The program itself: files, exit codes and words.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn deploy(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_datapipe-deploy"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn tree(folder: &Path) -> std::path::PathBuf {
    folder.join("1-data-ingestion-pipeline")
}

#[test]
fn a_trial_needs_no_settings_and_a_second_rendering_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["render", "--with", "kafka,s3", "--worker", "hybrid", "--worker", "order-items=native"];
    let (code, stdout, stderr) = deploy(folder.path(), &arguments, &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.ends_with("./1-data-ingestion-pipeline: 20 written, 0 unchanged, 0 removed\n"), "{stdout}");
    let text = |name: &str| fs::read_to_string(tree(folder.path()).join(name)).unwrap();
    assert!(text("kafka-connect-users-deployment.yaml").contains("app.kubernetes.io/name: hybrid"));
    assert!(text("kafka-connect-order-items-deployment.yaml").contains("app.kubernetes.io/name: native"));
    let script = text("deploy-multi-instance.sh");
    let call = "exec \"$found\" apply --worker hybrid --worker order_items=native --with kafka,s3 \"$@\"\n";
    assert!(script.ends_with(call), "{script}");
    let mode = fs::metadata(tree(folder.path()).join("deploy-multi-instance.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);

    let (code, stdout, _) = deploy(folder.path(), &arguments, &[]);
    assert_eq!((code, stdout.as_str()), (0, "./1-data-ingestion-pipeline: 0 written, 20 unchanged, 0 removed\n"));

    // Less is deployed now: what was only the trial's goes.
    let own = ["render", "--set", "kafka.bootstrap=k.example.org:9092", "--set", "s3.bucket=lake"];
    let (code, stdout, stderr) = deploy(folder.path(), &own, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("removed: trial-kafka.yaml\nremoved: trial-s3.yaml\n"), "{stdout}");
}

#[test]
fn other_people_s_files_are_left_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(tree(folder.path())).unwrap();
    let theirs = tree(folder.path()).join("kind-config-multi-instance.yaml");
    fs::write(&theirs, "kind: Cluster\n").unwrap();
    let arguments = ["render", "--with", "kafka,s3"];
    let (code, stdout, stderr) = deploy(folder.path(), &arguments, &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("kind-config-multi-instance.yaml; nothing was written; move them away"), "{stderr}");
    assert_eq!(fs::read_dir(tree(folder.path())).unwrap().count(), 1);
    let (code, _, stderr) = deploy(folder.path(), &["render", "--with", "kafka,s3", "--force"], &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read_to_string(&theirs).unwrap().contains("hostPort: 8083"));
}

#[test]
fn settings_come_from_file_environment_and_flags_as_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("datapipe.toml"),
        "[deploy]\nwith = [\"kafka\", \"s3\"]\n[worker]\nmemory = \"300MiB\"\n",
    )
    .unwrap();
    let memory = |arguments: &[&str], environment: &[(&str, &str)]| {
        let (code, _, stderr) = deploy(folder.path(), &[&["render", "--force"], arguments].concat(), environment);
        assert_eq!(code, 0, "{stderr}");
        let text = fs::read_to_string(tree(folder.path()).join("kafka-connect-users-deployment.yaml")).unwrap();
        text.lines().find_map(|line| line.trim().strip_prefix("memory: ")).unwrap().to_owned()
    };
    assert_eq!(memory(&[], &[]), "300Mi");
    assert_eq!(memory(&[], &[("DATAPIPE_WORKER__MEMORY", "310MiB")]), "310Mi");
    assert_eq!(memory(&["--set", "worker.memory=320MiB"], &[("DATAPIPE_WORKER__MEMORY", "310MiB")]), "320Mi");
}

#[test]
fn manifests_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = deploy(folder.path(), &["render", "--with", "kafka,s3", "--format", "json"], &[]);
    assert_eq!(code, 0, "{stderr}");
    let text = fs::read_to_string(tree(folder.path()).join("kafka-connect-users-deployment.json")).unwrap();
    assert!(text.starts_with("{\n  \"apiVersion\": \"v1\",\n  \"items\": ["), "{text}");
}

/// A folder that cannot be written is no defect.
#[test]
fn a_file_in_the_place_of_the_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("out"), "").unwrap();
    let (code, _, stderr) = deploy(folder.path(), &["render", "--with", "kafka,s3", "--out", "out"], &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("out/1-data-ingestion-pipeline"), "{stderr}");
}
