use datapipe_core::plan::PipelinePlan;
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::settings::Role;

use crate::finding::Findings;
use crate::seen::WorkerSeen;

/// The first version of Debezium that was not seen to lose rows at a restart.
const DEBEZIUM_SAFE: (u32, u32) = (3, 7);
const DEBEZIUM: &str = "io.debezium.connector.postgresql.PostgresConnector";

/// The plugins, and whether the source sends exactly once.
pub(super) fn judge(pipeline: &PipelinePlan, worker: &WorkerSeen, found: &mut Findings<'_>) {
    let configs: Vec<&ConfigMap> = pipeline
        .connectors
        .iter()
        .map(|planned| {
            let live = worker.connectors.get(&planned.name).and_then(|live| live.info.as_ref());
            live.map_or(&planned.config, |info| &info.config)
        })
        .collect();
    let classes: Vec<&str> =
        configs.iter().filter_map(|config| config.get("connector.class").map(String::as_str)).collect();
    let has = |class: &str| worker.plugins.iter().find(|plugin| plugin.class == class);
    let missing: Vec<&str> = classes.iter().copied().filter(|class| has(class).is_none()).collect();
    let version =
        |class: &str| has(class).and_then(|plugin| plugin.version.as_deref()).unwrap_or("of no known version");
    let listed: Vec<String> = classes.iter().map(|class| format!("{} {}", short(class), version(class))).collect();
    let unsafe_version = classes.contains(&DEBEZIUM) && release(version(DEBEZIUM)).is_some_and(|it| it < DEBEZIUM_SAFE);
    if worker.plugins.is_empty() {
        found.skip("DP0204", "the worker does not tell its plugins");
    } else if let Some(first) = missing.first() {
        let next = format!("put it into the worker's plugin path; curl {}/connector-plugins lists them", worker.url);
        found.fail("DP0204", format!("there is no plugin {first}"), next);
    } else if unsafe_version {
        let words = format!("{}: may lose rows at a restart without a word, exactly-once or not", listed.join(", "));
        found.warn("DP0204", words, "put Debezium 3.7 or later into the worker's plugin path, and restart it");
    } else {
        found.ok("DP0204", listed.join(", "));
    }

    let Some(source) = pipeline.connector(Role::Source) else {
        return found.skip("DP0205", "the table has no source connector");
    };
    let live = worker.connectors.get(&source.name).and_then(|live| live.info.as_ref());
    let required = live.map(|info| info.config.get("exactly.once.support").map(String::as_str) == Some("required"));
    match required {
        _ if !pipeline.worker.kind.runs_in_jvm(Role::Source) => {
            found.ok("DP0205", "rows and progress are one Kafka transaction");
        }
        None => found.skip("DP0205", "the source is not there"),
        Some(true) => found.ok("DP0205", "exactly.once.support is required"),
        Some(false) if unsafe_version => found.ok("DP0205", "at least once, as this version is not safe for more"),
        Some(false) => {
            let next =
                "exactly.once.source.support=enabled for the worker, exactly.once.support=required for the source";
            found.warn("DP0205", "at least once: a crash sends rows twice", next);
        }
    }
}

fn short(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// The first two numbers of a version, as of `3.7.0.Final`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
