//! What the capture model remembers.

use super::wal::Position;

/// Capture instances that run at the same time.
pub const INSTANCES: usize = 2;

/// A set of changes, one bit each; inside one batch they lie in the log in ascending order.
pub type Changes = u8;

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Freshly started: nothing in memory.
    #[default]
    Initialising,
    /// The older producer is fenced; the stored position comes next.
    Reading,
    /// The position is known and the slot is not ahead of it; the stream comes next.
    Connecting,
    /// Receives, sends, confirms.
    Running,
    /// Stopped after the broker said that a newer producer has taken over.
    Fenced,
    /// Stopped because the slot is ahead of the stored position: rows are missing for good, a person must decide.
    Refused,
}

/// The one Kafka transaction that an instance may have under way, as the instance sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flight {
    /// None, or one that a newer producer has aborted.
    #[default]
    None,
    /// Batch and progress are written.
    Sent,
    /// `EndTxn` is in the network.
    Ending,
    /// The coordinator has decided to commit; its answer is in the network.
    Acknowledged,
}

/// One capture process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    /// Where it is in its life.
    pub phase: Phase,
    /// The newest position it knows to be durable in Kafka.
    pub durable: Position,
    /// Next message of its replication session that goes into a batch.
    pub cursor: u8,
    /// What it had received when its session ended; nothing is known of it while the session lives.
    pub leftover: Leftover,
    /// Its Kafka transaction.
    pub flight: Flight,
    /// Position that this transaction carries.
    pub sent: Position,
    /// Messages in it; kept only for the mutation that sends them again.
    pub sent_messages: u8,
    /// The position it started from; kept only for the mutations that skip by LSN.
    pub start: Position,
    /// Highest slot position that made it give up a connection and begin again.
    pub seen: u8,
}

/// Messages received in a session that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leftover {
    /// The first message that was not received.
    pub end: u8,
    /// The position of a keepalive received after the last message, or 0.
    pub keepalive: u8,
}

/// The replication slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// `confirmed_flush_lsn`.
    pub confirmed: u8,
    /// The instance whose walsender holds it.
    pub holder: Option<u8>,
}

/// A Kafka transaction that is written and not decided. Readers of committed records do not see past it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Data records.
    pub changes: Changes,
    /// The progress record.
    pub position: Position,
    /// `EndTxn` is on its way. It may arrive even if its sender has died since.
    pub end_requested: bool,
}

/// The broker: the coordinator of the one transactional id, the data topic and the progress topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kafka {
    /// The instance whose producer has the newest epoch; none after its crash.
    pub owner: Option<u8>,
    /// The undecided transaction.
    pub open: Option<Transaction>,
    /// Every change in a transaction that is decided to commit, in the order of the log.
    pub delivered: Vec<u8>,
    /// The newest progress record that is decided to commit.
    pub decided: Position,
    /// The newest progress record that readers can see; behind `decided` while the commit marker is not written, and then the
    /// last stable offset is behind the high watermark.
    pub stored: Position,
    /// The last progress record written, committed or not; kept only for the mutation that reads it.
    pub written: Position,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Deaths of a process at any step (kill -9).
    pub crashes: u8,
    /// Pauses that outlive a timeout: the server ends the session, or the coordinator aborts the transaction.
    pub pauses: u8,
    /// Answers of `EndTxn` or `InitProducerId` that never arrive.
    pub lost_replies: u8,
    /// Starts of an instance that was fenced.
    pub restarts: u8,
    /// Slots dropped and made anew, or advanced by hand.
    pub slot_changes: u8,
}

/// A state of the capture model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Transactions that PostgreSQL has committed so far.
    pub committed: u8,
    /// The slot.
    pub slot: Slot,
    /// The broker.
    pub kafka: Kafka,
    /// The capture processes.
    pub instances: [Instance; INSTANCES],
    /// Faults that may still happen.
    pub faults: Faults,
    /// The slot was moved past what Kafka holds: rows are gone, and no instance may go on as if nothing had happened.
    pub gap: bool,
}

impl State {
    /// Orders the instances by what they are instead of by their names, which mean nothing.
    pub(super) fn forget_names(&mut self) {
        let weight =
            |id: u8| (&self.instances[usize::from(id)], self.slot.holder == Some(id), self.kafka.owner == Some(id));
        if weight(0) > weight(1) {
            self.instances.swap(0, 1);
            let renamed = |id: u8| 1 - id;
            self.slot.holder = self.slot.holder.map(renamed);
            self.kafka.owner = self.kafka.owner.map(renamed);
        }
    }
}
