//! Records that cannot be part of an object.

use datapipe_core::port::log::{Header, ReadRecord, Record};
use datapipe_core::port::{ErrorKind, PortError};

use super::Delivery;
use super::record::Unusable;

/// Kafka Connect's class of an error in a record's data.
const EXCEPTION: &str = "org.apache.kafka.connect.errors.DataException";

impl Delivery<'_> {
    /// Sends a record to the dead letter queue, with Kafka Connect's headers about it if they are asked for.
    pub(super) async fn dead_letter(&mut self, record: &ReadRecord<'_>, unusable: &Unusable) -> Result<(), PortError> {
        let (settings, Unusable { stage, why }) = (self.settings, unusable);
        let stage = *stage;
        let ReadRecord { partition, offset, .. } = record;
        let Some(topic) = &settings.dead_letter_topic else {
            let attempt = format!("delivering topic {} partition {partition} offset {offset}", settings.topic);
            return Err(PortError::new(ErrorKind::Refused, attempt)
                .because(why.to_string())
                .hint("set errors.tolerance=all and errors.deadletterqueue.topic.name to let the others pass"));
        };
        tracing::warn!(topic = %settings.topic, partition, offset, %why, "record sent to the dead letter queue");
        // The record keeps what headers were read of it, as Kafka Connect's do; a missing value has no other form here.
        let own = record.headers.iter().map(|(name, value)| (name, value.unwrap_or_default().to_vec()));
        let mut headers: Vec<(&str, Vec<u8>)> = own.collect();
        if settings.dead_letter_context {
            let class = match stage {
                "HEADER_CONVERTER" => "org.apache.kafka.connect.storage.StringConverter",
                _ => "org.apache.kafka.connect.json.JsonConverter",
            };
            let context = [
                ("__connect.errors.topic", settings.topic.clone()),
                ("__connect.errors.partition", partition.to_string()),
                ("__connect.errors.offset", offset.to_string()),
                ("__connect.errors.connector.name", settings.connector.clone()),
                ("__connect.errors.task.id", settings.assignment.task().to_string()),
                ("__connect.errors.stage", stage.to_owned()),
                ("__connect.errors.class.name", class.to_owned()),
                ("__connect.errors.exception.class.name", EXCEPTION.to_owned()),
                ("__connect.errors.exception.message", why.to_string()),
                ("__connect.errors.exception.stacktrace", format!("{EXCEPTION}: {why}\n")),
            ];
            headers.extend(context.map(|(name, value)| (name, value.into_bytes())));
        }
        let headers: Vec<Header<'_>> = headers.iter().map(|(name, value)| Header { name, value }).collect();
        self.gauges.dead_letters.add(1);
        self.ports.dead_letters.put(Record { topic, key: record.key, value: record.value, headers: &headers }).await
    }
}
