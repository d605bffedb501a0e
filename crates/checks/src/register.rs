//! The checks and their codes. A code is never given to another check.

use serde::Serialize;

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The worker process.
    Worker,
    /// Its connectors and tasks.
    Connector,
    /// The server that rows come from.
    Postgres,
    /// Topics and groups.
    Kafka,
    /// Objects.
    S3,
    /// The rows themselves.
    Data,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Worker, Self::Connector, Self::Postgres, Self::Kafka, Self::S3, Self::Data];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Connector => "connector",
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::S3 => "s3",
            Self::Data => "data",
        }
    }
}

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its code.
    pub code: &'static str,
    /// What it is about.
    pub category: Category,
    /// What should be.
    pub title: &'static str,
    /// What is looked at.
    pub looks: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do if it is not so.
    pub remedy: &'static str,
}

const fn check(code: &'static str, category: Category, [title, looks, why, remedy]: [&'static str; 4]) -> Check {
    Check { code, category, title, looks, why, remedy }
}

/// All checks, in the order of their codes.
pub const CHECKS: &[Check] = &[
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
        "DP0301",
        Category::Postgres,
        [
            "PostgreSQL answers",
            "A session as the pipeline's role.",
            "The source needs the same server, role and password.",
            "The message says what failed: the address, the network, the role or the password.",
        ],
    ),
    check(
        "DP0302",
        Category::Postgres,
        [
            "wal_level is logical",
            "`SHOW wal_level`.",
            "Without it the log does not hold what logical decoding needs.",
            "`ALTER SYSTEM SET wal_level = logical`, and restart the server.",
        ],
    ),
    check(
        "DP0303",
        Category::Postgres,
        [
            "the slot exists and is the pipeline's",
            "`pg_replication_slots`: the slot's plugin and database.",
            "The slot keeps the log that the source has not read yet. Without it changes are gone.",
            "If the table was never started: start it. If the slot was dropped, rows may be missing downstream: start anew with a snapshot (the worker's error says how).",
        ],
    ),
    check(
        "DP0304",
        Category::Postgres,
        [
            "the slot is held by the source",
            "`active_pid` of the slot.",
            "A slot that nobody reads holds back the log of the whole server, until the disk is full or the slot is lost.",
            "See why the source does not run (DP0202). If the table is not to be captured any more, stop its worker and drop the slot.",
        ],
    ),
    check(
        "DP0305",
        Category::Postgres,
        [
            "the slot has the log that it needs, and holds back little",
            "`wal_status`, `safe_wal_size` and the bytes from `restart_lsn` to the log's end.",
            "A slot that is `lost` has missed changes for good. One that is `unreserved` is about to.",
            "Let the source catch up. Raise `max_slot_wal_keep_size` if the disk has room. A lost slot needs a new snapshot.",
        ],
    ),
    check(
        "DP0306",
        Category::Postgres,
        [
            "the publication publishes exactly this table, and everything",
            "`pg_publication_tables`, and the operations of `pg_publication`.",
            "A publication that lacks the table gives silence without an error; one with more tables costs every worker their traffic; an operation that is left out is lost.",
            "`ALTER PUBLICATION .. SET TABLE ..`, `ALTER PUBLICATION .. SET (publish = 'insert, update, delete, truncate')`.",
        ],
    ),
    check(
        "DP0307",
        Category::Postgres,
        [
            "the table says enough about old rows",
            "`relkind`, `relpersistence`, `relreplident`, the primary key, and columns whose values may be stored out of line.",
            "Without a replica identity UPDATE and DELETE are refused by the server. Large values that an update leaves alone are in the log under FULL only.",
            "`ALTER TABLE .. REPLICA IDENTITY FULL`, or add a primary key. Unlogged tables are in no log; of partitioned ones each partition is a table.",
        ],
    ),
    check(
        "DP0308",
        Category::Postgres,
        [
            "slots and senders are left",
            "`max_replication_slots`, `max_wal_senders`, and how many of each there are.",
            "A resumed snapshot needs one more of each for a moment, and so does the next table.",
            "Raise both, and restart the server; or drop slots that nobody needs (DP0310).",
        ],
    ),
    check(
        "DP0309",
        Category::Postgres,
        [
            "the role has its rights",
            "REPLICATION, and SELECT on the table.",
            "Without the first there is no stream, without the second no snapshot.",
            "`ALTER ROLE .. REPLICATION`, `GRANT SELECT ON .. TO ..`.",
        ],
    ),
    check(
        "DP0310",
        Category::Postgres,
        [
            "no slot is left over",
            "Slots named like ours (`debezium_slot_..`) that belong to no table of the plan and are held by nobody.",
            "Each one holds back the log of the whole server.",
            "If it is of no use any more: `SELECT pg_drop_replication_slot('..')`.",
        ],
    ),
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
        "DP0501",
        Category::S3,
        [
            "the bucket can be listed",
            "The objects below the table's prefix, with the sink's keys.",
            "The sink needs the same endpoint, bucket and keys.",
            "The message says what failed: the endpoint, the keys, the bucket or its policy.",
        ],
    ),
    check(
        "DP0502",
        Category::S3,
        [
            "objects come",
            "The newest object by its name, and the latest time of a record in it.",
            "A sink that runs and writes nothing has nothing to write, or cannot.",
            "Compare with DP0403: without lag the table is quiet; with it, read the sink's log.",
        ],
    ),
    check(
        "DP0601",
        Category::Data,
        [
            "S3 holds what PostgreSQL holds",
            "With `--data`: every object of the table, folded to rows, and the table's own rows, compared by key; and whether the objects tile the topic.",
            "Everything else may be well and a row be wrong.",
            "The finding names keys. Rows that are under way count as lost until their object is written: ask again with `--wait`.",
        ],
    ),
];

/// A check's page in the documentation.
pub fn page(check: &Check) -> String {
    let Check { code, title, looks, why, remedy, .. } = check;
    let category = check.category.word();
    format!(
        "# {code}: {title}\n\nCategory: {category}.\n\n**What is looked at.** {looks}\n\n**Why it matters.** {why}\n\n**What to do.** \
         {remedy}\n"
    )
}

/// The page that leads to all pages.
pub fn index() -> String {
    let head = "# Checks\n\nWhat [`datapipe-verify`](../verify.md) looks at. A code is never given to another check.\n\n| code | about | what should be |\n|---|---|---|\n";
    let line = |check: &Check| {
        let Check { code, category, title, .. } = check;
        format!("| [{code}]({code}.md) | {} | {title} |\n", category.word())
    };
    CHECKS.iter().map(line).fold(head.to_owned(), |text, line| text + &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_their_own() {
        assert!(CHECKS.is_sorted_by(|one, next| one.code < next.code));
        for check in CHECKS {
            let hundred = [1, 2, 3, 4, 5, 6][check.category as usize];
            assert!(check.code.starts_with(&format!("DP0{hundred}")), "{}", check.code);
            assert!([check.title, check.looks, check.why, check.remedy].iter().all(|text| !text.is_empty()));
        }
    }
}
