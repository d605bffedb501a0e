use std::time::Duration;

use super::keys::POSTGRES_SOURCE;
use super::reader::{Reader, Unread};
use super::signals::SignalConfig;
use super::tables::table;
use super::{ConfigProblem, ConfigSecret};
use crate::envelope::{Columns, Nulls};
use crate::port::connect::ConfigMap;
use crate::table::SnapshotMode;
use crate::transform::Transforms;
use crate::value::{BinaryMode, DecimalMode, HstoreMode, IntervalMode, Modes, TimeMode};

const TRANSACTIONS: &str = "provide.transaction.metadata";

const JSON_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Whether keys carry their schema.
const KEY_SCHEMAS: &str = "key.converter.schemas.enable";
/// Whether values carry their schema.
const SCHEMAS: &str = "value.converter.schemas.enable";
/// Whether schemas carry comments.
const COMMENTS: &str = "include.schema.comments";
/// Whether a column's default stands in the place of NULL.
const KEY_NULLS: &str = "key.converter.replace.null.with.default";
const NULLS: &str = "value.converter.replace.null.with.default";
/// What becomes of a value that its mode has no form for.
const FORMLESS: &str = "datapipe.values.without.form";
/// What becomes of values that Debezium loses.
const LOST: &str = "datapipe.values.lost";
/// Whether rows without a key are read.
const KEYLESS: &str = "datapipe.snapshot.without.key";

/// A source connector: Debezium's PostgreSQL connector, as far as the native worker serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct SourceConfig {
    /// `name`: the connector.
    pub name: String,
    /// `database.hostname`
    pub host: String,
    /// `database.port`
    pub port: u16,
    /// `database.dbname`
    pub database: String,
    /// `database.user`
    pub user: String,
    /// `database.password`; none if the server asks for none.
    pub password: Option<ConfigSecret>,
    /// `topic.prefix`: the topic is `{prefix}.{schema}.{table}`, and envelopes carry it as `source.name`.
    pub topic_prefix: String,
    /// The schema of the one table that `table.include.list` and its like leave.
    pub schema: String,
    /// That table.
    pub table: String,
    /// `slot.name`
    pub slot: String,
    /// `publication.name`
    pub publication: String,
    /// `snapshot.mode`
    pub snapshot: SnapshotMode,
    /// `datapipe.snapshot.without.key`: rows of a table without a primary key are read too.
    pub keyless_snapshot: bool,
    /// `tombstones.on.delete`
    pub tombstones: bool,
    /// False if `skipped.operations` holds `t`, which is Debezium's default.
    pub truncates: bool,
    /// `heartbeat.interval.ms`, 100 ms to 1 h; without it, or with 0, 10 s.
    pub heartbeat: Duration,
    /// Where heartbeat records go, `{topic.heartbeat.prefix}.{topic.prefix}`; none without `heartbeat.interval.ms`, as in
    /// Debezium.
    pub heartbeat_topic: Option<String>,
    /// `heartbeat.action.query`: a statement that runs with each of them.
    pub heartbeat_query: Option<String>,
    /// Where signals come from.
    pub signals: SignalConfig,
    /// `max.batch.size`: the most rows handed on at once.
    pub batch_rows_max: u32,
    /// `max.queue.size.in.bytes`: the most bytes that wait for Kafka, 1 MiB to 1 GiB; without it, or with 0, 16 MiB.
    pub queue_bytes_max: u64,
    /// `datapipe.errors.deadletterqueue.topic.name`: where rows go that cannot be encoded or are too large; without
    /// it such a row stops the table. Kafka Connect has dead letters for sinks only.
    pub dead_letter_topic: Option<String>,
    /// The forms of values: `decimal.handling.mode` and its like.
    pub modes: Modes,
    /// Which columns records hold, how, and which make the key: `column.*` and `message.key.columns`.
    pub columns: Columns,
    /// Where the begins and ends of transactions are told, `{prefix}.transaction`; none without
    /// `provide.transaction.metadata`.
    pub transaction_topic: Option<String>,
    /// `transforms` and `predicates`.
    pub transforms: Transforms,
    /// `key.converter.schemas.enable`: keys carry their schema.
    pub key_schemas: bool,
    /// `value.converter.schemas.enable`: values carry their schema.
    pub schemas: bool,
    /// `key.converter.replace.null.with.default` and `value.converter.replace.null.with.default`
    pub nulls: Nulls,
    /// `datapipe.values.without.form=null`: a value that its mode has no form for is NULL.
    pub formless_null: bool,
    /// `datapipe.values.lost=drop`: what Debezium loses is lost here too.
    pub losses_too: bool,
    /// Keys that were given and change nothing here.
    pub ignored: Vec<String>,
    /// Keys that nobody knows, passed over under `datapipe.unknown.keys=ignore`.
    pub unknown: Vec<String>,
}

impl SourceConfig {
    /// The data topic.
    pub fn topic(&self) -> String {
        format!("{}.{}.{}", self.topic_prefix, self.schema, self.table)
    }

    /// Reads a connector's configuration; all problems at once.
    pub fn from_map(map: &ConfigMap) -> Result<Self, Vec<ConfigProblem>> {
        let mut reader = Reader::new(map, &POSTGRES_SOURCE);
        reader.class();
        let (schema, table) = table(&mut reader);
        // The default of Debezium is no heartbeat at all, and then an idle table's log is never released.
        let heartbeat_ms = reader.number_or_zero("heartbeat.interval.ms", 10_000, 100..=3_600_000, "milliseconds");
        let beats = reader.optional("heartbeat.interval.ms").is_some_and(|text| text != "0");
        let heartbeat_prefix = heartbeat_prefix(&mut reader);
        let topic_prefix = reader.required("topic.prefix", "cdc");
        let config = Self {
            name: reader.required("name", "postgres-cdc-users-connector").to_owned(),
            host: reader.required("database.hostname", "localhost").to_owned(),
            port: reader.number("database.port", 5432, 1..=65_535, "a port"),
            database: reader.required("database.dbname", "shop").to_owned(),
            user: reader.required("database.user", "cdc").to_owned(),
            password: reader.optional("database.password").map(ConfigSecret::from_text),
            topic_prefix: topic_prefix.to_owned(),
            schema,
            table,
            slot: reader.required("slot.name", "debezium_slot_users").to_owned(),
            publication: reader.required("publication.name", "dbz_publication_users").to_owned(),
            snapshot: snapshot_mode(&mut reader),
            keyless_snapshot: reader.boolean(KEYLESS, false),
            tombstones: reader.boolean("tombstones.on.delete", true),
            truncates: reader.choice("skipped.operations") == "none",
            heartbeat: Duration::from_millis(heartbeat_ms),
            heartbeat_topic: beats.then(|| format!("{heartbeat_prefix}.{topic_prefix}")),
            heartbeat_query: reader.optional("heartbeat.action.query").filter(|_| beats).map(str::to_owned),
            signals: SignalConfig::read(&mut reader, topic_prefix),
            batch_rows_max: reader.number("max.batch.size", 2048, 1..=1_000_000, "rows"),
            queue_bytes_max: reader.number_or_zero("max.queue.size.in.bytes", 16 << 20, 1 << 20..=1 << 30, "bytes"),
            dead_letter_topic: reader.optional("datapipe.errors.deadletterqueue.topic.name").map(str::to_owned),
            modes: modes(&mut reader),
            columns: columns(map, &mut reader),
            transaction_topic: reader.boolean(TRANSACTIONS, false).then(|| format!("{topic_prefix}.transaction")),
            transforms: transforms(map, &mut reader),
            key_schemas: reader.boolean(KEY_SCHEMAS, false),
            schemas: reader.boolean(SCHEMAS, false),
            nulls: Nulls {
                default_in_keys: reader.boolean(KEY_NULLS, true),
                default_in_values: reader.boolean(NULLS, true),
            },
            formless_null: reader.choice(FORMLESS) == "null",
            losses_too: reader.choice(LOST) == "drop",
            ignored: Vec::new(),
            unknown: Vec::new(),
        };
        if reader.boolean(COMMENTS, false) && (config.schemas || config.key_schemas) {
            reader.problem(COMMENTS, "is true, and schemas are written without comments", "set false");
        }
        let reads = |key: &&String| Transforms::reads(key) || Columns::reads(key) || SignalConfig::reads(key);
        let own = map.keys().filter(reads).cloned().collect();
        let Unread { ignored, unknown } = reader.finish(&own)?;
        Ok(Self { ignored, unknown, ..config })
    }

    /// The configuration as Kafka Connect takes it. It runs the same under Debezium: `lsn.flush.mode=connector`
    /// keeps the slot behind the stored offsets, and the heartbeat's query moves an idle slot on.
    pub fn to_map(&self) -> ConfigMap {
        let millis = |duration: Duration| duration.as_millis().to_string();
        let mut map: ConfigMap = FIXED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let values = [
            ("name", self.name.clone()),
            ("database.hostname", self.host.clone()),
            ("database.port", self.port.to_string()),
            ("database.dbname", self.database.clone()),
            ("database.user", self.user.clone()),
            ("topic.prefix", self.topic_prefix.clone()),
            ("table.include.list", format!("{}.{}", self.schema, self.table)),
            ("slot.name", self.slot.clone()),
            ("publication.name", self.publication.clone()),
            ("snapshot.mode", self.snapshot.name().to_owned()),
            ("tombstones.on.delete", self.tombstones.to_string()),
            ("skipped.operations", if self.truncates { "none" } else { "t" }.to_owned()),
            (
                "heartbeat.interval.ms",
                self.heartbeat_topic.as_ref().map_or_else(|| "0".to_owned(), |_| millis(self.heartbeat)),
            ),
            ("max.batch.size", self.batch_rows_max.to_string()),
            ("max.queue.size", (u64::from(self.batch_rows_max) * 4).to_string()),
            ("max.queue.size.in.bytes", self.queue_bytes_max.to_string()),
            (DecimalMode::KEY, self.modes.decimal.as_str().to_owned()),
            (TimeMode::KEY, self.modes.time.as_str().to_owned()),
            (KEY_SCHEMAS, self.key_schemas.to_string()),
            (SCHEMAS, self.schemas.to_string()),
            (NULLS, self.nulls.default_in_values.to_string()),
        ];
        map.extend(values.map(|(key, value)| (key.to_owned(), value)));
        // What is Debezium's default is left to it.
        let modes = [
            (IntervalMode::KEY, self.modes.interval.as_str(), Modes::DEBEZIUM.interval.as_str()),
            (BinaryMode::KEY, self.modes.binary.as_str(), Modes::DEBEZIUM.binary.as_str()),
            (HstoreMode::KEY, self.modes.hstore.as_str(), Modes::DEBEZIUM.hstore.as_str()),
        ];
        let other = modes.into_iter().filter(|(_, mode, default)| mode != default);
        map.extend(other.map(|(key, mode, _)| (key.to_owned(), mode.to_owned())));
        map.extend((!self.nulls.default_in_keys).then(|| (KEY_NULLS.to_owned(), "false".to_owned())));
        map.extend(self.transaction_topic.iter().map(|_| (TRANSACTIONS.to_owned(), "true".to_owned())));
        let prefix =
            self.heartbeat_topic.as_ref().and_then(|topic| topic.strip_suffix(&format!(".{}", self.topic_prefix)));
        map.extend(prefix.map(|prefix| (HEARTBEAT_PREFIX.to_owned(), prefix.to_owned())));
        self.signals.to_map(&mut map);
        map.extend(self.columns.keys().clone());
        map.extend(self.transforms.keys().clone());
        let optional = [
            ("database.password", self.password.as_ref().map(ConfigSecret::to_text)),
            ("datapipe.errors.deadletterqueue.topic.name", self.dead_letter_topic.clone()),
            ("heartbeat.action.query", self.heartbeat_query.clone()),
        ];
        map.extend(self.formless_null.then(|| (FORMLESS.to_owned(), "null".to_owned())));
        map.extend(self.losses_too.then(|| (LOST.to_owned(), "drop".to_owned())));
        map.extend(self.keyless_snapshot.then(|| (KEYLESS.to_owned(), "true".to_owned())));
        map.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        map
    }
}

/// What is the same for every table.
const FIXED: &[(&str, &str)] = &[
    ("connector.class", POSTGRES_SOURCE.class),
    ("tasks.max", "1"),
    ("plugin.name", "pgoutput"),
    ("publication.autocreate.mode", "disabled"),
    ("lsn.flush.mode", "connector"),
    ("exactly.once.support", "required"),
    ("transaction.boundary", "poll"),
    ("errors.tolerance", "none"),
    ("key.converter", JSON_CONVERTER),
    ("value.converter", JSON_CONVERTER),
    ("extended.headers.enabled", "false"),
    // The heartbeat's query writes a logical message. As an event it would want a topic of its own, and Debezium waits
    // for ever for one that is not there.
    ("message.prefix.exclude.list", ".*"),
];

const HEARTBEAT_PREFIX: &str = "topic.heartbeat.prefix";

fn heartbeat_prefix(reader: &mut Reader<'_>) -> String {
    let older = reader.optional("heartbeat.topics.prefix");
    reader.optional(HEARTBEAT_PREFIX).or(older).unwrap_or("__debezium-heartbeat").to_owned()
}

fn snapshot_mode(reader: &mut Reader<'_>) -> SnapshotMode {
    let name = reader.choice("snapshot.mode");
    SnapshotMode::ALL.into_iter().find(|mode| mode.name() == name).unwrap_or(SnapshotMode::Initial)
}

/// The forms of values; where a key is absent, Debezium's default.
fn modes(reader: &mut Reader<'_>) -> Modes {
    let Modes { decimal, time, interval, binary, hstore } = Modes::DEBEZIUM;
    Modes {
        decimal: DecimalMode::parse(reader.choice(DecimalMode::KEY)).unwrap_or(decimal),
        time: TimeMode::parse(reader.choice(TimeMode::KEY)).unwrap_or(time),
        interval: IntervalMode::parse(reader.choice(IntervalMode::KEY)).unwrap_or(interval),
        binary: BinaryMode::parse(reader.choice(BinaryMode::KEY)).unwrap_or(binary),
        hstore: HstoreMode::parse(reader.choice(HstoreMode::KEY)).unwrap_or(hstore),
    }
}

fn columns(map: &ConfigMap, reader: &mut Reader<'_>) -> Columns {
    Columns::from_config(map).unwrap_or_else(|problems| {
        for (key, why) in problems {
            reader.problem(&key, why, "correct it, or keep this table on a kafka-connect worker");
        }
        Columns::default()
    })
}

fn transforms(map: &ConfigMap, reader: &mut Reader<'_>) -> Transforms {
    Transforms::from_config(map).unwrap_or_else(|problems| {
        for problem in problems {
            reader.problem(&problem.key, problem.why, "correct it, or keep this table on a kafka-connect worker");
        }
        Transforms::default()
    })
}
