//! Every name of the contract, derived from the table alone. No other file makes one.
//!
//! `{table}` is the SQL name (`order_items`), `{slug}` its dashed form (`order-items`). SQL objects and S3 keys use
//! the table; everything in Kafka, Kafka Connect and Kubernetes uses the slug, the data topic excepted.

use serde::Serialize;

use crate::progress;

/// The longest identifier that PostgreSQL keeps whole, in bytes (`NAMEDATALEN - 1`). Slots have the same limit.
pub const POSTGRES_NAME_BYTES_MAX: usize = 63;
/// The longest topic name that Kafka accepts, in bytes.
pub const KAFKA_TOPIC_BYTES_MAX: usize = 249;
/// The longest DNS label (RFC 1123), and so the longest name or label value in Kubernetes, in bytes.
pub const KUBERNETES_NAME_BYTES_MAX: usize = 63;

/// A name that the contract derives, but that its system would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object} {name:?} {rule}; {remedy}")]
pub struct NameError {
    /// What bears the name, as `replication slot`.
    pub object: &'static str,
    /// The name.
    pub name: String,
    /// The rule that it breaks.
    pub rule: String,
    /// What to do about it.
    pub remedy: String,
}

/// All names of one table's pipeline. Made by [`Names::derive`], so each of them is one that its system accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Names {
    /// The table's SQL name: `order_items`.
    pub table: String,
    /// Its dashed form: `order-items`.
    pub slug: String,
    /// The worker, its Deployment and its `app` label: `kafka-connect-{slug}`.
    pub worker: String,
    /// Kafka Connect's `group.id`: `connect-cluster-{slug}`.
    pub group: String,
    /// The compacted topic of connector configurations: `connect-configs-{slug}`.
    pub configs_topic: String,
    /// The compacted topic of source offsets: `connect-offsets-{slug}`.
    pub offsets_topic: String,
    /// The compacted topic of statuses: `connect-status-{slug}`.
    pub status_topic: String,
    /// The topic of rows that could not be handled: `connect-dlq-{slug}`.
    pub dead_letter_topic: String,
    /// The source connector: `postgres-cdc-{slug}-connector`.
    pub source_connector: String,
    /// The sink connector: `s3-sink-{slug}-connector`.
    pub sink_connector: String,
    /// The sink's consumer group, as Kafka Connect names it: `connect-{sink connector}`.
    pub sink_group: String,
    /// The replication slot: `debezium_slot_{table}`.
    pub slot: String,
    /// The publication: `dbz_publication_{table}`.
    pub publication: String,
    /// The data topic, as Debezium names it: `{prefix}.{schema}.{table}`.
    pub data_topic: String,
    /// What Debezium puts before `.{prefix}` in its heartbeat topic. It holds the slug, because the default topic
    /// is shared by all connectors with the same prefix.
    pub heartbeat_prefix: String,
    /// The transactional id of the source's only task, as Kafka Connect forms it: `{group}-{source connector}-0`.
    pub transactional_id: String,
    /// The key of the source's record in the offsets topic.
    pub offset_key: String,
    /// What every object's key starts with: `table={table}/`.
    pub object_prefix: String,
}

impl Names {
    /// Derives all names of a table's pipeline, or says which of them their systems would refuse.
    pub fn derive(topic_prefix: &str, schema: &str, table: &str) -> Result<Self, Vec<NameError>> {
        let inputs = [check_table(table), check_schema(schema), check_topic_prefix(topic_prefix)];
        let refused: Vec<NameError> = inputs.into_iter().filter_map(Result::err).collect();
        if !refused.is_empty() {
            return Err(refused);
        }
        let names = Self::format(topic_prefix, schema, table);
        let refused = names.too_long(topic_prefix);
        if refused.is_empty() { Ok(names) } else { Err(refused) }
    }

    fn format(topic_prefix: &str, schema: &str, table: &str) -> Self {
        let slug = slug(table);
        let group = format!("connect-cluster-{slug}");
        let source_connector = format!("postgres-cdc-{slug}-connector");
        let sink_connector = format!("s3-sink-{slug}-connector");
        let offset_key = progress::offset_key(&source_connector, topic_prefix);
        Self {
            table: table.to_owned(),
            worker: format!("kafka-connect-{slug}"),
            configs_topic: format!("connect-configs-{slug}"),
            offsets_topic: format!("connect-offsets-{slug}"),
            status_topic: format!("connect-status-{slug}"),
            dead_letter_topic: format!("connect-dlq-{slug}"),
            sink_group: format!("connect-{sink_connector}"),
            slot: format!("debezium_slot_{table}"),
            publication: format!("dbz_publication_{table}"),
            data_topic: format!("{topic_prefix}.{schema}.{table}"),
            heartbeat_prefix: format!("__debezium-heartbeat-{slug}"),
            transactional_id: format!("{group}-{source_connector}-0"),
            offset_key: String::from_utf8(offset_key).expect("JSON is UTF-8"),
            object_prefix: format!("table={table}/"),
            slug,
            group,
            source_connector,
            sink_connector,
        }
    }

    /// The names of a native sink beside a JVM worker: a group and internal topics of its own, because the JVM worker
    /// would try to start every connector that it finds in its own topics.
    #[must_use]
    pub fn of_hybrid_sink(&self) -> Self {
        let own = |name: &String| format!("{name}-sink");
        Self {
            group: own(&self.group),
            configs_topic: own(&self.configs_topic),
            offsets_topic: own(&self.offsets_topic),
            status_topic: own(&self.status_topic),
            ..self.clone()
        }
    }

    /// The characters follow from the inputs' rules; the lengths do not.
    fn too_long(&self, topic_prefix: &str) -> Vec<NameError> {
        let heartbeat_topic = format!("{}.{topic_prefix}", self.heartbeat_prefix);
        let hybrid_topic = self.of_hybrid_sink().configs_topic;
        let limits = [
            ("publication", &self.publication, POSTGRES_NAME_BYTES_MAX),
            ("replication slot", &self.slot, POSTGRES_NAME_BYTES_MAX),
            ("Deployment", &self.worker, KUBERNETES_NAME_BYTES_MAX),
            ("topic", &hybrid_topic, KAFKA_TOPIC_BYTES_MAX),
            ("topic", &self.data_topic, KAFKA_TOPIC_BYTES_MAX),
            ("topic", &heartbeat_topic, KAFKA_TOPIC_BYTES_MAX),
        ];
        let over = limits.into_iter().filter(|(_, name, bytes_max)| name.len() > *bytes_max);
        over.map(|(object, name, bytes_max)| NameError {
            object,
            name: name.clone(),
            rule: format!("has {} bytes, and at most {bytes_max} are allowed", name.len()),
            remedy: format!(
                "take {} bytes off the name of table {:?} or off topic.prefix",
                name.len() - bytes_max,
                self.table
            ),
        })
        .collect()
    }
}

/// The dashed form of a table's name.
pub fn slug(table: &str) -> String {
    table.replace('_', "-")
}

/// The slug is part of Kubernetes names, the table of slot names (`[a-z0-9_]`): only what serves both is allowed.
fn check_table(table: &str) -> Result<(), NameError> {
    let starts = table.starts_with(|c: char| c.is_ascii_lowercase());
    let ends = !table.ends_with('_');
    let inside = table.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if starts && ends && inside {
        return Ok(());
    }
    Err(NameError {
        object: "table",
        name: table.to_owned(),
        rule: "must be lower-case letters, digits and underscores, start with a letter and not end in an underscore, \
               because slot and Deployment are named after it"
            .to_owned(),
        remedy: "rename the table (ALTER TABLE .. RENAME TO ..) or correct its declaration".to_owned(),
    })
}

fn check_schema(schema: &str) -> Result<(), NameError> {
    let starts = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let inside = schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if starts && inside && schema.len() <= POSTGRES_NAME_BYTES_MAX {
        return Ok(());
    }
    Err(NameError {
        object: "schema",
        name: schema.to_owned(),
        rule: "must be 1 to 63 lower-case letters, digits and underscores, and not start with a digit, because the \
               topic is named after it"
            .to_owned(),
        remedy: "rename the schema or correct the table's declaration".to_owned(),
    })
}

fn check_topic_prefix(prefix: &str) -> Result<(), NameError> {
    let inside = prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let starts = prefix.starts_with(|c: char| c.is_ascii_alphanumeric());
    if inside && starts && !prefix.ends_with('.') {
        return Ok(());
    }
    Err(NameError {
        object: "topic prefix",
        name: prefix.to_owned(),
        rule:
            "must be letters, digits, dots, underscores and dashes, start with a letter or digit and not end in a dot"
                .to_owned(),
        remedy: "set topic.prefix to a plain word such as \"cdc\"".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_contract_names_users() {
        let names = Names::derive("cdc", "public", "users").unwrap();
        insta::assert_json_snapshot!(names);
    }

    #[test]
    fn sql_and_objects_use_the_table_the_rest_uses_the_slug() {
        let names = Names::derive("cdc", "public", "order_items").unwrap();
        insta::assert_json_snapshot!(names);
    }

    #[test]
    fn the_longest_table_is_ruled_by_the_publication() {
        assert!(Names::derive("cdc", "public", &"a".repeat(47)).is_ok());
        let errors = Names::derive("cdc", "public", &"a".repeat(48)).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].object, errors[0].name.len()), ("publication", 64));
    }

    #[test]
    fn errors_name_object_rule_and_remedy() {
        let errors = Names::derive("cdc.", "Public", "Order Items").unwrap_err();
        let text: Vec<String> = errors.iter().map(NameError::to_string).collect();
        assert_eq!(text.len(), 3);
        assert!(text[0].starts_with("table \"Order Items\" must be lower-case"), "{}", text[0]);
        assert!(text[2].ends_with("set topic.prefix to a plain word such as \"cdc\""), "{}", text[2]);
    }

    fn dns_label(name: &str) -> bool {
        let inside = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        inside && !name.is_empty() && name.len() <= 63 && !name.starts_with('-') && !name.ends_with('-')
    }

    fn topic(name: &str) -> bool {
        let inside = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        inside && (1..=249).contains(&name.len()) && name != "." && name != ".."
    }

    fn slot(name: &str) -> bool {
        let inside = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        inside && (1..=63).contains(&name.len())
    }

    proptest! {
        #[test]
        fn what_is_derived_is_accepted_by_its_system(
            prefix in "[a-zA-Z0-9._-]{0,160}", schema in "[a-z0-9_]{0,70}", table in "[a-z][a-z0-9_]{0,60}",
        ) {
            if let Ok(names) = Names::derive(&prefix, &schema, &table) {
                prop_assert!(dns_label(&names.worker) && dns_label(&names.slug));
                prop_assert!(slot(&names.slot) && slot(&names.publication));
                for name in [&names.configs_topic, &names.offsets_topic, &names.status_topic,
                             &names.dead_letter_topic, &names.data_topic] {
                    prop_assert!(topic(name), "{}", name);
                }
            }
        }

        #[test]
        fn any_text_is_accepted_or_refused_with_words(prefix: String, schema: String, table: String) {
            if let Err(errors) = Names::derive(&prefix, &schema, &table) {
                prop_assert!(!errors.is_empty());
                prop_assert!(errors.iter().all(|error| !error.rule.is_empty() && !error.remedy.is_empty()));
            }
        }

        #[test]
        fn two_tables_share_no_name(a in "[a-z][a-z0-9_]{0,40}", b in "[a-z][a-z0-9_]{0,40}") {
            prop_assume!(a != b);
            if let (Ok(a), Ok(b)) = (Names::derive("cdc", "public", &a), Names::derive("cdc", "public", &b)) {
                let all = |names: &Names| match serde_json::to_value(names) {
                    Ok(serde_json::Value::Object(map)) => map,
                    other => panic!("{other:?}"),
                };
                for (name, value) in all(&a) {
                    prop_assert_ne!(&value, &all(&b)[&name], "{}", name);
                }
            }
        }
    }
}
