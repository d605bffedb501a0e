//! Where a source takes signals from: Debezium's `signal.*` keys, and the size of an incremental snapshot's chunks.

use std::collections::BTreeSet;
use std::time::Duration;

use super::reader::Reader;
use super::tables::plain;
use crate::port::connect::ConfigMap;

const CHANNELS: &str = "signal.enabled.channels";
const TABLE: &str = "signal.data.collection";
const POLL: &str = "signal.poll.interval.ms";
const CHUNK: &str = "incremental.snapshot.chunk.size";
const READ_ONLY: &str = "read.only";
// Debezium reads these without declaring them.
const TOPIC: &str = "signal.kafka.topic";
const BOOTSTRAP: &str = "signal.kafka.bootstrap.servers";
/// They tune a consumer that the native worker does not have: it reads from where its own progress says.
const IGNORED: [&str; 3] =
    ["signal.kafka.groupId", "signal.kafka.poll.timeout.ms", "signal.kafka.consumer.offset.commit.enabled"];

/// Where signals come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalConfig {
    /// `signal.data.collection`, schema and name, if channel `source` is enabled: the signaling table.
    pub table: Option<(String, String)>,
    /// `signal.kafka.topic`, by default `{topic.prefix}-signal`, if channel `kafka` is enabled.
    pub topic: Option<String>,
    /// `signal.kafka.bootstrap.servers`: it must be the worker's own cluster.
    pub bootstrap: Option<String>,
    /// `signal.poll.interval.ms`: how often the topic is looked at, 10 ms to 10 min.
    pub poll: Duration,
    /// `incremental.snapshot.chunk.size`: the most rows that are read at once, 1 to 100,000.
    pub chunk_rows: u32,
}

impl SignalConfig {
    pub(super) fn read(reader: &mut Reader<'_>, topic_prefix: &str) -> Self {
        let channels = reader.optional(CHANNELS).unwrap_or("source");
        let channels: BTreeSet<&str> = channels.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        for channel in &channels {
            if !["source", "kafka"].contains(channel) {
                let why = format!("has channel {channel:?}; the native worker serves source and kafka");
                reader.problem(CHANNELS, why, "leave it out, or keep this table on a kafka-connect worker");
            }
        }
        let table = reader.optional(TABLE).and_then(|text| {
            let table = plain(text);
            if table.is_none() {
                reader.problem(TABLE, "names no table with its schema", "set one, as in \"public.debezium_signal\"");
            }
            table
        });
        let topic = reader.dynamic(TOPIC).filter(|topic| !topic.is_empty());
        let topic = topic.map_or_else(|| format!("{topic_prefix}-signal"), str::to_owned);
        Self {
            table: table.filter(|_| channels.contains("source")),
            topic: channels.contains("kafka").then_some(topic),
            bootstrap: reader.dynamic(BOOTSTRAP).filter(|text| !text.is_empty()).map(str::to_owned),
            poll: Duration::from_millis(reader.number(POLL, 5_000, 10..=600_000, "milliseconds")),
            chunk_rows: reader.number(CHUNK, 1_024, 1..=100_000, "rows"),
        }
    }

    /// Whether a key that is not declared is one of these.
    pub(super) fn reads(key: &str) -> bool {
        [TOPIC, BOOTSTRAP].contains(&key) || IGNORED.contains(&key) || key.starts_with("signal.consumer.")
    }

    pub(super) fn to_map(&self, map: &mut ConfigMap) {
        let channels = match (&self.table, &self.topic) {
            (_, None) => None,
            (None, Some(_)) => Some("kafka"),
            (Some(_), Some(_)) => Some("source,kafka"),
        };
        let table = self.table.as_ref().map(|(schema, name)| format!("{schema}.{name}"));
        let optional = [
            (CHANNELS, channels.map(str::to_owned)),
            (TABLE, table),
            (TOPIC, self.topic.clone()),
            // Debezium writes its watermarks into the signaling table otherwise.
            (READ_ONLY, (self.topic.is_some() && self.table.is_none()).then(|| "true".to_owned())),
            (BOOTSTRAP, self.bootstrap.clone()),
            (POLL, (self.poll != Duration::from_secs(5)).then(|| self.poll.as_millis().to_string())),
            (CHUNK, (self.chunk_rows != 1_024).then(|| self.chunk_rows.to_string())),
        ];
        map.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::POSTGRES_SOURCE;
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (SignalConfig, String) {
        let map: ConfigMap = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut reader = Reader::new(&map, &POSTGRES_SOURCE);
        let config = SignalConfig::read(&mut reader, "cdc");
        (config, reader.problems())
    }

    #[test]
    fn channels_are_read_and_written() {
        let (none, problems) = read(&[]);
        assert_eq!((none.table.as_ref(), none.topic.as_ref(), problems.as_str()), (None, None, ""));
        let mut map = ConfigMap::new();
        none.to_map(&mut map);
        assert!(map.is_empty(), "{map:?}");
        for pairs in [
            &[("signal.data.collection", "public.debezium_signal")][..],
            &[("signal.enabled.channels", "kafka"), ("signal.kafka.topic", "signals"), ("read.only", "true")],
            &[
                ("signal.enabled.channels", "source,kafka"),
                ("signal.data.collection", "ops.signals"),
                ("signal.kafka.topic", "cdc-signal"),
                ("signal.kafka.bootstrap.servers", "localhost:9092"),
                ("signal.poll.interval.ms", "100"),
                ("incremental.snapshot.chunk.size", "10"),
            ],
        ] {
            let (config, problems) = read(pairs);
            assert_eq!(problems, "");
            let mut map = ConfigMap::new();
            config.to_map(&mut map);
            let given: ConfigMap = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(map, given);
        }
        let (kafka, _) = read(&[("signal.enabled.channels", "kafka"), ("signal.data.collection", "public.s")]);
        assert_eq!((kafka.table, kafka.topic.as_deref()), (None, Some("cdc-signal")));
    }

    #[test]
    fn what_is_not_served_is_named() {
        let (_, problems) = read(&[("signal.enabled.channels", "source,jmx,file"), ("signal.data.collection", "a.*")]);
        for part in ["\"jmx\"", "\"file\"", "signal.data.collection"] {
            assert!(problems.contains(part), "{part} is not in {problems}");
        }
    }
}
