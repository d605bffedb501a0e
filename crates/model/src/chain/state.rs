//! What the chain model remembers.

/// Sinks that run at the same time.
pub const SINKS: usize = 2;

/// A set of records by offset, one bit each.
pub type Records = u16;

/// An object in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// Offset of its first record: the name is made of it alone.
    pub first: u8,
    /// What else the name carries; always 0 but for the mutations that let it carry more.
    pub suffix: u8,
    /// The offset after the last one it covers.
    pub next: u8,
    /// Its lines.
    pub records: Records,
}

/// Where a sink is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Freshly started: nothing in memory.
    #[default]
    Down,
    /// Walks along the stored objects from the group's offset.
    Recovering,
    /// Reads records into the buffer, until the log is at its end or the buffer is closed.
    Filling,
    /// The PUT is in the network.
    Putting,
    /// The store found no object of that name and is about to write; only without atomic conditional writes.
    Writing,
    /// The store has created the object; its answer is in the network.
    Created,
    /// The store has answered that an object of that name exists.
    Exists,
}

/// One sink process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sink {
    /// Where it is in its life.
    pub phase: Phase,
    /// The end of the chain as it knows it: the buffer covers the log from here on.
    pub from: u8,
    /// The end of the closed buffer; 0 while it is open. Reading touches nothing but memory and the log does not change, so
    /// it is free to happen as late as the closing.
    pub end: u8,
    /// The group's offset is not yet committed for `from`.
    pub uncommitted: bool,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Deaths of a process at any step (kill -9).
    pub crashes: u8,
    /// PUTs whose answer never arrives; the request may have been applied, may be lost, or may be applied later.
    pub lost_replies: u8,
    /// Times the group's offset falls back to an earlier end of an object, or to nothing: it is lost, or an old commit arrives
    /// late.
    pub offsets_moved_back: u8,
}

/// A state of the chain model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Which of the model's logs lies before the sinks.
    pub log: usize,
    /// The objects, ordered by name.
    pub objects: Vec<Object>,
    /// The group's committed offset.
    pub group: u8,
    /// The sinks, ordered: their names mean nothing.
    pub sinks: [Sink; SINKS],
    /// PUTs that are still in the network though their senders no longer wait for them, ordered.
    pub strays: Vec<Object>,
    /// Faults that may still happen.
    pub faults: Faults,
}

impl State {
    /// The object with the given name.
    pub fn object(&self, first: u8, suffix: u8) -> Option<&Object> {
        self.objects.iter().find(|object| (object.first, object.suffix) == (first, suffix))
    }

    /// Writes an object, in place of one with the same name.
    pub(super) fn write(&mut self, object: Object) {
        self.objects.retain(|other| (other.first, other.suffix) != (object.first, object.suffix));
        self.objects.push(object);
        self.objects.sort_unstable();
    }

    /// Puts all that has no order of its own into one.
    pub(super) fn forget_names(&mut self) {
        self.sinks.sort_unstable();
        self.strays.sort_unstable();
    }
}
