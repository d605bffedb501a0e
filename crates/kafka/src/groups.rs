//! Who is in a group.

use datapipe_core::port::PortError;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::error::port_error;

/// A group as its coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundGroup {
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead`.
    pub state: String,
    /// Which kind of members it has: `consumer`, or `connect` for JVM workers.
    pub protocol_type: String,
    /// Its members as `client id at host`, in order.
    pub members: Vec<String>,
}

/// Looks a group up; none if the cluster does not know it.
///
/// # Errors
/// If the cluster cannot be asked, or this user may not describe the group.
pub async fn find(config: &KafkaConfig, group: &str) -> Result<Option<FoundGroup>, PortError> {
    let (config, group) = (config.clone(), group.to_owned());
    blocking("describing a group", move || {
        let failed = |error: KafkaError| port_error(format!("describing group {group}"), &error);
        let client: Background<BaseConsumer<Logged>> =
            config.client().create_with_context(Logged).map(Background::new).map_err(failed)?;
        let list = client.client().fetch_group_list(Some(&group), REQUEST_TIMEOUT).map_err(failed)?;
        let found = list.groups().iter().find(|found| found.name() == group);
        Ok(found.map(|found| {
            let name = |host: &str, id: &str| format!("{id} at {}", host.trim_start_matches('/'));
            let mut members: Vec<String> =
                found.members().iter().map(|member| name(member.client_host(), member.client_id())).collect();
            members.sort_unstable();
            FoundGroup { state: found.state().to_owned(), protocol_type: found.protocol_type().to_owned(), members }
        }))
    })
    .await
}
