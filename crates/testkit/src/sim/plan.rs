//! What a seed stands for.

use datapipe_core::table::SnapshotMode;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::fault::{Coverage, Fault, Point};
use super::world::Faults;
use crate::memory::{KafkaSettings, PostgresSettings};

/// What the code under test is told.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// What happens to existing rows.
    pub mode: SnapshotMode,
    /// Transactions are told of, in a topic and in each event.
    pub transaction_metadata: bool,
    /// A table without a key is copied in one go.
    pub keyless_snapshot: bool,
    /// Rows of an incremental snapshot that are read at once.
    pub chunk_rows: u32,
    /// Records in a log transaction.
    pub transaction_records_max: usize,
    /// The longest time between two commits of an idle capture, in milliseconds.
    pub heartbeat_ms: u64,
    /// The longest time that a log transaction stays open, in milliseconds; well below the log's own limit.
    pub transaction_age_max_ms: u64,
    /// Records in an object.
    pub object_rows_max: u64,
    /// Bytes in an object.
    pub object_bytes_max: u64,
    /// How long an object stays open, in milliseconds.
    pub object_age_max_ms: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            mode: SnapshotMode::Initial,
            transaction_metadata: false,
            keyless_snapshot: false,
            chunk_rows: 4,
            transaction_records_max: 50,
            heartbeat_ms: 1_000,
            transaction_age_max_ms: 2_500,
            object_rows_max: 10,
            object_bytes_max: 1 << 20,
            object_age_max_ms: 2_000,
        }
    }
}

/// A schedule, drawn from its seed alone.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent choices, drawn one by one")]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Rows before the start.
    pub rows: u32,
    /// Transactions while it runs.
    pub transactions: u32,
    /// The longest pause between two of them, in milliseconds.
    pub spacing_ms_max: u64,
    /// Whether a second capture and a second delivery are started beside the first.
    pub doubles: bool,
    /// Some rows are larger than a record may be.
    pub large_rows: bool,
    /// Whether TRUNCATE happens.
    pub truncates: bool,
    /// Whether somebody else writes records that are no JSON into the topic.
    pub garbage: bool,
    /// Whether a capture often finds an offset as Debezium would have left it at the same point.
    pub foreign: bool,
    /// Whether the server takes its time now and then, longer than a log transaction may be open.
    pub slow_source: bool,
    /// Whether incremental snapshots are asked for.
    pub signals: bool,
    /// Whether some of the snapshots that are asked for are blocking ones.
    pub blocking: bool,
    /// Whether they are asked for through a topic, too.
    pub channel: bool,
    /// The server.
    pub postgres: PostgresSettings,
    /// The broker.
    pub kafka: KafkaSettings,
    /// The code under test.
    pub settings: RunSettings,
    /// The faults.
    pub faults: Faults,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x9e37_79b9_7f4a_7c15);
        let cells = Coverage::universe();
        let (point, fault) = cells[usize::try_from(seed % cells.len() as u64).expect("an index")];
        let mut targets = before(point, &mut rng);
        let passes = if rng.random_bool(0.6) { 0 } else { rng.random_range(0..6) };
        targets.push((point, fault, passes));
        let per_mille = [0, 3, 10, 40][rng.random_range(0..4)];
        let partitions = if rng.random_bool(0.7) { 1 } else { rng.random_range(2..4) };
        let settings = RunSettings {
            mode: if rng.random_bool(0.93) { SnapshotMode::Initial } else { SnapshotMode::NoData },
            transaction_metadata: rng.random_bool(0.3),
            keyless_snapshot: false,
            chunk_rows: rng.random_range(1..20),
            transaction_records_max: rng.random_range(2..20),
            heartbeat_ms: rng.random_range(500..5_000),
            transaction_age_max_ms: 2_500,
            object_rows_max: rng.random_range(1..12),
            object_bytes_max: if rng.random_bool(0.3) { 600 } else { 1 << 20 },
            object_age_max_ms: rng.random_range(100..4_000),
        };
        let channel =
            matches!(point, Point::SignalsEnd | Point::SignalsPoll) || (point != Point::Tail && rng.random_bool(0.15));
        let plan = Self {
            seed,
            signals: channel || (point != Point::Tail && rng.random_bool(0.25)),
            blocking: rng.random_bool(0.5),
            channel,
            rows: if rng.random_bool(0.8) { rng.random_range(5..30) } else { 0 },
            transactions: rng.random_range(5..30),
            spacing_ms_max: [10, 50, 300, 900][rng.random_range(0..4)],
            doubles: rng.random_bool(0.4),
            large_rows: rng.random_bool(0.15) && point != Point::Tail,
            truncates: rng.random_bool(0.4),
            garbage: point == Point::PutLetter || rng.random_bool(0.1),
            slow_source: rng.random_bool(0.15),
            foreign: point == Point::Tail || rng.random_bool(0.15),
            postgres: PostgresSettings {
                text_keys: rng.random_bool(0.3),
                full_identity: rng.random_bool(0.4),
                ..PostgresSettings::default()
            },
            kafka: KafkaSettings {
                partitions,
                queue_bytes_max: rng.random_range(200..6_000),
                ..KafkaSettings::default()
            },
            settings,
            faults: Faults { per_mille, budget: rng.random_range(0..12), targets },
        };
        // Debezium knows no dead letters: what it has sent is all in the topic; and it does not keep our signals.
        Self {
            foreign: plan.foreign && !plan.large_rows && !plan.signals,
            blocking: plan.blocking && plan.signals && !plan.large_rows,
            ..plan
        }
    }

    /// A plan in which nothing goes wrong, to be changed by a test.
    pub fn quiet(seed: u64) -> Self {
        let settings = RunSettings::default();
        let faults = Faults::default();
        let kafka = KafkaSettings::default();
        Self {
            rows: 10,
            transactions: 10,
            spacing_ms_max: 50,
            doubles: false,
            large_rows: false,
            truncates: false,
            garbage: false,
            slow_source: false,
            foreign: false,
            signals: false,
            blocking: false,
            channel: false,
            postgres: PostgresSettings::default(),
            settings,
            kafka,
            faults,
            ..Self::of(seed)
        }
    }
}

/// Faults without which a point is hardly ever reached.
fn before(point: Point, rng: &mut SmallRng) -> Vec<(Point, Fault, u32)> {
    let mid_copy =
        (Point::CommitCopy, [Fault::CrashAfter, Fault::Lost][rng.random_range(0..2)], rng.random_range(0..3));
    match point {
        Point::OpenSnapshotBegin => vec![(Point::CreateSlot, Fault::CrashAfter, 0)],
        Point::OpenSnapshotResume
        | Point::StartCatchUp
        | Point::NextCatchUp
        | Point::StopCatchUp
        | Point::CommitCatchUp
        | Point::CommitBoundary => vec![mid_copy],
        Point::Tail => vec![(Point::CommitStream, Fault::CrashAfter, rng.random_range(0..4))],
        Point::StopStream => vec![(Point::NextStream, Fault::Stop, rng.random_range(0..6))],
        Point::StopCatchUpTold => vec![mid_copy, (Point::NextCatchUp, Fault::Stop, 0)],
        Point::HeadExists | Point::SeekAdopt | Point::CommitAdopted => {
            let reply_lost = (Point::Create, Fault::Lost, rng.random_range(0..2));
            let late = (Point::Create, Fault::Late, rng.random_range(0..2));
            let frozen = (Point::Create, Fault::Pause, rng.random_range(0..2));
            vec![[reply_lost, late, frozen][rng.random_range(0..3)]]
        }
        _ => Vec::new(),
    }
}
