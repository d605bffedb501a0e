//! What an apply sees from inside before it changes anything, and what it makes before the workers.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::bed::{Bed, Deployment, NAMESPACE, text, until};

/// Everything in the namespace but Kubernetes' own, the pods included.
fn everything(bed: &Bed) -> Vec<String> {
    let kinds = "configmaps,services,deployments,statefulsets,networkpolicies,pods,persistentvolumeclaims";
    let list = bed.kubectl(&["get", kinds, "-n", NAMESPACE, "-o", "name"]);
    list.lines().filter(|name| !name.ends_with("kube-root-ca.crt")).map(str::to_owned).collect()
}

fn apply(bed: &Bed, what: Deployment, arguments: &[&str]) -> (Option<i32>, String) {
    let output = bed.deploy("apply", what).args(arguments).output().unwrap();
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    println!("    apply {}: {:?}\n{said}", arguments.join(" "), output.status.code());
    (output.status.code(), said)
}

fn holds(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in\n{said}");
    }
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn a_missing_plugin_is_found_before_anything_is_applied() {
    let bed = Bed::find();
    bed.empty_namespace();
    let (code, said) = apply(&bed, Deployment::Mixed, &["--worker", "users=kafka-connect"]);
    assert_eq!(code, Some(69), "{said}");
    let class = "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector";
    holds(
        &said,
        &[
            "nothing was changed",
            &format!(
                "plugin {class}: is not among the plugins of datapipe-connect:4.3.1-debezium-3.7.0, which holds debezium-postgres"
            ),
            "connector s3-sink-users-connector could not be made",
            "deploy.plugins",
        ],
    );
    assert!(!said.contains("PostgresConnector"), "Debezium is there: {said}");
    assert_eq!(everything(&bed), [""; 0]);
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn servers_are_looked_at_before_anything_is_applied() {
    let bed = Bed::find();
    bed.empty_namespace();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deployment/database.yaml");
    bed.kubectl(&["apply", "--server-side", "-f", manifest.to_str().unwrap()]);
    bed.kubectl(&["wait", "--for=condition=Ready", "pod", "db", "-n", "elsewhere", "--timeout=60s"]);
    let with = |more: &[&str]| {
        let password = "postgres.password=${dir:/etc/datapipe/credentials:postgres-password}";
        let database = ["postgres.host=db.elsewhere", "postgres.database=postgres", password];
        let sets = database.iter().chain(more).flat_map(|set| ["--set".to_owned(), (*set).to_owned()]);
        sets.collect::<Vec<String>>()
    };
    let run = |more: &[&str]| {
        let arguments = with(more);
        apply(&bed, Deployment::Contract, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (code, said) = run(&["postgres.user=cdc"]);
    assert_eq!(code, Some(69), "{said}");
    holds(
        &said,
        &[
            "nothing was changed",
            "not looked at before, as this deployment brings them: Kafka",
            "wal_level is replica",
            "role cdc may not start replication",
            "2 of 2 replication slots are free, 4 are needed",
            "table public.users: role cdc may not read it",
            "CREATE PUBLICATION \"dbz_publication_users\"",
            "table public.orders: it does not exist",
        ],
    );
    assert_eq!(everything(&bed), [""; 0]);

    let (code, said) = run(&["postgres.user=stranger"]);
    assert_eq!(code, Some(69), "{said}");
    holds(&said, &["password authentication failed", "stranger"]);

    // A server that is not there is waited for: time to be broken off.
    let broken_off = |signal: &str| {
        let mut apply = bed.deploy("apply", Deployment::Contract);
        apply.args(with(&["postgres.user=cdc", "postgres.host=nowhere.elsewhere"]));
        let mut child = apply.spawn().unwrap();
        until("a pod that looks", 30, || !everything(&bed).is_empty());
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!(broken_off("-INT"), Some(130));
    assert_eq!(everything(&bed), [""; 0], "what looked is gone");
    assert_eq!(broken_off("-KILL"), None);
    let (code, said) = bed.run("delete", Deployment::Contract);
    assert_eq!(code, Some(2), "{said}");
    holds(&said, &["- Pod datapipe-tool-"]);
    assert_eq!(run(&["postgres.user=stranger"]).0, Some(69));
    assert_eq!(everything(&bed), [""; 0], "the next one has taken away what was left");
    bed.kubectl(&["delete", "namespace", "elsewhere", "--timeout=60s"]);
}

/// What a person does by `kafka-configs.sh`, in the broker's container.
pub(crate) fn set_policy(bed: &Bed, topic: &str, policy: &str) {
    let java = "java -Xmx48m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp '/opt/kafka/libs/*'";
    let line = format!(
        "{java} kafka.admin.ConfigCommand --bootstrap-server 127.0.0.1:9094 --alter --entity-type topics \
         --entity-name {topic} --add-config cleanup.policy={policy}"
    );
    let container = bed.kubectl(&[
        "get",
        "deployment",
        "kafka",
        "-n",
        NAMESPACE,
        "-o",
        "jsonpath={.spec.template.spec.containers[0].name}",
    ]);
    let output = bed.exec((NAMESPACE, "deployment/kafka", &container), &["bash", "-c", &line]);
    assert!(output.status.success(), "{line}: {} {}", text(&output.stdout), text(&output.stderr));
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn topics_are_made_before_the_workers_and_only_once() {
    let bed = Bed::find();
    bed.empty_namespace();
    // Who runs no native worker may lack its image.
    let (code, said) =
        apply(&bed, Deployment::Contract, &["--set", "deploy.worker_image=localhost/datapipe-run:nowhere"]);
    assert_eq!(code, Some(0), "{said}");
    holds(
        &said,
        &[
            "not looked at before, as this deployment brings them: PostgreSQL, Kafka",
            "topics are left to the workers: datapipe: image localhost/datapipe-run:nowhere cannot be had",
            "whether streams read the slots was not looked at",
        ],
    );
    assert!(!said.contains("+ topic"), "{said}");

    bed.empty_namespace();
    bed.pods_beside();
    let (code, said) = apply(&bed, Deployment::Contract, &[]);
    assert_eq!(code, Some(0), "{said}");
    for slug in ["users", "products", "orders", "order-items"] {
        for topic in ["configs", "offsets", "status", "dlq"] {
            holds(&said, &[&format!("+ topic connect-{topic}-{slug}\n")]);
        }
        holds(&said, &[&format!("+ topic cdc.public.{}\n", slug.replace('-', "_"))]);
    }
    let line =
        |mark: &str| said.lines().position(|line| line.contains(mark)).unwrap_or_else(|| panic!("{mark}: {said}"));
    assert!(line("+ topic connect-configs-users") < line("+ Deployment kafka-connect-users"), "before the workers");
    assert!(line("+ Deployment kafka") < line("+ topic connect-configs-users"), "after the servers");
    // A division by zero otherwise.
    bed.tool(&["sql", "SELECT 1 / (count(*) = 4)::int FROM pg_replication_slots WHERE active"]);

    let begun = Instant::now();
    let (code, said) = apply(&bed, Deployment::Contract, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("0 objects and 0 connectors changed") && !said.contains('+'), "{said}");
    println!("    a second apply took {} ms", begun.elapsed().as_millis());
    let begun = Instant::now();
    let (code, said) = apply(&bed, Deployment::Contract, &["--no-look"]);
    assert_eq!((code, said.lines().count()), (Some(0), 1), "{said}");
    println!("    without a look {} ms", begun.elapsed().as_millis());

    // One that somebody has changed is told, and stays as it is until a person mends it.
    set_policy(&bed, "connect-offsets-users", "delete");
    let (code, said) = apply(&bed, Deployment::Contract, &[]);
    assert_eq!(code, Some(69), "{said}");
    holds(
        &said,
        &["topic connect-offsets-users: its cleanup.policy is delete, where compact is needed to lose nothing"],
    );
    set_policy(&bed, "connect-offsets-users", "compact");
    assert_eq!(apply(&bed, Deployment::Contract, &[]).0, Some(0));
    assert!(everything(&bed).iter().all(|name| !name.starts_with("pod/datapipe-tool")));
}
