//! A pipeline whose source runs in a JVM worker beside this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datapipe_connect::{Client, ClientError};
use datapipe_core::connector::{JvmFlavour, for_jvm};
use datapipe_core::convention::Names;
use datapipe_core::plan::{PipelinePlan, Problem};
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::settings::{Role, SinkFlavour};
use datapipe_core::table::WorkerKind;
use datapipe_worker::Backoff;
use datapipe_worker::adapters::{Jvm, JvmAnswer};
use tokio_util::sync::CancellationToken;

/// How often the JVM worker's configuration is compared once it was right.
const LOOK: Duration = Duration::from_secs(30);

pub(crate) fn is(pipeline: &PipelinePlan) -> bool {
    pipeline.worker.kind == WorkerKind::Hybrid
}

/// Nothing here starts a JVM, except for a demo.
pub(crate) fn not_run_here(pipeline: &PipelinePlan) -> Option<Problem> {
    let kind = pipeline.worker.kind;
    (kind == WorkerKind::KafkaConnect).then(|| {
        let table = &pipeline.names.table;
        let what = format!("is {}, and this program starts no JVM", kind.name());
        let fix = "run Kafka Connect for this table by itself and leave it out here (--table), or set \"native\" or \
                   \"hybrid\"";
        Problem::new(format!("tables.{table}.worker.kind"), what, fix)
    })
}

/// The names of this process's part.
pub(crate) fn names(pipeline: &PipelinePlan) -> Names {
    if is(pipeline) { pipeline.names.of_hybrid_sink() } else { pipeline.names.clone() }
}

/// The JVM worker, by its REST interface.
struct Remote {
    address: String,
    client: Client,
}

fn remote(pipeline: &PipelinePlan) -> Option<Remote> {
    let address = pipeline.worker.jvm_url(pipeline.port);
    // It fails only without a TLS library, and then nothing of this process would run.
    let client = Client::new(&address).ok()?;
    is(pipeline).then_some(Remote { address, client })
}

pub(crate) fn jvm(pipeline: &PipelinePlan) -> Option<Arc<dyn Jvm>> {
    remote(pipeline).map(|remote| Arc::new(remote) as Arc<dyn Jvm>)
}

#[async_trait]
impl Jvm for Remote {
    fn address(&self) -> &str {
        &self.address
    }

    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<JvmAnswer, String> {
        let answer =
            self.client.forward(method, path, body).await.map_err(|error| datapipe_boot::report::chain(&error))?;
        Ok(JvmAnswer { status: answer.status, location: answer.location, body: answer.body })
    }
}

/// The source connector that the JVM worker is to run.
pub(crate) struct Source {
    remote: Remote,
    name: String,
    config: ConfigMap,
}

pub(crate) fn source(pipeline: &PipelinePlan) -> Option<Source> {
    let planned = pipeline.connector(Role::Source)?;
    // Topics that it makes after all get the broker's number of replicas.
    let flavour = JvmFlavour { exactly_once: true, sink: SinkFlavour::Aiven, replication_factor: -1 };
    let config = for_jvm(pipeline, planned, flavour).unwrap_or_else(|_| planned.config.clone());
    remote(pipeline).map(|remote| Source { remote, name: planned.name.clone(), config })
}

impl Source {
    /// Gives the JVM worker the source's configuration whenever it has none, until told to stop. One that it has stays:
    /// somebody may have changed it.
    pub(crate) async fn keep(&self, stop: &CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        let mut told = None;
        while !stop.is_cancelled() {
            let pause = match self.put().await {
                Ok(()) => {
                    backoff.reset();
                    LOOK
                }
                Err(error) => {
                    let why = datapipe_boot::report::chain(&error);
                    if error.retryable() {
                        tracing::debug!(connector = self.name, "the JVM worker did not take the connector: {why}");
                    } else if told.as_ref() != Some(&why) {
                        // A person must act; it is tried on, but said once.
                        tracing::warn!(connector = self.name, "the JVM worker refuses the connector: {why}");
                        told = Some(why);
                    }
                    backoff.after_failure()
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn put(&self) -> Result<(), ClientError> {
        let Remote { client, address } = &self.remote;
        if client.connector(&self.name).await?.is_none() {
            client.put_config(&self.name, &self.config).await?;
            tracing::info!(connector = self.name, address, "configuration given to the JVM worker");
        }
        Ok(())
    }
}
