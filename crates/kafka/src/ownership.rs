//! Which worker owns a pipeline: the one member of the worker group that holds the one-partition configs topic.
//!
//! A worker joins group `connect-cluster-{slug}` as an ordinary consumer. The topic has one partition, so one member
//! owns it and every other one stands by. The assignment is cooperative-sticky: a newcomer does not take the
//! partition from a living owner. Members are dynamic: leaving on close is immediate, where a static member would be
//! waited for. After a kill -9 the broker waits out the session, [`SESSION_TIMEOUT`].
//!
//! The group's protocol type is `consumer`, that of a JVM worker's group is `connect`: the broker refuses whoever comes
//! second with `INCONSISTENT_GROUP_PROTOCOL`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;

use crate::client::{REQUEST_TIMEOUT, log_error, log_line};
use crate::config::KafkaConfig;
use crate::error::{code_error, plain, port_error};

/// How long the broker waits for a member that went away without a word: its default minimum.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// How often the group is served; also the longest a leave waits.
const STEP: Duration = Duration::from_millis(100);
/// What the note of the group's offset begins with.
const NOTE: &str = "generation=";

/// Raised by each new owner of the group; it is kept as the note of the group's offset, written under the protection
/// of the group's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub i32);

#[derive(Clone, Debug)]
enum Standing {
    Waiting,
    Owner(Generation),
    Failed(Arc<Refusal>),
}

#[derive(Debug)]
struct Refusal {
    attempt: String,
    code: Option<RDKafkaErrorCode>,
    text: String,
}

/// A membership in the worker group. Dropping it leaves the group.
pub struct Ownership {
    group: String,
    standing: watch::Receiver<Standing>,
    stop: Arc<AtomicBool>,
}

impl Ownership {
    /// Joins the group in the background; waits for nothing.
    pub fn join(config: &KafkaConfig, group: &str, configs_topic: &str) -> Result<Self, PortError> {
        let attempt = format!("joining group {group}");
        let failed = |error: KafkaError| port_error(attempt.clone(), &error);
        let (sender, standing) = watch::channel(Standing::Waiting);
        let member = Member { lost: AtomicBool::new(false), gained: AtomicBool::new(false) };
        let consumer: BaseConsumer<Member> = config
            .consumer(64 * 1024)
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
            .set("heartbeat.interval.ms", "1500")
            .set("auto.offset.reset", "latest")
            .create_with_context(member)
            .map_err(failed)?;
        consumer.subscribe(&[configs_topic]).map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let membership = Membership {
            consumer,
            group: group.to_owned(),
            topic: configs_topic.to_owned(),
            standing: sender,
            stop: Arc::clone(&stop),
        };
        std::thread::Builder::new()
            .name("kafka-ownership".to_owned())
            .spawn(move || membership.serve())
            .map_err(|error| PortError::new(ErrorKind::Retry, attempt.clone()).because(error))?;
        Ok(Self { group: group.to_owned(), standing, stop })
    }

    /// Waits, for as long as it takes, until this worker is the owner.
    pub async fn acquired(&mut self) -> Result<Generation, PortError> {
        loop {
            match self.standing.borrow_and_update().clone() {
                Standing::Owner(generation) => return Ok(generation),
                Standing::Failed(refusal) => return Err(refusal.error()),
                Standing::Waiting => {}
            }
            if self.standing.changed().await.is_err() {
                return Err(self.ended());
            }
        }
    }

    /// Waits until this worker is the owner no more: another one may be already. The error says why, where it is
    /// known; [`Ownership::acquired`] waits for the next time.
    pub async fn lost(&mut self) -> Result<(), PortError> {
        loop {
            match self.standing.borrow_and_update().clone() {
                Standing::Owner(_) => {}
                Standing::Waiting => return Ok(()),
                Standing::Failed(refusal) => return Err(refusal.error()),
            }
            if self.standing.changed().await.is_err() {
                return Err(self.ended());
            }
        }
    }

    /// Leaves the group and waits, at most a few seconds, until that is done, so that a standby takes over at once.
    pub async fn leave(mut self) {
        self.stop.store(true, Ordering::Release);
        let closed = async { while self.standing.changed().await.is_ok() {} };
        if tokio::time::timeout(SESSION_TIMEOUT, closed).await.is_err() {
            tracing::warn!(group = self.group, "leaving the group took longer than its session");
        }
    }

    fn ended(&self) -> PortError {
        plain(ErrorKind::Retry, format!("staying in group {}", self.group), "its thread has ended")
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Refusal {
    fn error(&self) -> PortError {
        match self.code {
            Some(code) => code_error(self.attempt.clone(), code),
            None => plain(ErrorKind::Retry, self.attempt.clone(), self.text.clone()),
        }
    }
}

/// Notes what a rebalance did; the thread that polls acts on it.
struct Member {
    gained: AtomicBool,
    lost: AtomicBool,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) if partitions.count() > 0 => self.lost.store(true, Ordering::Release),
            Rebalance::Error(_) => self.lost.store(true, Ordering::Release),
            _ => {}
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance
            && partitions.count() > 0
        {
            self.gained.store(true, Ordering::Release);
        }
    }
}

/// The thread's side: serves the group until it is told to stop.
struct Membership {
    consumer: BaseConsumer<Member>,
    group: String,
    topic: String,
    standing: watch::Sender<Standing>,
    stop: Arc<AtomicBool>,
}

impl Membership {
    fn serve(self) {
        let mut last_served = Instant::now();
        // Gained, but the generation is not raised yet.
        let mut owed = false;
        while !self.stop.load(Ordering::Acquire) {
            match self.consumer.poll(STEP) {
                Some(Err(KafkaError::PartitionEOF(_)) | Ok(_)) | None => {}
                Some(Err(error)) => self.hear(&error),
            }
            let member = self.consumer.context();
            // A machine that slept, or a thread that starved, for longer than the session may have lost the group
            // without having been told yet.
            let stood_still = last_served.elapsed() > SESSION_TIMEOUT;
            last_served = Instant::now();
            // A loss comes first: a partition given back and gained again is a new ownership.
            if member.lost.swap(false, Ordering::AcqRel) || stood_still {
                owed = stood_still && self.consumer.assignment().is_ok_and(|assigned| assigned.count() > 0);
                self.standing.send_replace(Standing::Waiting);
            }
            owed |= member.gained.swap(false, Ordering::AcqRel);
            if owed {
                owed = !self.own();
                last_served = Instant::now();
            }
        }
        self.standing.send_replace(Standing::Waiting);
        // Closing sends the leave; the sender goes away after it, which tells whoever waits for the end.
        let Self { consumer, standing, .. } = self;
        drop(consumer);
        drop(standing);
    }

    /// What another kind of worker, or a missing right, is told; everything else passes.
    fn hear(&self, error: &KafkaError) {
        let attempt = format!("joining group {}", self.group);
        let known = port_error(attempt.clone(), error);
        if known.kind() != ErrorKind::Refused {
            log_error(error, "group");
            return;
        }
        let refusal = Refusal { attempt, code: error.rdkafka_error_code(), text: error.to_string() };
        self.standing.send_replace(Standing::Failed(Arc::new(refusal)));
    }

    /// Raises the generation; without that there is no ownership. False if it is to be tried again, as when the next
    /// rebalance has begun meanwhile.
    fn own(&self) -> bool {
        match self.raise() {
            Ok(generation) => {
                tracing::info!(group = self.group, generation = generation.0, "the worker owns its pipeline");
                self.standing.send_replace(Standing::Owner(generation));
                true
            }
            Err(error) => {
                let attempt = format!("raising the generation of group {}", self.group);
                if port_error(attempt.clone(), &error).kind() != ErrorKind::Refused {
                    log_error(&error, &attempt);
                    return false;
                }
                let refusal = Refusal { attempt, code: error.rdkafka_error_code(), text: error.to_string() };
                self.standing.send_replace(Standing::Failed(Arc::new(refusal)));
                true
            }
        }
    }

    fn raise(&self) -> Result<Generation, KafkaError> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(&self.topic, 0, Offset::Invalid)?;
        let found = self.consumer.committed_offsets(wanted, REQUEST_TIMEOUT)?;
        let last = found
            .elements()
            .first()
            .and_then(|element| element.metadata().strip_prefix(NOTE).and_then(|number| number.parse::<i32>().ok()));
        let generation = Generation(last.unwrap_or(0).saturating_add(1));
        let mut note = TopicPartitionList::new();
        note.add_partition_offset(&self.topic, 0, Offset::Offset(0))?;
        if let Some(mut element) = note.find_partition(&self.topic, 0) {
            element.set_metadata(format!("{NOTE}{}", generation.0));
        }
        self.consumer.commit(&note, CommitMode::Sync)?;
        Ok(generation)
    }
}
