use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 5] = [
    check(
        "DP0901",
        Category::Network,
        [
            "DNS answers",
            "Each server's name, resolved from where the worker is: with `--inside` from a pod with the worker's labels, without a cluster from where `datapipe-verify` runs.",
            "Without DNS no server that is named is found, and everything else looks as if all servers were away at once.",
            "On Kubernetes see whether the network policy `allow-dns` is there and whether `kube-dns` has pods that run; elsewhere `getent hosts NAME` and `/etc/resolv.conf`.",
        ],
    ),
    check(
        "DP0902",
        Category::Network,
        [
            "the way to PostgreSQL is open",
            "A connection to host and port of `postgres`, from where the worker is. Tables with a source need it.",
            "What closes a way is none of the server's logs: a network policy, a firewall, a name that is wrong. A worker keeps connections that it has, so it may seem well until it is started again.",
            "No such name: compare the setting with the Service's name and namespace. Refused: nothing listens there (see the server's pod and the Service's endpoints), or a policy rejects. No answer: a policy or a firewall drops. `kubectl describe networkpolicy -n data-ingestion` shows what is allowed, `datapipe-deploy diff` what of it is not as planned.",
        ],
    ),
    check(
        "DP0903",
        Category::Network,
        [
            "the ways to all brokers are open",
            "Connections to each bootstrap server, and to the address that each broker tells its clients, from where the worker is.",
            "Clients talk to the leader of a partition at the address that the broker tells: a bootstrap server that answers is not enough.",
            "As for DP0902. If only an address that nobody has set is closed, it is a broker's `advertised.listeners`: it must lead to the broker from where the workers are.",
        ],
    ),
    check(
        "DP0904",
        Category::Network,
        [
            "the way to the store is open",
            "A connection to the host and port of `s3.endpoint`, or to AWS's of the region, from where the worker is. Tables with a sink need it.",
            "A sink without its store goes on trying, and the topic's retention decides how long that may last.",
            "As for DP0902. A store outside of the cluster may need a proxy or a policy for its addresses: policies know no names.",
        ],
    ),
    check(
        "DP0905",
        Category::Network,
        [
            "the way to the worker's REST port is open",
            "Whether `datapipe-verify` reaches the port by which connectors and metrics are asked for; with `--inside` through the API server.",
            "A worker that nobody reaches may run well, and cannot be asked.",
            "No such name: `--host` is wrong. No answer: a firewall, or a NodePort that is not let through; `--inside` goes by the API server. A port that refuses is no fault of the network: DP0101 tells of it.",
        ],
    ),
];
