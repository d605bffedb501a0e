use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 3] = [
    check(
        "DP0101",
        Category::Worker,
        [
            "the worker answers",
            "`GET /` on the table's REST port.",
            "A worker that does not answer can neither be asked nor told anything; on Kubernetes its pod may be away or starting.",
            "See whether the process, or the pod, runs, and read its log. Compare the port with the plan (`datapipe-run plan`).",
        ],
    ),
    check(
        "DP0102",
        Category::Worker,
        [
            "the worker is healthy",
            "`GET /health`.",
            "A worker is unhealthy while Kafka does not answer it: tasks may still be RUNNING by their last status, and nothing moves.",
            "Read the reason that the worker gives; look at the brokers, and at the network between them and the worker.",
        ],
    ),
    check(
        "DP0103",
        Category::Worker,
        [
            "the worker has memory left and its tasks do not fail again and again",
            "`GET /metrics` of a native worker: resident memory beside the planned limit, and failed runs of its tasks: more than five, of which the last ended within 30 s. Kafka Connect has no such page: DP0808 and DP0809 tell of its memory.",
            "At its limit a pod is killed; a task that fails and is tried again is RUNNING most of the time.",
            "Raise `worker.memory`, or look for what grows. For failed runs read the worker's log: each one has its reason there.",
        ],
    ),
];
