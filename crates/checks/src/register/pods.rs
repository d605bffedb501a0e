use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 4] = [
    check(
        "DP0801",
        Category::Kubernetes,
        [
            "the worker's pod is ready",
            "With `--pods`: the pods with the worker's `app` label, their conditions and the states of their containers.",
            "Without a pod nothing runs the table, and nothing answers on its port.",
            "The reason stands there: no node takes it, its image cannot be had, a Secret is missing, it was killed. `kubectl describe pod` has the rest.",
        ],
    ),
    check(
        "DP0802",
        Category::Kubernetes,
        [
            "no container was killed lately",
            "With `--pods`: how often containers were started again, how the last one ended, and when; memory limits.",
            "A worker that is killed at its memory limit comes back and is ready most of the time: only the count tells.",
            "Raise `worker.memory` (DP0103 says how much a native worker takes), or see the last words: `kubectl logs POD --previous`.",
        ],
    ),
    check(
        "DP0803",
        Category::Kubernetes,
        [
            "a pod can look from where the worker is",
            "With `--inside`: whether the pod that looks at PostgreSQL, Kafka and S3 could be made, came to its end and said something. It has the worker's labels, secrets and image, runs for a minute at most, and is deleted.",
            "Where it cannot run, nothing is known of the servers; and what keeps it from running may keep the worker's next pod from running, too.",
            "The reason stands there: `deploy.worker_image` cannot be had or has no `datapipe-run look`, a quota or Pod Security refuses it, no node has room, a Secret is missing, or your user may not make pods.",
        ],
    ),
    check(
        "DP0804",
        Category::Kubernetes,
        [
            "the worker's own test passes where the worker is",
            "With `--inside`: what `datapipe-run preflight` says in a pod with the worker's labels, as it does before a start. It tries the store's conditional writes with an object below `_datapipe/`, which it removes; nothing else is written.",
            "What needs a write is told by nothing else: a store that was replaced, keys that may only read.",
            "Each problem comes with its remedy.",
        ],
    ),
];
