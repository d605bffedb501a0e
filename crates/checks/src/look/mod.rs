//! Asking: every system of a pipeline, side by side, each within the same limit of time.

mod canary;
mod data;
mod edges;
mod kafka;
mod mend;
mod postgres;
mod store;
mod worker;

use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_core::plan::{PipelinePlan, Plan};
use datapipe_core::settings::Role;
use datapipe_core::{Secret, SecretRef};
use datapipe_kafka::KafkaConfig;
use datapipe_postgres::PgConfig;
use datapipe_s3::S3Store;

use crate::edges::EdgeTo;
use crate::register::Category;
use crate::seen::{Looked, Seen};

pub use self::canary::Canary;
pub use self::data::{How, Proof};
pub use self::kafka::config as kafka_config;
pub use self::mend::Asked;
pub use self::worker::{Answer, asked};

/// Where everything is, and how long each answer may take.
pub struct Servers {
    host: String,
    postgres: Result<PgConfig, String>,
    kafka: Result<KafkaConfig, String>,
    store: Result<S3Store, String>,
    limit: Duration,
    left_out: BTreeMap<Category, String>,
}

/// From a reference to a value, or the reason why there is none.
pub type Resolve<'a> = &'a dyn Fn(&SecretRef) -> Result<Secret, String>;

impl Servers {
    /// The plan's servers; workers are asked at `host` and the tables' ports.
    pub fn new(plan: &Plan, host: &str, limit: Duration, resolve: Resolve<'_>) -> Self {
        Self {
            host: host.to_owned(),
            postgres: postgres::config(&plan.postgres, limit, resolve),
            kafka: kafka::config(&plan.kafka, resolve),
            store: store::open(&plan.s3, resolve),
            limit,
            left_out: BTreeMap::new(),
        }
    }

    /// Without looking at these, for the reasons given.
    #[must_use]
    pub fn without(mut self, left_out: BTreeMap<Category, String>) -> Self {
        self.left_out = left_out;
        self
    }

    fn left<T>(&self, category: Category) -> Option<Looked<T>> {
        self.left_out.get(&category).map(|why| Looked::Left(why.clone()))
    }
}

/// Looks at one table's pipeline.
pub async fn look(servers: &Servers, plan: &Plan, pipeline: &PipelinePlan) -> Seen {
    let limit = servers.limit;
    // What Kafka has stored is looked at after the slot: the other way round a slot that moves would seem to be ahead.
    let servers_of_rows = async {
        let postgres = match (servers.left(Category::Postgres), pipeline.connector(Role::Source), &servers.postgres) {
            (Some(left), ..) => left,
            (None, None, _) => Looked::Left("the table has no source connector".to_owned()),
            (None, Some(_), Err(why)) => Looked::Silent(why.clone()),
            (None, Some(_), Ok(config)) => within(limit, postgres::look(config, plan, pipeline)).await,
        };
        let kafka = match (servers.left(Category::Kafka), &servers.kafka) {
            (Some(left), _) => left,
            (None, Err(why)) => Looked::Silent(why.clone()),
            (None, Ok(config)) => within(limit, kafka::look(config, pipeline, limit)).await,
        };
        (postgres, kafka)
    };
    let store = async {
        match (servers.left(Category::S3), pipeline.connector(Role::Sink), &servers.store) {
            (Some(left), ..) => left,
            (None, None, _) => Looked::Left("the table has no sink connector".to_owned()),
            (None, Some(_), Err(why)) => Looked::Silent(why.clone()),
            (None, Some(_), Ok(store)) => within(limit, store::look(store, pipeline)).await,
        }
    };
    let worker = async {
        // Connectors are asked for where the worker is.
        match servers.left(Category::Worker) {
            Some(left) if servers.left_out.contains_key(&Category::Connector) => left,
            _ => within(limit, worker::look(&servers.host, pipeline, limit)).await,
        }
    };
    let edges = async {
        match servers.left(Category::Network) {
            Some(left) => left,
            None => Looked::Seen(servers.edges(plan, pipeline, Duration::ZERO, false).await),
        }
    };
    let (worker, (postgres, kafka), store, edges) = tokio::join!(worker, servers_of_rows, store, edges);
    let rest = match worker {
        Looked::Silent(_) => Some(edges::tried(EdgeTo::Worker, &servers.host, pipeline.port, limit).await),
        Looked::Seen(_) | Looked::Left(_) => None,
    };
    Seen { worker, postgres, kafka, store, edges, rest }
}

/// A server that hangs must not hang whoever looks.
pub async fn within<T>(limit: Duration, look: impl Future<Output = Result<T, String>>) -> Looked<T> {
    match tokio::time::timeout(limit, look).await {
        Ok(Ok(seen)) => Looked::Seen(seen),
        Ok(Err(why)) => Looked::Silent(why),
        Err(_) => Looked::Silent(format!("no answer within {} s", limit.as_secs_f32())),
    }
}
