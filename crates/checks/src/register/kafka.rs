use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 8] = [
    check(
        "DP0401",
        Category::Kafka,
        [
            "Kafka answers",
            "The cluster's id, from the bootstrap servers of the settings.",
            "Worker and sink need the same cluster.",
            "The message says what failed. On another network than the workers' the brokers' advertised addresses may not be reachable.",
        ],
    ),
    check(
        "DP0402",
        Category::Kafka,
        [
            "topics are there, and as planned",
            "Each planned topic: partitions, and the planned keys of its configuration.",
            "A worker that makes its topics itself takes the broker's defaults: internal topics that are not compacted forget configurations, a compacted data topic loses changes.",
            "`kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config KEY=VALUE`; a missing topic is made by `datapipe-run start` and `datapipe-deploy apply`.",
        ],
    ),
    check(
        "DP0403",
        Category::Kafka,
        [
            "the sink keeps up with its topic",
            "The offsets between the sink's group and the topic's end, and whether the group's next record is still kept. A native sink's group is a hint: the objects decide.",
            "Records that are deleted by age before the sink reads them are in no object.",
            "See whether the sink's task runs (DP0202) and its store answers (DP0501); raise `topic.retention`; give the sink more tasks.",
        ],
    ),
    check(
        "DP0404",
        Category::Kafka,
        [
            "the dead letter queue is empty",
            "Records in the table's dead letter queue.",
            "Each one is a row that is in no object, or that a reader could not use.",
            "Read them with their headers, which say why: `kafka-console-consumer.sh --topic connect-dlq-.. --from-beginning --property print.headers=true`.",
        ],
    ),
    check(
        "DP0405",
        Category::Kafka,
        [
            "the slot is not ahead of what is stored",
            "`confirmed_flush_lsn` of the slot, and the position in the offsets topic.",
            "What the slot has confirmed is never sent again. If less is stored, the changes between are gone without a word.",
            "Somebody has moved or made the slot anew, or the offsets topic was restored: start anew with a snapshot (the worker's error says how).",
        ],
    ),
    check(
        "DP0406",
        Category::Kafka,
        [
            "the worker's group is this table's alone, and at rest",
            "State, kind and members of the group `connect-cluster-..`.",
            "Whoever joins the group of another worker takes its tasks, or is refused; while a group rebalances nothing runs.",
            "Give the other worker a `group.id` of its own. A rebalance ends within a minute; one that begins again and again is a member that comes and goes.",
        ],
    ),
    check(
        "DP0407",
        Category::Kafka,
        [
            "no open transaction holds readers back",
            "The last stable offset beside the end of the data topic and of the offsets topic, and the time of the first record between them.",
            "Nobody who reads committed records sees past an open transaction: rows are in Kafka and do not come out.",
            "`kafka-transactions.sh describe-producers` names the producer; one that hangs is ended with `kafka-transactions.sh abort`. One of the table's own worker ends when the worker claims its id again. If it stays, Kafka was killed just as it ended and has lost how (4.3.1 takes a partition without a leader for a deleted one): abort it in the data topic and in the offsets topic. The worker then reads the rows again, or says that the slot is past them (DP0405), and the table needs a new snapshot.",
        ],
    ),
    check(
        "DP0408",
        Category::Kafka,
        [
            "records are kept until they are in objects",
            "`retention.ms` of the data topic beside the age of the oldest record that the sink has yet to read.",
            "What is deleted by age before the sink reads it is in no object.",
            "Let the sink catch up, and raise `topic.retention` at once: `kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config retention.ms=..`.",
        ],
    ),
];
