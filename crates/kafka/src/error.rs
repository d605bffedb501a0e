//! How librdkafka's failures become the ports' errors.

use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What librdkafka or the broker said, once: its own error types repeat the code at every level of the chain.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Cause {
    code: Option<RDKafkaErrorCode>,
    text: String,
}

impl Cause {
    /// The error code, if there is one.
    pub const fn code(&self) -> Option<RDKafkaErrorCode> {
        self.code
    }

    pub(crate) fn of(error: &KafkaError) -> Self {
        let code = error.rdkafka_error_code();
        let text = match (error, code) {
            (KafkaError::Transaction(error), _) => format!("{} ({:?})", error.string(), error.code()),
            // The value is left out: it may be a secret.
            (KafkaError::ClientConfig(_, text, key, _), _) => format!("{text} ({key})"),
            (_, Some(code)) => code.to_string(),
            (error, None) => error.to_string(),
        };
        Self { code, text }
    }

    pub(crate) fn code_only(code: RDKafkaErrorCode) -> Self {
        Self { code: Some(code), text: code.to_string() }
    }
}

/// The port's error for a failed call: `attempt` says what was tried on which object.
pub(crate) fn port_error(attempt: impl Into<String>, error: &KafkaError) -> PortError {
    if let KafkaError::ClientCreation(text) = error
        && text.contains("No provider for SASL mechanism")
    {
        let hint =
            "set sasl.mechanisms to PLAIN, or build with TLS as docs/settings.md says under TLS: it brings SCRAM";
        return PortError::new(ErrorKind::Refused, attempt).because(Cause::of(error)).hint(hint);
    }
    from_cause(attempt, Cause::of(error))
}

/// The port's error for an error code alone, as a delivery report or an admin result has it.
pub(crate) fn code_error(attempt: impl Into<String>, code: RDKafkaErrorCode) -> PortError {
    from_cause(attempt, Cause::code_only(code))
}

fn from_cause(attempt: impl Into<String>, cause: Cause) -> PortError {
    let (kind, hint) = cause.code.map_or((ErrorKind::Retry, None), meaning);
    let error = PortError::new(kind, attempt).because(cause);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// An error of ours, without a cause from the client.
pub(crate) fn plain(kind: ErrorKind, attempt: impl Into<String>, cause: impl Into<String>) -> PortError {
    PortError::new(kind, attempt).because(Cause { code: None, text: cause.into() })
}

/// True if the code says that another producer holds the transactional id, or that the coordinator took this one's
/// transaction away because it stayed open too long: librdkafka reports both as the loss of the epoch.
pub(crate) const fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch)
}

/// What a code means for the caller, and what a person can do.
const fn meaning(code: RDKafkaErrorCode) -> (ErrorKind, Option<&'static str>) {
    use RDKafkaErrorCode as Code;
    match code {
        code if is_fenced(code) => (
            ErrorKind::Fenced,
            Some("another worker has taken over this transactional id, or a transaction stayed open past its timeout"),
        ),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => {
            (ErrorKind::Refused, Some("grant the worker's user this right with kafka-acls.sh"))
        }
        Code::Authentication | Code::SaslAuthenticationFailed => {
            (ErrorKind::Refused, Some("check the sasl.* and ssl.* properties against the broker's listener"))
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            (ErrorKind::Refused, Some("create the topic, or let datapipe create it"))
        }
        Code::InvalidTransactionTimeout => (
            ErrorKind::Refused,
            Some("raise the broker's transaction.max.timeout.ms, or lower the worker's transaction timeout"),
        ),
        Code::InconsistentGroupProtocol => (
            ErrorKind::Refused,
            Some(
                "a worker of another kind is a member of this group: stop it first, the group is free when its last member has left",
            ),
        ),
        code if refusal_of_a_topic(code).is_some() => (ErrorKind::Refused, refusal_of_a_topic(code)),
        Code::UnsupportedVersion => {
            (ErrorKind::Refused, Some("the broker is too old: Apache Kafka 3.0 or later is needed"))
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => {
            (ErrorKind::Retry, Some("check that the bootstrap servers are right and that the brokers can be reached"))
        }
        _ => (ErrorKind::Retry, None),
    }
}

/// What to do about a topic that the broker does not make.
const fn refusal_of_a_topic(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    match code {
        Code::InvalidTopic => Some(
            "set topic.prefix such that the topic's name has letters, digits, dots, dashes and underscores only, 249 at most",
        ),
        Code::InvalidConfig => Some(
            "the broker's log names the configuration that it refuses: create the topic yourself with one that it takes",
        ),
        Code::PolicyViolation => Some(
            "the broker's create.topic.policy.class.name forbids this: ask whoever runs it, or create the topic yourself as it demands",
        ),
        Code::InvalidReplicationFactor => Some("set kafka.replication_factor to no more than the number of brokers"),
        Code::InvalidPartitions => Some("set topic.partitions to what the broker allows, 1 at least"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_s_words_appear_once_and_with_the_next_step() {
        let error =
            port_error("reading topic t", &KafkaError::MetadataFetch(RDKafkaErrorCode::TopicAuthorizationFailed));
        assert_eq!(error.kind(), ErrorKind::Refused);
        let report = error.report();
        assert_eq!(report.matches("TopicAuthorizationFailed").count(), 1, "{report}");
        assert!(report.contains("kafka-acls.sh"), "{report}");
    }

    #[test]
    fn a_mechanism_that_was_not_built_in_is_refused_with_what_to_do() {
        let config = crate::KafkaConfig::new(
            "127.0.0.1:1",
            [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanisms", "SCRAM-SHA-256")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            std::collections::BTreeMap::new(),
        );
        let created: Result<rdkafka::consumer::BaseConsumer, _> = config.unwrap().client().create();
        let Err(error) = created else { panic!("the client was built with SCRAM") };
        let error = port_error("asking the cluster", &error);
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.next_step().unwrap().contains("sasl.mechanisms"), "{}", error.report());
    }

    #[test]
    fn whatever_is_refused_has_a_next_step() {
        for code in [
            RDKafkaErrorCode::InvalidTopic,
            RDKafkaErrorCode::InvalidConfig,
            RDKafkaErrorCode::PolicyViolation,
            RDKafkaErrorCode::InvalidReplicationFactor,
            RDKafkaErrorCode::InvalidPartitions,
            RDKafkaErrorCode::UnsupportedVersion,
            RDKafkaErrorCode::InvalidTransactionTimeout,
            RDKafkaErrorCode::ClusterAuthorizationFailed,
        ] {
            let error = code_error("creating topic t", code);
            assert_eq!((error.kind(), error.next_step().is_some()), (ErrorKind::Refused, true), "{}", error.report());
        }
    }

    #[test]
    fn losing_the_epoch_is_being_fenced() {
        for code in [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::ProducerFenced, RDKafkaErrorCode::InvalidProducerEpoch]
        {
            assert_eq!(code_error("committing", code).kind(), ErrorKind::Fenced);
        }
        assert_eq!(code_error("committing", RDKafkaErrorCode::OperationTimedOut).kind(), ErrorKind::Retry);
    }
}
