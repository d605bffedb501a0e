//! What a JVM's container tells of its heap: its command, and the end of its log.

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{Api, LogParams};

use super::cluster::{Cluster, ClusterError};
use crate::NAMESPACE;
use crate::worker::JVM;

/// What is read of its log, in lines and bytes: minutes of a busy JVM, hours of a quiet one.
const LOG_LINES_MAX: i64 = 2000;
const LOG_BYTES_MAX: i64 = 1 << 20;

/// A JVM in a container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JvmView {
    /// The greatest heap that its command allows, in bytes; none if it names none.
    pub heap_max_bytes: Option<u64>,
    /// The last lines of its log, or why they could not be read. They may hold what the worker logs of rows and servers:
    /// they are for whoever picks the collections out of them, and not to be kept.
    pub log: Result<String, String>,
}

impl Cluster {
    /// The JVM of a worker's pod; none if no container that runs has one.
    pub(super) async fn jvm(&self, pod: &Pod) -> Option<JvmView> {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let is_running = |state: &k8s_openapi::api::core::v1::ContainerState| state.running.is_some();
        statuses.into_iter().find(|one| one.name == JVM && one.state.as_ref().is_some_and(is_running))?;
        let container = pod.spec.as_ref()?.containers.iter().find(|one| one.name == JVM)?;
        let api: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let which = LogParams {
            container: Some(JVM.to_owned()),
            tail_lines: Some(LOG_LINES_MAX),
            limit_bytes: Some(LOG_BYTES_MAX),
            ..LogParams::default()
        };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let log = api.logs(name, &which).await.map_err(|error| {
            let attempt = format!("reading the log of pod {name}, container {JVM}");
            ClusterError::of(attempt, &error).to_string()
        });
        Some(JvmView { heap_max_bytes: heap_max_bytes(container), log })
    }
}

/// `-Xmx72m`: the last one counts, as it does for a JVM.
fn heap_max_bytes(container: &Container) -> Option<u64> {
    let words = container.command.iter().chain(&container.args).flatten();
    let size = words.filter_map(|word| word.strip_prefix("-Xmx")).next_back()?.to_ascii_lowercase();
    let shift = match size.chars().last()? {
        'k' => 10,
        'm' => 20,
        'g' => 30,
        't' => 40,
        _ => 0,
    };
    size.trim_end_matches(['k', 'm', 'g', 't']).parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_heap_of_a_command() {
        let of = |command: &[&str], args: &[&str]| {
            let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
            heap_max_bytes(&Container { command: words(command), args: words(args), ..Container::default() })
        };
        assert_eq!(of(&["java", "-Xms24m", "-Xmx72m", "-Xss256k"], &[]), Some(72 << 20));
        assert_eq!(of(&["java", "-Xmx72m"], &["-Xmx1G"]), Some(1 << 30));
        assert_eq!(of(&["java", "-Xmx75497472"], &[]), Some(72 << 20));
        assert_eq!(of(&["java", "-Xmx8192K"], &[]), Some(8 << 20));
        for command in [&["java"][..], &["java", "-Xmx"], &["java", "-Xmx72q"], &["java", "-Xmx99999999999999g"]] {
            assert_eq!(of(command, &[]), None, "{command:?}");
        }
    }
}
