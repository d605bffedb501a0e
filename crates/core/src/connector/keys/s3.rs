//! Keys of Aiven's S3 sink connector.

use super::key::ConfigKey;
use super::key::Importance as I;
use super::key::Type as T;
use super::key::Width as W;
use super::key::key;

/// The bucket and how to reach it.
pub(super) const AWS: &[ConfigKey] = &[
    key("aws.access.key.id", T::Password, I::Medium, W::None, "Access key", "Id of the access key. Give a reference such as ${env:NAME}; a value in clear is kept in the configurations topic.").read(),
    key("aws.secret.access.key", T::Password, I::Medium, W::None, "Secret key", "Secret of the access key; a reference is best.").read(),
    key("aws.credentials.provider", T::Class, I::Medium, W::None, "Credential provider", "Java class that finds credentials when no key is set."),
    key("aws.s3.bucket.name", T::String, I::Medium, W::None, "Bucket", "Bucket that the objects are written to. It must exist.").read(),
    key("aws.s3.endpoint", T::String, I::Low, W::None, "Endpoint", "Address of an S3 server other than AWS's own.").read(),
    key("aws.s3.region", T::String, I::Medium, W::None, "Region", "Region of the bucket.").read(),
    key("aws.s3.part.size.bytes", T::Int, I::Medium, W::None, "Part size", "Bytes of one part of a JVM sink's upload. The native sink uploads an object in one request.").default("5242880").ignored(),
    key("aws.s3.prefix", T::String, I::Medium, W::None, "Prefix", "Folder put before file.name.template.").read(),
    key("aws.s3.sse.algorithm", T::String, I::Medium, W::None, "Server side encryption", "How the server encrypts objects."),
];

/// Access by a role.
pub(super) const STS: &[ConfigKey] = &[
    key("aws.sts.role.arn", T::String, I::Medium, W::None, "Role", "Role to be taken for writing."),
    key("aws.sts.role.session.name", T::String, I::Medium, W::None, "Session name", "Name of the role's session."),
    key(
        "aws.sts.role.session.duration",
        T::Int,
        I::Medium,
        W::None,
        "Session duration",
        "Seconds that the role's session lasts.",
    )
    .default("3600")
    .ignored(),
    key("aws.sts.role.external.id", T::String, I::Medium, W::None, "External id", "External id asked for by the role."),
    key("aws.sts.config.endpoint", T::String, I::Medium, W::None, "STS endpoint", "Address of the token service.")
        .default("https://sts.amazonaws.com")
        .ignored(),
];

/// Names and sizes of objects.
pub(super) const FILE: &[ConfigKey] = &[
    key(
        "file.name.template",
        T::String,
        I::Medium,
        W::Long,
        "Name template",
        "Keys of objects, from {{topic}}, {{partition}}, {{start_offset}} and {{timestamp:unit=..}}. See docs/sink.md.",
    )
    .read(),
    key("file.compression.type", T::String, I::Medium, W::None, "Compression", "Compression of objects.")
        .absent("gzip")
        .only(&["gzip", "none", "zstd", "snappy"]),
    key(
        "file.max.records",
        T::Int,
        I::Medium,
        W::Short,
        "Records per object",
        "The most records of an object; 0 for no limit.",
    )
    .default("0")
    .read(),
    key("file.name.timestamp.timezone", T::String, I::Low, W::Short, "Time zone", "Time zone of the hours in names.")
        .default("Z")
        .only(&["UTC", "Z"]),
    key(
        "file.name.timestamp.source",
        T::String,
        I::Low,
        W::Short,
        "Time source",
        "Where the hours in names come from: EVENT for the records' timestamps.",
    )
    .default("WALLCLOCK")
    .only(&["EVENT"]),
];

/// The content of objects.
pub(super) const FORMAT: &[ConfigKey] = &[
    key("format.output.type", T::String, I::Medium, W::None, "Format", "Format of objects.")
        .default("csv")
        .only(&["jsonl", "json", "csv", "parquet"]),
    key(
        "format.output.fields",
        T::List,
        I::Medium,
        W::None,
        "Fields",
        "Parts of a record that are written: key, value, offset, timestamp, headers.",
    )
    .absent("value")
    .read(),
    key(
        "format.output.fields.value.encoding",
        T::String,
        I::Medium,
        W::None,
        "Value encoding",
        "Encoding of values in CSV; without effect on JSON.",
    )
    .default("base64")
    .only(&["base64", "none"]),
    key(
        "format.output.envelope",
        T::Boolean,
        I::Medium,
        W::Short,
        "Envelope",
        "Whether a single field is wrapped into an object of its own.",
    )
    .default("true")
    .read(),
];

/// Tries after a failed upload.
pub(super) const RETRY: &[ConfigKey] = &[
    key(
        "aws.s3.backoff.delay.ms",
        T::Long,
        I::Medium,
        W::None,
        "First wait",
        "Wait of a JVM sink before its second try.",
    )
    .default("100")
    .ignored(),
    key(
        "aws.s3.backoff.max.delay.ms",
        T::Long,
        I::Medium,
        W::None,
        "Longest wait",
        "The longest wait of a JVM sink between two tries.",
    )
    .default("20000")
    .ignored(),
    key(
        "aws.s3.backoff.max.retries",
        T::Int,
        I::Medium,
        W::None,
        "Tries",
        "How often a JVM sink tries. The native sink tries until it is stopped.",
    )
    .default("3")
    .ignored(),
];

/// Tries after a failed batch.
pub(super) const KAFKA: &[ConfigKey] = &[key(
    "kafka.retry.backoff.ms",
    T::Long,
    I::Medium,
    W::None,
    "Batch wait",
    "Wait of a JVM worker before it hands a batch over again.",
)
.ignored()];

/// Older names.
pub(super) const DEPRECATED: &[ConfigKey] = &[
    key("aws_access_key_id", T::Password, I::Medium, W::None, "Access key (older)", "Older name of aws.access.key.id."),
    key(
        "aws_secret_access_key",
        T::Password,
        I::Medium,
        W::None,
        "Secret key (older)",
        "Older name of aws.secret.access.key.",
    ),
    key("aws_s3_bucket", T::String, I::Medium, W::None, "Bucket (older)", "Older name of aws.s3.bucket.name."),
    key("aws_s3_endpoint", T::String, I::Low, W::None, "Endpoint (older)", "Older name of aws.s3.endpoint."),
    key("aws_s3_region", T::String, I::Medium, W::None, "Region (older)", "Older name of aws.s3.region."),
    key("aws_s3_prefix", T::String, I::Medium, W::None, "Prefix (older)", "Older name of aws.s3.prefix."),
    key(
        "output_compression",
        T::String,
        I::Medium,
        W::None,
        "Compression (older)",
        "Older name of file.compression.type.",
    ),
    key("output_fields", T::List, I::Medium, W::None, "Fields (older)", "Older name of format.output.fields."),
    key(
        "timestamp.timezone",
        T::String,
        I::Low,
        W::Short,
        "Time zone (older)",
        "Older name of file.name.timestamp.timezone.",
    )
    .default("Z"),
    key(
        "timestamp.source",
        T::String,
        I::Low,
        W::Short,
        "Time source (older)",
        "Older name of file.name.timestamp.source.",
    )
    .default("WALLCLOCK"),
];
