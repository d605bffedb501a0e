//! The properties of a JVM worker, from the plan. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use datapipe_core::plan::{PipelinePlan, Plan, Problem, Problems};
use datapipe_core::secret::SecretRef;
use datapipe_core::table::WorkerKind;

/// What is the same for every table. Exactly-once is on, because only then offsets are read committed: a table may be
/// moved to another kind of worker and back.
const FIXED: &[(&str, &str)] = &[
    ("exactly.once.source.support", "enabled"),
    ("plugin.discovery", "service_load"),
    ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("key.converter.schemas.enable", "false"),
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter.schemas.enable", "false"),
    ("offset.storage.partitions", "1"),
    ("status.storage.partitions", "1"),
    // A sink keeps what it has read since the last flush on the heap.
    ("offset.flush.interval.ms", "1000"),
    // One worker is all of its group: nobody is worth waiting for, and a killed one is to be replaced soon.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1500"),
    ("scheduled.rebalance.max.delay.ms", "0"),
    ("producer.compression.type", "lz4"),
    ("producer.linger.ms", "5"),
    // 32 and 50 MiB without these: more than such a heap has.
    ("producer.buffer.memory", "8388608"),
    ("consumer.fetch.max.bytes", "4194304"),
    ("consumer.max.partition.fetch.bytes", "1048576"),
    // Nothing in a connector configuration may load a class for logging in.
    ("connector.client.config.override.policy", "Allowlist"),
    ("connector.client.config.override.allowlist", "auto.offset.reset,isolation.level,max.poll.records"),
];

/// The clients of a worker: its own, and those that it makes for connectors.
const CLIENTS: [&str; 4] = ["", "producer.", "consumer.", "admin."];

/// The properties of a table's JVM worker, in the order of the file, or what of `kafka.properties` has no counterpart
/// there. `plugin_path` is the folder of its plugins, as the worker will see it.
pub fn worker_properties(
    plan: &Plan,
    pipeline: &PipelinePlan,
    plugin_path: &str,
) -> Result<Vec<(String, String)>, Problems> {
    let names = &pipeline.names;
    let replicas = plan.kafka.replication_factor.to_string();
    let (host, port) = listener(plan, pipeline);
    let own = [
        ("bootstrap.servers", plan.kafka.bootstrap.join(",")),
        ("group.id", names.group.clone()),
        ("config.storage.topic", names.configs_topic.clone()),
        ("offset.storage.topic", names.offsets_topic.clone()),
        ("status.storage.topic", names.status_topic.clone()),
        ("config.storage.replication.factor", replicas.clone()),
        ("offset.storage.replication.factor", replicas.clone()),
        ("status.storage.replication.factor", replicas),
        ("listeners", format!("http://{host}:{port}")),
        ("plugin.path", plugin_path.to_owned()),
    ];
    let mut properties: Vec<(String, String)> = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    properties.extend(FIXED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    properties.extend(providers(plan));
    let security = security(plan)?;
    for client in CLIENTS {
        properties.extend(security.iter().map(|(key, value)| (format!("{client}{key}"), value.clone())));
    }
    Ok(properties)
}

/// The same as the text of `connect-distributed.properties`.
pub fn properties_file(properties: &[(String, String)]) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        // In a properties file a backslash escapes.
        let _ = writeln!(text, "{key}={}", value.replace('\\', "\\\\").replace('\n', "\\n"));
    }
    text
}

/// Flags for a JVM worker within 250 MiB; docs/hybrid.md has figures. glibc's arenas are to be kept down beside them, by
/// `MALLOC_ARENA_MAX=2` in the environment.
pub const JVM_FLAGS: [&str; 10] = [
    "-Xms24m",
    "-Xmx72m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=24m",
    "-XX:MaxMetaspaceSize=96m",
    "-XX:MaxDirectMemorySize=16m",
    "-Xss256k",
    "-XX:+ExitOnOutOfMemoryError",
    // A line for each collection, to standard output: all that a JVM tells of its heap without an agent.
    "-Xlog:gc",
];

/// A hybrid's JVM worker answers where its native part asks it; a worker alone on the table's port.
fn listener(plan: &Plan, pipeline: &PipelinePlan) -> (String, String) {
    let url = pipeline.worker.jvm_url(pipeline.port);
    match url.strip_prefix("http://").and_then(|place| place.trim_end_matches('/').rsplit_once(':')) {
        Some((host, port)) if pipeline.worker.kind == WorkerKind::Hybrid => (host.to_owned(), port.to_owned()),
        _ => (plan.run.listen.to_string(), pipeline.port.to_string()),
    }
}

/// References may lead where those of the settings do, and where the settings allow. A provider that may lead nowhere is
/// left out: without a list it would lead everywhere.
fn providers(plan: &Plan) -> Vec<(String, String)> {
    let allowed = &plan.run.config_providers;
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<BTreeSet<_>>();
    let (mut files, mut folders) = (paths(&allowed.file_paths), paths(&allowed.dir_paths));
    let mut names: BTreeSet<_> = allowed.env_pattern.iter().map(|pattern| format!("(?:{pattern})")).collect();
    let kafka = plan.kafka.properties.values().filter_map(|value| value.parse::<SecretRef>().ok());
    for reference in allowed.named.iter().cloned().chain(kafka) {
        match reference {
            SecretRef::Env(name) => names.insert(name),
            SecretRef::File { path, .. } => files.insert(path),
            SecretRef::Dir { path, .. } => folders.insert(path),
            SecretRef::Profile { .. } => false,
        };
    }
    let lists = [
        ("env", "EnvVarConfigProvider", "allowlist.pattern", names, "|"),
        ("file", "FileConfigProvider", "allowed.paths", files, ","),
        ("dir", "DirectoryConfigProvider", "allowed.paths", folders, ","),
    ];
    let (mut used, mut properties) = (Vec::new(), Vec::new());
    for (provider, class, list, entries, between) in
        lists.into_iter().filter(|(_, _, _, entries, _)| !entries.is_empty())
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let class = format!("org.apache.kafka.common.config.provider.{class}");
        properties.push((format!("config.providers.{provider}.class"), class));
        properties.push((format!("config.providers.{provider}.param.{list}"), entries.join(between)));
        used.push(provider);
    }
    if !used.is_empty() {
        properties.insert(0, ("config.providers".to_owned(), used.join(",")));
    }
    properties
}

/// `kafka.properties` has librdkafka's names; what a Java client calls otherwise is translated.
fn security(plan: &Plan) -> Result<Vec<(String, String)>, Problems> {
    let given = &plan.kafka.properties;
    let (mut properties, mut problems) = (Vec::new(), Vec::new());
    for (key, value) in given {
        let name = match key.as_str() {
            "security.protocol" | "ssl.endpoint.identification.algorithm" | "client.dns.lookup" => key.as_str(),
            "sasl.mechanism" | "sasl.mechanisms" => "sasl.mechanism",
            "ssl.ca.location" => {
                properties.push(("ssl.truststore.type".to_owned(), "PEM".to_owned()));
                "ssl.truststore.location"
            }
            // Together they are one property.
            "sasl.username" | "sasl.password" => continue,
            _ => {
                let what = "has no counterpart known for a JVM worker";
                let fix = "leave it out, or set worker.kind to \"native\"";
                problems.push(Problem::new(format!("kafka.properties.{key}"), what, fix));
                continue;
            }
        };
        let value = if key == "security.protocol" { value.to_uppercase() } else { value.clone() };
        properties.push((name.to_owned(), value));
    }
    if let (Some(user), Some(password)) = (given.get("sasl.username"), given.get("sasl.password")) {
        let mechanism = given.get("sasl.mechanism").or_else(|| given.get("sasl.mechanisms"));
        let module = match mechanism.map(String::as_str) {
            Some(mechanism) if mechanism.starts_with("SCRAM-") => "scram.ScramLoginModule",
            _ => "plain.PlainLoginModule",
        };
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let (user, password) = (quoted(user), quoted(password));
        let login =
            format!("org.apache.kafka.common.security.{module} required username=\"{user}\" password=\"{password}\";");
        properties.push(("sasl.jaas.config".to_owned(), login));
    }
    if problems.is_empty() { Ok(properties) } else { Err(Problems(problems)) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datapipe_core::catalog::Catalog;
    use datapipe_core::table::{Table, TablePipeline};
    use serde_json::{Value, json};

    use super::*;

    struct Users;

    impl TablePipeline for Users {
        fn table(&self) -> Table {
            Table::new("users", 8083)
        }
    }

    fn plan(kind: &str, kafka: &Value, run: &Value) -> Plan {
        let settings = json!({
            "postgres": { "url": "postgres://cdc@db/shop", "password": "${env:PGPASSWORD}" },
            "kafka": { "bootstrap": "kafka:9092", "properties": kafka },
            "s3": { "bucket": "lake" },
            "worker": { "kind": kind },
            "run": run,
        });
        let catalog = Catalog::of([Arc::new(Users) as Arc<dyn TablePipeline>]).unwrap();
        Plan::new(&catalog, &serde_json::from_value(settings).unwrap()).unwrap()
    }

    fn lines(plan: &Plan) -> Vec<String> {
        let properties = worker_properties(plan, &plan.tables[0], "/opt/plugins").unwrap();
        properties_file(&properties).lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_whole_file() {
        insta::assert_snapshot!(lines(&plan("kafka-connect", &json!({}), &json!({ "listen": "0.0.0.0" }))).join("\n"));
    }

    #[test]
    fn a_jvm_beside_the_native_part_listens_on_loopback_whatever_that_one_does() {
        let hybrid = lines(&plan("hybrid", &json!({}), &json!({ "listen": "0.0.0.0" })));
        assert!(hybrid.contains(&"listeners=http://127.0.0.1:18083".to_owned()), "{hybrid:?}");
    }

    #[test]
    fn references_lead_where_the_settings_allow_and_nowhere_else() {
        let kafka = json!({ "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "a\"b",
                            "sasl.password": "${dir:/run/kafka:password}", "security.protocol": "sasl_ssl" });
        let run = json!({ "config_providers": { "env": { "allowlist_pattern": "PG.*" } } });
        let lines = lines(&plan("kafka-connect", &kafka, &run));
        let login = "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
                     username=\"a\\\\\"b\" password=\"${dir:/run/kafka:password}\";";
        for expected in [
            "config.providers=env,dir",
            "config.providers.env.param.allowlist.pattern=(?:PG.*)|AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY|PGPASSWORD",
            "config.providers.dir.param.allowed.paths=/run/kafka",
            "producer.security.protocol=SASL_SSL",
            login,
            &format!("admin.{login}"),
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} is missing in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("config.providers.file")), "{lines:#?}");
    }

    #[test]
    fn what_a_jvm_calls_otherwise_and_is_not_known_is_refused() {
        let plan = plan("kafka-connect", &json!({ "socket.keepalive.enable": "true" }), &json!({}));
        let refused = worker_properties(&plan, &plan.tables[0], "").unwrap_err().to_string();
        assert!(refused.contains("kafka.properties.socket.keepalive.enable: has no counterpart"), "{refused}");
    }
}
