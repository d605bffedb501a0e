use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 9] = [
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
    check(
        "DP0805",
        Category::Kubernetes,
        [
            "the Service leads to the worker's pod",
            "With `--pods`: the selector of the worker's Service beside the labels of its pods.",
            "A Service without a pod refuses connections, though the pod is ready: the table's port is dead, and rows flow all the same.",
            "Compare `kubectl get service -o wide` with `kubectl get pods --show-labels`; DP0806 says whether the Service was changed.",
        ],
    ),
    check(
        "DP0806",
        Category::Kubernetes,
        [
            "the worker's objects are the plan's",
            "With `--pods` and `--deployed`: Deployment, Service and ConfigMap beside what `datapipe-deploy` would send, by a dry run of the API server, which needs the right to patch them and changes nothing. What others have added is no difference.",
            "What was changed by hand is lost with the next `apply`, or keeps it from being made; until then the worker runs with other limits, another image, or not at all. So whatever is wrong with the pod is taken for its consequence.",
            "If the change is wanted, put it into the settings. Otherwise send the rendered file again with `kubectl apply --server-side --force-conflicts --field-manager datapipe-deploy -f FILE`.",
        ],
    ),
    check(
        "DP0807",
        Category::Kubernetes,
        [
            "network policies are the plan's",
            "With `--pods` and `--deployed`: the worker's policy and those that all workers need (names, servers, what is denied), as for DP0806.",
            "An edge that is missing keeps a worker from its server; connections that exist go on until they end, so that it shows hours later.",
            "As for DP0806, with `03-network-policies-multi-instance.yaml`.",
        ],
    ),
    check(
        "DP0808",
        Category::Kubernetes,
        [
            "a JVM worker's heap has room",
            "With `--pods`: the `-Xmx` of the JVM's command, and the collections that the last 2000 lines of its container's log tell of (1 MiB at most; `-Xlog:gc`, which every rendered worker has; of other lines nothing is kept). The least that the last ten of them left is in use. Above 85 % of `-Xmx` it is too much, if three or more were of the whole heap: the defaults allow a worker that falls behind to hold 78 %. Of the last ten minutes half may be spent in collections, the JVM's first minute left out: a worker that catches up at its limit of processor time spends a fifth.",
            "A heap that is nearly full is collected over and over: the worker slows down, answers late, and ends at last (`-XX:+ExitOnOutOfMemoryError`).",
            "Raise `worker.memory`: what a JVM gets beyond its default is heap. Or lower `source.queue_bytes`. Much time in collections that leave little says that the processor is short.",
        ],
    ),
    check(
        "DP0809",
        Category::Kubernetes,
        [
            "containers are not near their memory limits",
            "With `--pods`: what each container of the worker's pods takes (`metrics.k8s.io/v1beta1`, as `kubectl top pod --containers` shows it: without page cache that is not in use), beside its limit. Above 95 % is too near: JVMs were seen at 88 % of their limits under load, by design. Without metrics-server it is skipped.",
            "At its limit a container is killed, and its table stands still until it has started again.",
            "Raise `worker.memory`, or look for what grows: DP0808 says how full a JVM's heap is, which is a part of it only.",
        ],
    ),
];
