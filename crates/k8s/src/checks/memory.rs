use datapipe_core::connector::JVM_PART_BYTES;
use datapipe_core::plan::{PipelinePlan, Plan, Problem};
use datapipe_core::settings::{ByteSize, Role};
use datapipe_core::table::WorkerKind;

const MIB: u64 = 1 << 20;

/// A hybrid's native part; docs/hybrid.md has the measurement.
pub(crate) const HYBRID_NATIVE_MIB: u32 = 54;
/// A JVM worker with the source alone: measured within 196 MiB.
const SOURCE_ONLY_MIB: u32 = 196;
/// With a sink beside it: its peak was 220 MiB under load.
const WITH_SINK_MIB: u32 = 228;
/// The memory that the heap of `JVM_FLAGS` is meant for, and that heap. Both measurements are its own.
const HEAP_MIB: u32 = 72;
const ALONE_MIB: u32 = 250;
/// What Kafka Connect's own objects take of the heap.
const HEAP_BASE_MIB: u64 = 32;
/// What the worker's properties allow its producer to hold, and its consumer to fetch.
const PRODUCER_BYTES: u64 = 8 * MIB;
const FETCH_BYTES: u64 = 4 * MIB;
/// A native worker beside its queue: 72 MiB were measured with a queue of 16.
const NATIVE_BASE_BYTES: u64 = 64 * MIB;

/// A JVM's greatest heap in MiB: memory beyond what its flags are made for is heap.
pub(crate) fn heap_mib(kind: WorkerKind, memory_mib: u32) -> u32 {
    let meant_for = if kind == WorkerKind::Hybrid { SOURCE_ONLY_MIB } else { ALONE_MIB };
    HEAP_MIB + memory_mib.saturating_sub(meant_for)
}

pub(super) fn check(plan: &Plan, problems: &mut Vec<Problem>) {
    for pipeline in &plan.tables {
        let enough = enough(pipeline, problems);
        match pipeline.worker.kind {
            _ if !enough => {}
            WorkerKind::Native => native(pipeline, problems),
            WorkerKind::KafkaConnect | WorkerKind::Hybrid => heap(pipeline, problems),
        }
        processor(pipeline, problems);
    }
}

fn key(pipeline: &PipelinePlan, key: &str) -> String {
    format!("tables.{}.{key}", pipeline.names.table)
}

/// Whether there is as much as the kind of worker was ever seen to run in.
fn enough(pipeline: &PipelinePlan, problems: &mut Vec<Problem>) -> bool {
    let worker = &pipeline.worker;
    let least = match worker.kind {
        WorkerKind::KafkaConnect if pipeline.connector(Role::Sink).is_some() => WITH_SINK_MIB,
        WorkerKind::KafkaConnect => SOURCE_ONLY_MIB,
        WorkerKind::Hybrid => SOURCE_ONLY_MIB + HYBRID_NATIVE_MIB,
        WorkerKind::Native => u32::try_from(NATIVE_BASE_BYTES / MIB).unwrap_or_default() + 1,
    };
    if worker.memory_mib < least {
        let what = format!("{}MiB is too little for {}", worker.memory_mib, worker.kind.name());
        let fix = format!("set {least}MiB or more, or another worker.kind");
        let why = "it would be killed, started again, and killed again";
        problems.push(Problem::new(key(pipeline, "worker.memory"), what, fix).because(why));
    }
    worker.memory_mib >= least
}

fn number(pipeline: &PipelinePlan, role: Role, key: &str) -> u64 {
    pipeline.connector(role).and_then(|connector| connector.config.get(key)?.parse().ok()).unwrap_or(0)
}

/// The buffers of all that runs in the JVM must leave the heap its base.
fn heap(pipeline: &PipelinePlan, problems: &mut Vec<Problem>) {
    let worker = &pipeline.worker;
    let hybrid = worker.kind == WorkerKind::Hybrid;
    let memory_mib = if hybrid { worker.memory_mib - HYBRID_NATIVE_MIB } else { worker.memory_mib };
    let heap_bytes = u64::from(heap_mib(worker.kind, memory_mib)) * MIB;
    let source = pipeline
        .connector(Role::Source)
        .map_or(0, |_| number(pipeline, Role::Source, "max.queue.size.in.bytes") + PRODUCER_BYTES);
    let data = pipeline.topics.iter().find(|topic| topic.name == pipeline.names.data_topic);
    let partitions = data.map_or(1, |topic| u64::from(topic.partitions.unsigned_abs()));
    let has_sink = !hybrid && pipeline.connector(Role::Sink).is_some();
    let sink = if has_sink { FETCH_BYTES + partitions.saturating_mul(JVM_PART_BYTES) } else { 0 };
    let (needed, room) = (source.saturating_add(sink), heap_bytes - HEAP_BASE_MIB * MIB);
    if needed <= room {
        return;
    }
    let size = |bytes: u64| format!("{}MiB", bytes.div_ceil(MIB));
    let what = format!(
        "the connectors' buffers take {} (source {}, sink {} with {partitions} partitions), and a heap of {} has room for {}",
        size(needed),
        size(source),
        size(sink),
        size(heap_bytes),
        size(room)
    );
    let more = u64::from(worker.memory_mib).saturating_add((needed - room).div_ceil(MIB));
    let fix = format!("set worker.memory to {more}MiB, or less in source.queue_bytes or topic.partitions");
    let why = "a worker out of heap commits nothing and starts again, for ever";
    problems.push(Problem::new(key(pipeline, "worker.memory"), what, fix).because(why));
}

fn native(pipeline: &PipelinePlan, problems: &mut Vec<Problem>) {
    let queue = number(pipeline, Role::Source, "max.queue.size.in.bytes");
    let memory = u64::from(pipeline.worker.memory_mib) * MIB;
    if queue + NATIVE_BASE_BYTES > memory {
        let what = format!(
            "{} beside {} that the worker takes itself is more than worker.memory, {}",
            ByteSize(queue),
            ByteSize(NATIVE_BASE_BYTES),
            ByteSize(memory)
        );
        let least = ByteSize(memory.saturating_sub(NATIVE_BASE_BYTES));
        let fix = format!("set {least} or less, or more in worker.memory");
        problems.push(Problem::new(key(pipeline, "source.queue_bytes"), what, fix));
    }
}

fn processor(pipeline: &PipelinePlan, problems: &mut Vec<Problem>) {
    let (request, limit) = (pipeline.worker.cpu_request_millis, pipeline.worker.cpu_limit_millis);
    if request > limit || limit < 50 || request < 5 {
        let what = format!("a request of {request}m and a limit of {limit}m of processor time do not go together");
        let fix = "declare a request of 5m or more, and a limit of 50m or more that is not below it";
        problems.push(Problem::new(key(pipeline, "worker"), what, fix));
    }
}
