//! Topics: creating what is missing, comparing what exists.

use std::collections::BTreeMap;
use std::time::Instant;

use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::client::{Background, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::error::{code_error, plain, port_error};
use crate::tail;

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Its partitions; at least 1.
    pub partitions: i32,
    /// Its replicas; -1 takes the broker's default.
    pub replication: i32,
    /// Configurations that differ from the broker's defaults, as `cleanup.policy`.
    pub configs: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic with the broker's defaults.
    pub fn new(name: impl Into<String>, partitions: i32, replication: i32) -> Self {
        Self { name: name.into(), partitions, replication, configs: BTreeMap::new() }
    }

    /// A compacted topic, as Kafka Connect's internal ones.
    pub fn compacted(name: impl Into<String>, partitions: i32, replication: i32) -> Self {
        Self::new(name, partitions, replication).with("cleanup.policy", "compact")
    }

    /// Adds a configuration.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), value.into());
        self
    }
}

/// What [`ensure`] found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicReport {
    /// Topics that were created.
    pub created: Vec<String>,
    /// Topics that were there already.
    pub existing: Vec<String>,
    /// Existing topics that differ from what they should be, where it may be on purpose.
    pub differing: Vec<TopicDifference>,
    /// Existing topics whose configurations this user may not see, so that they were not compared.
    pub unseen: Vec<UnseenTopic>,
}

/// A topic whose configurations could not be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnseenTopic {
    /// The topic.
    pub topic: String,
    /// What it should have: `cleanup.policy=compact`.
    pub wanted: String,
    /// What to do.
    pub hint: String,
}

/// One difference between an existing topic and what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDifference {
    /// The topic.
    pub topic: String,
    /// What differs: `partitions`, or a configuration's key.
    pub what: String,
    /// What it should be.
    pub wanted: String,
    /// What it is.
    pub found: String,
    /// What to do.
    pub hint: String,
}

/// Creates a topic unless it is there, whatever it is like. Returns true if it was created.
///
/// # Errors
/// If it is not there and cannot be created.
pub async fn create_missing(config: &KafkaConfig, spec: &TopicSpec) -> Result<bool, PortError> {
    let failed = |error: KafkaError| port_error(format!("creating topic {}", spec.name), &error);
    let admin = admin(config).map_err(failed)?;
    let results = admin.create_topics([&new_topic(spec)], &options()).await.map_err(failed)?;
    match results.into_iter().next() {
        Some(Ok(_)) => wait_until_known(config, std::slice::from_ref(&spec.name)).await.map(|()| true),
        None | Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
        // Who may not create topics may still write to one that is there.
        Some(Err((_, code))) => match partition_counts(config, &[spec]).await {
            Ok(_) => Ok(false),
            Err(_) => Err(uncreated(spec, code)),
        },
    }
}

/// Creates the topics that are missing, and compares those that exist; see [`create_and_compare`].
///
/// A topic whose `cleanup.policy` would lose records that datapipe needs, or one with too many partitions for its
/// use as a single log (wanted 1), is refused; every other difference is reported and left alone. So is a topic whose
/// configurations this user may not see.
pub async fn ensure(config: &KafkaConfig, specs: &[TopicSpec]) -> Result<TopicReport, PortError> {
    let report = create_and_compare(config, specs, false).await?;
    let refusal = report.dangerous(specs).next().map(TopicDifference::error);
    refusal.map_or(Ok(report), Err)
}

/// Creates the topics that are missing, and tells how those that exist differ, whatever that means. A `rehearsal` creates
/// none: the brokers only say whether they would.
///
/// # Errors
/// If a topic is missing and cannot be created, or the brokers cannot be asked.
pub async fn create_and_compare(
    config: &KafkaConfig,
    specs: &[TopicSpec],
    rehearsal: bool,
) -> Result<TopicReport, PortError> {
    let attempt = || format!("ensuring {} topics", specs.len());
    let admin = admin(config).map_err(|error| port_error(attempt(), &error))?;
    let mut report = TopicReport::default();
    let options = options();
    let topics: Vec<NewTopic<'_>> = specs.iter().map(new_topic).collect();
    let creation = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).validate_only(rehearsal);
    let results = admin
        .create_topics(&topics, &creation.operation_timeout(Some(REQUEST_TIMEOUT)))
        .await
        .map_err(|error| port_error(attempt(), &error))?;
    for (spec, result) in specs.iter().zip(results) {
        match result {
            Ok(_) => report.created.push(spec.name.clone()),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => report.existing.push(spec.name.clone()),
            Err((_, code)) => return Err(uncreated(spec, code)),
        }
    }
    if !rehearsal {
        wait_until_known(config, &report.created).await?;
    }
    let existing: Vec<&TopicSpec> = specs.iter().filter(|spec| report.existing.contains(&spec.name)).collect();
    if !existing.is_empty() {
        let partitions = partition_counts(config, &existing).await?;
        let configs = seen(&existing, describe(&admin, &existing, &options).await?, &mut report.unseen)?;
        for ((spec, partitions), found) in existing.iter().zip(partitions).zip(&configs) {
            compare(spec, partitions, found.as_ref(), &mut report.differing);
        }
    }
    Ok(report)
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTopic {
    /// Its partitions.
    pub partitions: i32,
    /// Its configuration, the broker's defaults included; empty if this user may not see it.
    pub configs: BTreeMap<String, String>,
}

/// Looks at topics and changes nothing; none for those that the cluster does not know.
///
/// # Errors
/// If the cluster cannot be asked.
pub async fn look(config: &KafkaConfig, names: &[String]) -> Result<Vec<Option<FoundTopic>>, PortError> {
    let attempt = || format!("looking at {} topics", names.len());
    let admin = admin(config).map_err(|error| port_error(attempt(), &error))?;
    let (cluster, wanted) = (config.clone(), names.to_vec());
    let counts = blocking("counting partitions", move || {
        let count = |name: &String| match tail::partitions(&cluster, name) {
            Ok(partitions) => Ok(Some(partitions)),
            Err(error) if error.kind() == ErrorKind::Refused => Ok(None),
            Err(error) => Err(error),
        };
        wanted.iter().map(count).collect::<Result<Vec<_>, PortError>>()
    })
    .await?;
    let specs: Vec<TopicSpec> = names.iter().map(|name| TopicSpec::new(name, 1, 1)).collect();
    let there: Vec<&TopicSpec> = specs.iter().zip(&counts).filter_map(|(spec, count)| count.map(|_| spec)).collect();
    let found = if there.is_empty() { Vec::new() } else { describe(&admin, &there, &options()).await? };
    let mut found = found.into_iter();
    let topics = counts.into_iter().map(|count| {
        let partitions = count?;
        let entries = found.next().and_then(Result::ok).map(|resource| resource.entries).unwrap_or_default();
        let configs = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
        Some(FoundTopic { partitions, configs })
    });
    Ok(topics.collect())
}

fn admin(config: &KafkaConfig) -> Result<Background<AdminClient<DefaultClientContext>>, KafkaError> {
    config.client().create().map(Background::new)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

/// A broker answers the creation before it knows the topic's leaders itself.
async fn wait_until_known(config: &KafkaConfig, created: &[String]) -> Result<(), PortError> {
    if created.is_empty() {
        return Ok(());
    }
    let (config, names) = (config.clone(), created.to_vec());
    blocking("waiting for created topics", move || {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        names.iter().try_for_each(|name| tail::wait_for_leaders(&config, name, deadline))
    })
    .await
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication));
    spec.configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
}

fn uncreated(spec: &TopicSpec, code: RDKafkaErrorCode) -> PortError {
    let TopicSpec { name, partitions, replication, configs } = spec;
    let error = code_error(format!("creating topic {name}"), code);
    if error.kind() != ErrorKind::Refused {
        return error;
    }
    let configs = configs.iter().fold(String::new(), |text, (key, value)| text + " --config " + key + "=" + value);
    error.hint(format!(
        "create it yourself: kafka-topics.sh --create --topic {name} --partitions {partitions} \
         --replication-factor {replication}{configs}; a replication factor above the number of brokers is refused"
    ))
}

async fn partition_counts(config: &KafkaConfig, specs: &[&TopicSpec]) -> Result<Vec<i32>, PortError> {
    let (config, names) = (config.clone(), specs.iter().map(|spec| spec.name.clone()).collect::<Vec<_>>());
    blocking("counting partitions", move || names.iter().map(|name| tail::partitions(&config, name)).collect()).await
}

async fn describe(
    admin: &AdminClient<DefaultClientContext>,
    specs: &[&TopicSpec],
    options: &AdminOptions,
) -> Result<Vec<Result<ConfigResource, RDKafkaErrorCode>>, PortError> {
    let resources: Vec<ResourceSpecifier<'_>> = specs.iter().map(|spec| ResourceSpecifier::Topic(&spec.name)).collect();
    let found = admin.describe_configs(&resources, options).await;
    found.map_err(|error| port_error("describing the configuration of topics", &error))
}

/// A right that is missing makes the comparison incomplete, not the topic unusable: it is reported. Anything else that
/// went wrong is an error.
fn seen<T>(
    specs: &[&TopicSpec],
    found: Vec<Result<T, RDKafkaErrorCode>>,
    unseen: &mut Vec<UnseenTopic>,
) -> Result<Vec<Option<T>>, PortError> {
    let look = |(spec, found): (&&TopicSpec, Result<T, RDKafkaErrorCode>)| {
        let name = &spec.name;
        match found {
            Ok(found) => Ok(Some(found)),
            Err(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                let pairs: Vec<_> = spec.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let hint = format!(
                    "grant the right to look: kafka-acls.sh --add --allow-principal User:.. --operation DescribeConfigs \
                     --topic {name}"
                );
                unseen.push(UnseenTopic { topic: name.clone(), wanted: pairs.join(", "), hint });
                Ok(None)
            }
            Err(code) => Err(code_error(format!("describing the configuration of topic {name}"), code)),
        }
    };
    specs.iter().zip(found).map(look).collect()
}

fn compare(spec: &TopicSpec, partitions: i32, found: Option<&ConfigResource>, differing: &mut Vec<TopicDifference>) {
    let name = &spec.name;
    if partitions != spec.partitions {
        differing.push(TopicDifference {
            topic: name.clone(),
            what: "partitions".to_owned(),
            wanted: spec.partitions.to_string(),
            found: partitions.to_string(),
            hint: "partitions of a topic cannot be taken away, and adding some moves keys: recreate it while it is empty, or set this number".to_owned(),
        });
    }
    let Some(found) = found else { return };
    for (key, wanted) in &spec.configs {
        let value = found.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
        if value != *wanted {
            differing.push(TopicDifference {
                topic: name.clone(),
                what: key.clone(),
                wanted: wanted.clone(),
                found: value,
                hint: format!(
                    "kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {key}={wanted}"
                ),
            });
        }
    }
}

impl TopicReport {
    /// The differences by which datapipe would lose records.
    pub fn dangerous<'a>(&'a self, specs: &'a [TopicSpec]) -> impl Iterator<Item = &'a TopicDifference> {
        self.differing.iter().filter(|difference| {
            let single = specs.iter().any(|spec| spec.name == difference.topic && spec.partitions == 1);
            difference.what == "cleanup.policy" || (difference.what == "partitions" && single)
        })
    }
}

impl TopicDifference {
    /// The difference as a refusal to use the topic.
    pub fn error(&self) -> PortError {
        let Self { topic, what, wanted, found, hint } = self;
        let cause = format!("its {what} is {found}, where {wanted} is needed to lose nothing");
        plain(ErrorKind::Refused, format!("using the existing topic {topic}"), cause).hint(hint.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(topic: &str, what: &str) -> TopicDifference {
        let text = || "x".to_owned();
        TopicDifference {
            topic: topic.to_owned(),
            what: what.to_owned(),
            wanted: text(),
            found: text(),
            hint: "do y".to_owned(),
        }
    }

    #[test]
    fn what_loses_records_is_refused_and_the_rest_reported() {
        let specs = [TopicSpec::compacted("configs", 1, 1), TopicSpec::compacted("offsets", 25, 1)];
        let report = |difference| TopicReport { differing: vec![difference], ..TopicReport::default() };
        for harmless in [difference("offsets", "partitions"), difference("configs", "retention.ms")] {
            assert_eq!(report(harmless).dangerous(&specs).count(), 0);
        }
        for dangerous in [difference("configs", "partitions"), difference("offsets", "cleanup.policy")] {
            let report = report(dangerous);
            let error = report.dangerous(&specs).next().unwrap().error();
            assert_eq!((error.kind(), error.next_step()), (ErrorKind::Refused, Some("do y")));
        }
    }

    #[test]
    fn a_topic_that_may_not_be_looked_at_is_reported_and_other_errors_are_told() {
        let spec = TopicSpec::compacted("connect-configs-users", 1, 1);
        let mut unseen = Vec::new();
        let found = seen::<()>(&[&spec], vec![Err(RDKafkaErrorCode::TopicAuthorizationFailed)], &mut unseen).unwrap();
        assert_eq!((found, unseen.len()), (vec![None], 1));
        assert_eq!(unseen[0].wanted, "cleanup.policy=compact");
        let right = "--operation DescribeConfigs --topic connect-configs-users";
        assert!(unseen[0].hint.contains(right), "{}", unseen[0].hint);
        let error = seen::<()>(&[&spec], vec![Err(RDKafkaErrorCode::RequestTimedOut)], &mut unseen).unwrap_err();
        assert!(error.report().contains("of topic connect-configs-users"), "{}", error.report());
    }

    #[test]
    fn a_refused_topic_comes_with_the_command() {
        let error = uncreated(&TopicSpec::compacted("t", 3, 2), RDKafkaErrorCode::InvalidReplicationFactor);
        assert!(
            error.report().contains("--topic t --partitions 3 --replication-factor 2 --config cleanup.policy=compact")
        );
    }
}
