use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 6] = [
    check(
        "DP0201",
        Category::Connector,
        [
            "the planned connectors are there",
            "`GET /connectors?expand=info&expand=status`, and the plan.",
            "Without its connector no row of the table moves.",
            "`datapipe-run start` and `datapipe-deploy apply` put the plan's connectors.",
        ],
    ),
    check(
        "DP0202",
        Category::Connector,
        [
            "connectors and all their tasks run",
            "The states of the connector and of every task.",
            "A connector stays RUNNING when its task has failed: only both together mean that rows flow.",
            "The first line of the task's trace says why. When that is mended: `curl -X POST localhost:PORT/connectors/NAME/restart?includeTasks=true&onlyFailed=true`.",
        ],
    ),
    check(
        "DP0203",
        Category::Connector,
        [
            "live configurations are the plan's",
            "Each key of the plan in the live configuration. Keys that the worker adds, and masked secrets, are no difference.",
            "What somebody changed by REST is planned again by the next start, and until then runs as nobody wrote it down.",
            "Put the change into the settings (`[source.config]`, `[sink.config]`), or start again to have the plan's.",
        ],
    ),
    check(
        "DP0204",
        Category::Connector,
        [
            "the connectors' plugins are there, in a version that loses nothing",
            "`GET /connector-plugins`, and the classes of the connectors.",
            "Debezium before 3.7 may lose rows for good at a restart, also with exactly-once on, and no log says so.",
            "Put the plugin into the worker's plugin path, in version 3.7 or later, and restart the worker.",
        ],
    ),
    check(
        "DP0205",
        Category::Connector,
        [
            "rows are sent exactly once",
            "`exactly.once.support` of the source. A native worker sends rows and progress in one Kafka transaction always.",
            "Without it a crash sends rows twice: as many as were sent since the last stored offset.",
            "Set `exactly.once.source.support=enabled` for the worker and `exactly.once.support=required` for the connector; `datapipe-deploy` does so where the versions allow it.",
        ],
    ),
    check(
        "DP0206",
        Category::Connector,
        [
            "the worker runs this table's connectors alone",
            "The connectors of the worker beside the plan's.",
            "Connectors of one worker share its memory, its restarts and its internal topics: a fault of one is a fault of all.",
            "Run the other connector on a worker of its own, and take it away here: `curl -X DELETE localhost:PORT/connectors/NAME`.",
        ],
    ),
];
