//! Configurations for tests.

use datapipe_core::port::connect::ConfigMap;

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A source of `public.users`.
pub(crate) fn source(name: &str) -> ConfigMap {
    map(&[
        ("name", name),
        ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
        ("database.hostname", "localhost"),
        ("database.user", "cdc"),
        ("database.password", "hunter2"),
        ("database.dbname", "shop"),
        ("topic.prefix", "cdc"),
        ("table.include.list", "public.users"),
        ("plugin.name", "pgoutput"),
        ("slot.name", "debezium_slot_users"),
        ("publication.name", "dbz_publication_users"),
        ("publication.autocreate.mode", "disabled"),
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "isostring"),
        ("value.converter.replace.null.with.default", "false"),
        ("extended.headers.enabled", "false"),
    ])
}

/// A sink of `cdc.public.users` into a bucket.
pub(crate) fn sink(name: &str, bucket: &str) -> ConfigMap {
    let template = "table=users/year={{timestamp:unit=yyyy}}/month={{timestamp:unit=MM}}/day={{timestamp:unit=dd}}/\
                    hour={{timestamp:unit=HH}}/{{topic}}-{{partition:padding=true}}-{{start_offset:padding=true}}\
                    .jsonl.gz";
    map(&[
        ("name", name),
        ("connector.class", "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector"),
        ("topics", "cdc.public.users"),
        ("aws.access.key.id", "${env:ID}"),
        ("aws.secret.access.key", "${env:SECRET}"),
        ("aws.s3.bucket.name", bucket),
        ("aws.s3.region", "us-east-1"),
        ("file.name.template", template),
        ("file.name.timestamp.source", "EVENT"),
        ("format.output.type", "jsonl"),
        ("format.output.envelope", "false"),
        ("transforms", "drop"),
        ("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter"),
        ("transforms.drop.predicate", "tomb"),
        ("predicates", "tomb"),
        ("predicates.tomb.type", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
    ])
}
