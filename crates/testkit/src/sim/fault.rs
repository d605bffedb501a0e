//! What can happen at an await point, and which await points there are.

/// What a schedule does to a call of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The call takes longer than usual, so that it is overtaken.
    Delay,
    /// Nothing happens, and the caller is told so.
    Fail,
    /// The effect takes place, and the caller is told that this is not known.
    Lost,
    /// The caller is killed before the effect.
    CrashBefore,
    /// The caller is killed after the effect, before it learns of it.
    CrashAfter,
    /// The caller is frozen before the effect, for longer than sessions and transactions live.
    Pause,
    /// The caller is frozen after the effect.
    PauseAfter,
    /// The caller is told to stop while it waits.
    Stop,
    /// The caller is killed, or told that nothing is known, and the effect takes place later.
    Late,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Delay,
        Self::Fail,
        Self::Lost,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Pause,
        Self::PauseAfter,
        Self::Stop,
        Self::Late,
    ];
}

macro_rules! points {
    ($($name:ident = $method:literal, $context:literal, $side:ident;)*) => {
        /// An await point of the engine: a port's method, and the step of the engine that waits for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Point { $($name),* }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The port's method, as `source.next`.
            pub const fn method(self) -> &'static str {
                match self { $(Self::$name => $method),* }
            }

            /// The step of the engine that waits.
            pub const fn context(self) -> &'static str {
                match self { $(Self::$name => $context),* }
            }

            /// Whether an effect can take place after its caller has gone.
            pub const fn writes(self) -> bool {
                match self { $(Self::$name => side::$side),* }
            }
        }
    };
}

mod side {
    pub(super) const READS: bool = false;
    pub(super) const WRITES: bool = true;
}

points! {
    Claim = "log.claim", "start", READS;
    Tail = "log.tail", "offset of another kind of worker", READS;
    Inspect = "source.inspect", "start", READS;
    CreateSlot = "source.create_slot", "first start", WRITES;
    OpenSnapshotBegin = "source.open_snapshot", "first start with a slot", READS;
    OpenSnapshotResume = "source.open_snapshot", "resumed snapshot", READS;
    ReadRows = "source.read_rows", "copy", READS;
    StartCatchUp = "source.start", "catch-up", READS;
    StartStream = "source.start", "stream", READS;
    NextCatchUp = "source.next", "catch-up", READS;
    NextStream = "source.next", "stream", READS;
    StopCatchUp = "source.stop", "catch-up at the boundary", READS;
    StopCatchUpTold = "source.stop", "catch-up told to stop", READS;
    StopStream = "source.stop", "stream", READS;
    SignalsEnd = "channel.end", "start of the stream", READS;
    SignalsPoll = "channel.poll", "stream", READS;
    Room = "log.room", "any", READS;
    CommitFirst = "log.commit", "first progress", WRITES;
    CommitBoundary = "log.commit", "new boundary", WRITES;
    CommitCatchUp = "log.commit", "catch-up", WRITES;
    CommitCopy = "log.commit", "part of the snapshot", WRITES;
    CommitCopyEnd = "log.commit", "end of the snapshot", WRITES;
    CommitStream = "log.commit", "stream", WRITES;
    CommitIdle = "log.commit", "idle", WRITES;
    Identity = "reader.identity", "start", READS;
    Bounds = "reader.bounds", "start", READS;
    Committed = "reader.committed", "start", READS;
    Peek = "reader.peek", "last object's first record", READS;
    SeekStart = "reader.seek", "start", READS;
    SeekAdopt = "reader.seek", "adoption", READS;
    Poll = "reader.poll", "run", READS;
    CommitOwn = "reader.commit", "own object", WRITES;
    CommitAdopted = "reader.commit", "adopted object", WRITES;
    Create = "store.create", "close", WRITES;
    HeadStart = "store.head", "start", READS;
    HeadLook = "store.head", "first record", READS;
    HeadExists = "store.head", "object exists", READS;
    List = "store.list", "descent", READS;
    PutLetter = "dead_letters.put", "run", WRITES;
}

/// Which faults took place at which points.
#[derive(Clone, Debug)]
pub struct Coverage {
    cells: Vec<u16>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { cells: vec![0; Point::ALL.len()] }
    }
}

impl Coverage {
    /// Whether a fault can take place at a point at all.
    pub fn applies(point: Point, fault: Fault) -> bool {
        fault != Fault::Late || point.writes()
    }

    /// All cells that there are.
    pub fn universe() -> Vec<(Point, Fault)> {
        let all = Point::ALL.iter().flat_map(|point| Fault::ALL.map(|fault| (*point, fault)));
        all.filter(|(point, fault)| Self::applies(*point, *fault)).collect()
    }

    pub(crate) fn add(&mut self, point: Point, fault: Fault) {
        self.cells[point as usize] |= 1 << fault as u16;
    }

    /// Takes another run's cells in.
    pub fn merge(&mut self, other: &Self) {
        self.cells.iter_mut().zip(&other.cells).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// Whether a cell was reached.
    pub fn has(&self, point: Point, fault: Fault) -> bool {
        self.cells[point as usize] & (1 << fault as u16) != 0
    }

    /// The cells that were not reached.
    pub fn missing(&self) -> Vec<(Point, Fault)> {
        Self::universe().into_iter().filter(|(point, fault)| !self.has(*point, *fault)).collect()
    }
}
