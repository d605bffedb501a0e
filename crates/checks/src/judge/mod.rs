//! Judging: findings from what was seen. Pure.

mod canary;
mod connector;
mod data;
mod heap;
mod kafka;
mod network;
mod plugins;
mod pods;
mod postgres;
mod readers;
mod roots;
mod server;
mod store;
mod usage;
mod worker;

use datapipe_connect::Expanded;
use datapipe_core::plan::PipelinePlan;
use datapipe_core::port::connect::{ConfigMap, State};
use datapipe_core::settings::Role;

pub use self::canary::judge_canary;
pub use self::data::judge_data;
pub use self::pods::{judge_inside, judge_pods};
pub use self::roots::fold;

use crate::finding::{Finding, Findings};
use crate::register::{CHECKS, Category};
use crate::seen::{Looked, Seen};

/// An object is late after so many times its greatest age.
const AGES_MAX: i64 = 3;

/// Judges one table's pipeline at a moment, in milliseconds since 1970-01-01 UTC. What follows from another finding says
/// so; [`fold`] puts it there.
pub fn judge(pipeline: &PipelinePlan, seen: &Seen, now_ms: i64) -> Vec<Finding> {
    let mut findings = Findings::of(&pipeline.names.table);
    let found = &mut findings;
    match &seen.worker {
        Looked::Seen(worker) => {
            worker::judge(pipeline, worker, found);
            connector::judge(pipeline, worker, found);
        }
        Looked::Silent(why) => {
            found.fail("DP0101", why, format!("see whether the worker of {} runs", pipeline.names.table));
            rest(found, Category::Worker, 1, "the worker does not answer");
            rest(found, Category::Connector, 0, "the worker does not answer");
        }
        Looked::Left(why) => {
            rest(found, Category::Worker, 0, why);
            rest(found, Category::Connector, 0, why);
        }
    }
    match &seen.postgres {
        Looked::Seen(server) => {
            postgres::judge(pipeline, server, state(seen, pipeline, Role::Source), found);
            server::judge(pipeline, server, &seen.kafka, found);
        }
        Looked::Silent(why) => {
            found.fail("DP0301", why, "check postgres.* in the settings, and the network between here and the server");
            rest(found, Category::Postgres, 1, "PostgreSQL does not answer");
        }
        Looked::Left(why) => rest(found, Category::Postgres, 0, why),
    }
    match &seen.kafka {
        Looked::Seen(cluster) => kafka::judge(pipeline, cluster, &seen.postgres, now_ms, found),
        Looked::Silent(why) => {
            found.fail("DP0401", why, "check kafka.* in the settings, and the network between here and the brokers");
            rest(found, Category::Kafka, 1, "Kafka does not answer");
        }
        Looked::Left(why) => rest(found, Category::Kafka, 0, why),
    }
    match &seen.store {
        Looked::Seen(objects) => store::judge(pipeline, objects, &seen.worker, &seen.kafka, now_ms, found),
        Looked::Silent(why) => {
            found.fail("DP0501", why, "check s3.* in the settings, and the network between here and the store");
            rest(found, Category::S3, 1, "the store does not answer");
        }
        Looked::Left(why) => rest(found, Category::S3, 0, why),
    }
    network::judge(pipeline, seen, found);
    roots::traced(findings.into_inner(), pipeline, seen)
}

/// Skips a category's checks but for the first few.
fn rest(found: &mut Findings<'_>, category: Category, done: usize, why: &str) {
    for check in CHECKS.iter().filter(|check| check.category == category).skip(done) {
        found.skip(check.code, why);
    }
}

/// A connector's own state, if the worker told it.
fn state(seen: &Seen, pipeline: &PipelinePlan, role: Role) -> Option<State> {
    let Looked::Seen(worker) = &seen.worker else { return None };
    let Expanded { status, .. } = worker.connectors.get(&pipeline.connector(role)?.name)?;
    Some(status.as_ref()?.connector.state)
}

/// The greatest age of a sink's object.
fn age_max_ms(config: Option<&ConfigMap>) -> i64 {
    config.and_then(|config| config.get("datapipe.object.max.age.ms")?.parse().ok()).unwrap_or(60_000)
}

/// A span of time for people.
fn age_words(age_ms: i64) -> String {
    match age_ms / 1000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.into_iter().find(|(_, unit)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(name, unit)| format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let words = [0, 1023, 1024, 1 << 20, (1 << 30) + (1 << 29)].map(size);
        assert_eq!(words, ["0 bytes", "1023 bytes", "1.0 KiB", "1.0 MiB", "1.5 GiB"]);
    }
}
