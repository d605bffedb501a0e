//! A worker on a port of its own, with everything around it in memory.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use datapipe_connect::{Client, ConnectorStatus, NewConnector};
use datapipe_core::connector::{ConfigProblem, SinkConfig, SourceConfig};
use datapipe_core::port::PortError;
use datapipe_core::port::connect::{
    ConfigMap, ConfigRecord, ConnectFeed, ConnectStore, FeedItem, OffsetStore, State, StatusChange,
};
use datapipe_core::port::log::{DeadLetterQueue, LogReader, TransactionalLog};
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::port::source::ChangeSource;
use datapipe_core::port::store::ObjectStore;
use datapipe_testkit::memory::{
    MemoryConnectStore, MemoryDeadLetters, MemoryLog, MemoryReader, MemorySource, MemoryStore, SimClock,
};
use datapipe_testkit::sim::{Instance, Shared};
use datapipe_worker::adapters::{Adapters, LoggerLevel, Observation, Ownership};
use datapipe_worker::{Worker, WorkerSettings};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fixtures;

pub(crate) const SOURCE: &str = "postgres-cdc-users-connector";
pub(crate) const SINK: &str = "s3-sink-users-connector";
const LIMIT: Duration = Duration::from_secs(20);

/// The world around a worker.
pub(crate) struct Around {
    pub(crate) topics: MemoryConnectStore,
    /// Whether writes are left unanswered.
    pub(crate) stuck: Arc<AtomicBool>,
    /// Whether each record is a while on its way to the readers.
    pub(crate) slow: Arc<AtomicBool>,
    shared: Shared,
    /// Who owns the group, by worker.
    owner: watch::Sender<usize>,
    number: usize,
    /// What the servers say about a configuration, by key.
    pub(crate) found: Mutex<Vec<(&'static str, &'static str)>>,
    levels: Mutex<BTreeMap<String, String>>,
}

/// The topics, of a broker that may stop to answer writes.
struct Store {
    topics: MemoryConnectStore,
    stuck: Arc<AtomicBool>,
    slow: Arc<AtomicBool>,
}

struct Feed {
    feed: Box<dyn ConnectFeed>,
    slow: Arc<AtomicBool>,
}

#[async_trait]
impl ConnectFeed for Feed {
    async fn next(&mut self) -> Result<FeedItem, PortError> {
        let item = self.feed.next().await;
        if self.slow.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        item
    }
}

impl Store {
    async fn answers(&self) {
        if self.stuck.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl ConnectStore for Store {
    async fn configs(&self) -> Result<BTreeMap<String, ConfigMap>, PortError> {
        self.topics.configs().await
    }

    async fn claim(&self, transactional_id: &str) -> Result<Option<i64>, PortError> {
        self.topics.claim(transactional_id).await
    }

    async fn write(&self, records: &[ConfigRecord]) -> Result<Option<i64>, PortError> {
        self.answers().await;
        self.topics.write(records).await
    }

    async fn put_status(&self, change: &StatusChange) -> Result<(), PortError> {
        self.answers().await;
        self.topics.put_status(change).await
    }

    async fn feed(&self) -> Result<Box<dyn ConnectFeed>, PortError> {
        let slow = Arc::clone(&self.slow);
        Ok(Box::new(Feed { feed: self.topics.feed().await?, slow }))
    }
}

struct Member {
    owner: watch::Receiver<usize>,
    number: usize,
}

#[async_trait]
impl Ownership for Member {
    async fn acquired(&mut self) -> Result<i32, PortError> {
        let number = self.number;
        self.owner.wait_for(|owner| *owner == number).await.unwrap();
        Ok(7)
    }

    async fn lost(&mut self) -> Result<(), PortError> {
        let number = self.number;
        self.owner.wait_for(|owner| *owner != number).await.unwrap();
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

impl Around {
    fn instance(&self) -> Instance {
        self.shared.instance("worker", CancellationToken::new())
    }

    fn problems(&self, of: &str) -> Vec<ConfigProblem> {
        let found = self.found.lock().unwrap();
        let problem = |(key, why): &(&str, &str)| ConfigProblem {
            key: (*key).to_owned(),
            why: (*why).to_owned(),
            fix: "mend it".to_owned(),
        };
        found.iter().filter(|(key, _)| key.starts_with(of)).map(problem).collect()
    }
}

#[async_trait]
impl Adapters for Around {
    async fn join(&self) -> Result<Box<dyn Ownership>, PortError> {
        Ok(Box::new(Member { owner: self.owner.subscribe(), number: self.number }))
    }

    async fn connect_store(&self) -> Result<Box<dyn ConnectStore>, PortError> {
        Ok(Box::new(Store {
            topics: self.topics.clone(),
            stuck: Arc::clone(&self.stuck),
            slow: Arc::clone(&self.slow),
        }))
    }

    async fn offset_store(&self) -> Result<Box<dyn OffsetStore>, PortError> {
        Ok(Box::new(self.topics.clone()))
    }

    async fn cluster_id(&self) -> Result<String, PortError> {
        Ok("memory".to_owned())
    }

    async fn source(&self, _config: &SourceConfig) -> Result<Box<dyn ChangeSource>, PortError> {
        let instance = self.instance();
        Ok(Box::new(MemorySource::new(&instance, &MemoryLog::new(&instance))))
    }

    async fn signals(&self, _config: &SourceConfig) -> Result<Option<Box<dyn SignalChannel>>, PortError> {
        Ok(None)
    }

    async fn transactional_log(
        &self,
        _config: &SourceConfig,
        _transactional_id: &str,
        _offsets_topic: &str,
        _offsets_key: &[u8],
    ) -> Result<Box<dyn TransactionalLog>, PortError> {
        Ok(Box::new(MemoryLog::new(&self.instance())))
    }

    async fn reader(&self, _config: &SinkConfig) -> Result<Box<dyn LogReader>, PortError> {
        let instance = self.instance();
        Ok(Box::new(MemoryReader::new(&instance, &MemoryStore::new(&instance))))
    }

    async fn store(&self, _config: &SinkConfig) -> Result<Box<dyn ObjectStore>, PortError> {
        Ok(Box::new(MemoryStore::new(&self.instance())))
    }

    async fn dead_letters(&self, _config: &SinkConfig) -> Result<Box<dyn DeadLetterQueue>, PortError> {
        Ok(Box::new(MemoryDeadLetters(self.instance())))
    }

    async fn observe(&self, _source: Option<&SourceConfig>, _sink: Option<&SinkConfig>) -> Observation {
        Observation::default()
    }

    fn resident_bytes(&self) -> Option<u64> {
        None
    }

    async fn examine_source(&self, _config: &SourceConfig) -> Vec<ConfigProblem> {
        let mut problems = self.problems("database");
        problems.extend(self.problems("slot"));
        problems
    }

    async fn examine_sink(&self, _config: &SinkConfig) -> Vec<ConfigProblem> {
        self.problems("aws")
    }

    fn logger_levels(&self) -> BTreeMap<String, LoggerLevel> {
        let levels = self.levels.lock().unwrap();
        let shown = |(logger, level): (&String, &String)| {
            (logger.clone(), LoggerLevel { level: level.clone(), last_modified: Some(1) })
        };
        levels.iter().map(shown).collect()
    }

    fn set_logger_level(&self, logger: &str, level: &str) -> Vec<String> {
        self.levels.lock().unwrap().insert(logger.to_owned(), level.to_owned());
        vec![logger.to_owned()]
    }
}

/// A worker with its client.
pub(crate) struct Bench {
    pub(crate) around: Arc<Around>,
    pub(crate) client: Client,
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    owner: watch::Sender<usize>,
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl Bench {
    /// A worker that owns its group.
    pub(crate) async fn owner() -> Self {
        Self::start(MemoryConnectStore::default(), 0, watch::Sender::new(0)).await
    }

    /// Another worker on the same topics, which stands by.
    pub(crate) async fn standby(&self) -> Self {
        Self::start(self.around.topics.clone(), self.around.number + 1, self.owner.clone()).await
    }

    async fn start(topics: MemoryConnectStore, number: usize, owner: watch::Sender<usize>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let listen: SocketAddr = listener.local_addr().unwrap();
        drop(listener);
        let shared = Shared::new(1, false);
        let around = Arc::new(Around {
            topics,
            stuck: Arc::default(),
            slow: Arc::default(),
            shared: shared.clone(),
            owner: owner.clone(),
            number,
            found: Mutex::default(),
            levels: Mutex::new(BTreeMap::from([("root".to_owned(), "INFO".to_owned())])),
        });
        let settings = WorkerSettings {
            slug: "users".to_owned(),
            listen,
            group: "connect-cluster-users".to_owned(),
            offsets_topic: "connect-offsets-users".to_owned(),
            spool_folder: std::env::temp_dir(),
            drain_max: Duration::from_secs(5),
            jvm_source: String::new(),
            hosts: Vec::new(),
        };
        let worker = Worker::new(settings, Arc::clone(&around) as Arc<dyn Adapters>, Arc::new(SimClock(shared)));
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let worker = tokio::spawn(async move { worker.run(&stopping).await });
        let base = format!("http://{listen}");
        let client = Client::new(&base).unwrap();
        let http = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
        let bench = Self { around, client, base, http, owner, stop, worker };
        bench.until("REST answers", async |bench| bench.client.connectors().await.is_ok()).await;
        if *bench.owner.borrow() == number {
            bench.until("it owns the group", async |bench| bench.owns().await).await;
        }
        bench
    }

    async fn owns(&self) -> bool {
        let metrics = self.http.get(format!("{}/metrics", self.base)).send().await.unwrap().text().await.unwrap();
        metrics.contains("datapipe_worker_owner{table=\"users\"} 1")
    }

    /// Gives the group to the worker.
    pub(crate) async fn take_over(&self) {
        self.owner.send_replace(self.around.number);
        self.until("it owns the group", async |bench| bench.owns().await).await;
    }

    /// Waits for something.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let begun = tokio::time::Instant::now();
        while !is_so(self).await {
            assert!(begun.elapsed() < LIMIT, "{what}: not within {} s", LIMIT.as_secs());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a connector and its tasks have these states; returns its status.
    pub(crate) async fn states(&self, name: &str, connector: State, tasks: &[State]) -> ConnectorStatus {
        let mut last = None;
        let begun = tokio::time::Instant::now();
        loop {
            if let Some(status) = self.client.status(name).await.unwrap() {
                let found: Vec<_> = status.tasks.iter().map(|task| task.state).collect();
                if status.connector.state == connector && found == tasks {
                    return status;
                }
                last = Some(status);
            }
            assert!(begun.elapsed() < LIMIT, "{name} is {last:?}, not {connector:?} {tasks:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Makes the sink.
    pub(crate) async fn make_sink(&self) {
        let config = sink();
        let made = NewConnector { name: SINK.to_owned(), config, initial_state: None };
        self.client.create(&made).await.unwrap();
        self.states(SINK, State::Running, &[State::Running]).await;
    }

    /// A request by hand: status, headers and body.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Stops the worker in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.worker).await.unwrap().unwrap();
    }
}

pub(crate) fn source() -> ConfigMap {
    fixtures::source(SOURCE)
}

pub(crate) fn sink() -> ConfigMap {
    fixtures::sink(SINK, "lake")
}
