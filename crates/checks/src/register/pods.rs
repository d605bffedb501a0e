use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 2] = [
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
];
