//! What the records of the configurations topic add up to, by Kafka Connect's own rules. Pure.

use std::collections::BTreeMap;
use std::fmt;

use super::Shown;
use crate::port::connect::{ConfigMap, ConfigRecord, TargetState};

/// A connector as the configurations topic has it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// Its configuration.
    pub config: ConfigMap,
    /// What is wanted of it.
    pub target: TargetState,
    /// The configurations of its tasks, as last committed.
    pub tasks: Vec<ConfigMap>,
    /// False if the last commit named more tasks than were written: compaction can do that, and only writing them
    /// again mends it.
    pub consistent: bool,
}

/// Secrets given in clear are not shown.
impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: Vec<_> = self.tasks.iter().map(Shown).collect();
        f.debug_struct("Registered")
            .field("config", &Shown(&self.config))
            .field("target", &self.target)
            .field("tasks", &tasks)
            .field("consistent", &self.consistent)
            .finish()
    }
}

/// All connectors of one group.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Registry {
    connectors: BTreeMap<String, Registered>,
    /// Targets may be written before the connector is.
    targets: BTreeMap<String, TargetState>,
    /// Tasks that wait for their commit.
    uncommitted: BTreeMap<String, BTreeMap<u32, ConfigMap>>,
}

/// Tasks that wait for their commit are only counted: their configurations may hold secrets.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uncommitted: usize = self.uncommitted.values().map(BTreeMap::len).sum();
        f.debug_struct("Registry")
            .field("connectors", &self.connectors)
            .field("targets", &self.targets)
            .field("uncommitted", &uncommitted)
            .finish()
    }
}

impl Registry {
    /// Takes the next record into account.
    pub fn apply(&mut self, record: &ConfigRecord) {
        match record {
            ConfigRecord::Connector { connector, config: Some(config) } => self.configure(connector, config),
            ConfigRecord::Connector { connector, config: None } => self.forget(connector),
            ConfigRecord::Task { connector, task, config } => {
                self.uncommitted.entry(connector.clone()).or_default().insert(*task, config.clone());
            }
            ConfigRecord::Commit { connector, tasks } => self.commit(connector, *tasks),
            ConfigRecord::Target { connector, state } => self.aim(connector, *state),
            ConfigRecord::Restart(_) | ConfigRecord::LoggerLevel { .. } => {}
        }
    }

    /// All connectors by name.
    pub const fn connectors(&self) -> &BTreeMap<String, Registered> {
        &self.connectors
    }

    /// One connector.
    pub fn get(&self, connector: &str) -> Option<&Registered> {
        self.connectors.get(connector)
    }

    fn configure(&mut self, connector: &str, config: &ConfigMap) {
        let target = self.targets.get(connector).copied().unwrap_or_default();
        let fresh = || Registered { target, consistent: true, ..Registered::default() };
        let registered = self.connectors.entry(connector.to_owned()).or_insert_with(fresh);
        registered.config.clone_from(config);
    }

    fn forget(&mut self, connector: &str) {
        self.connectors.remove(connector);
        self.uncommitted.remove(connector);
    }

    fn aim(&mut self, connector: &str, state: Option<TargetState>) {
        match state {
            Some(state) => self.targets.insert(connector.to_owned(), state),
            None => self.targets.remove(connector),
        };
        if let Some(registered) = self.connectors.get_mut(connector) {
            registered.target = state.unwrap_or_default();
        }
    }

    fn commit(&mut self, connector: &str, tasks: u32) {
        let written = self.uncommitted.remove(connector).unwrap_or_default();
        // Tasks of a connector that was deleted, and whose own records compaction has removed.
        let Some(registered) = self.connectors.get_mut(connector) else { return };
        let complete: Option<Vec<ConfigMap>> = (0..tasks).map(|task| written.get(&task).cloned()).collect();
        registered.consistent = complete.is_some();
        if let Some(complete) = complete {
            registered.tasks = complete;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &str) -> ConfigMap {
        ConfigMap::from([("x".to_owned(), value.to_owned())])
    }

    fn connector(value: Option<&str>) -> ConfigRecord {
        ConfigRecord::Connector { connector: "a".to_owned(), config: value.map(map) }
    }

    fn task(task: u32, value: &str) -> ConfigRecord {
        ConfigRecord::Task { connector: "a".to_owned(), task, config: map(value) }
    }

    fn commit(tasks: u32) -> ConfigRecord {
        ConfigRecord::Commit { connector: "a".to_owned(), tasks }
    }

    fn target(state: Option<TargetState>) -> ConfigRecord {
        ConfigRecord::Target { connector: "a".to_owned(), state }
    }

    fn registry(records: &[ConfigRecord]) -> Registry {
        let mut registry = Registry::default();
        for record in records {
            registry.apply(record);
        }
        registry
    }

    #[test]
    fn tasks_count_once_they_are_committed() {
        let all = [connector(Some("1")), task(0, "p"), task(1, "q"), commit(2), task(0, "r")];
        let found = registry(&all);
        let a = found.get("a").unwrap();
        assert_eq!((a.tasks.clone(), a.consistent), (vec![map("p"), map("q")], true));
        let mut later = found.clone();
        later.apply(&commit(1));
        assert_eq!(later.get("a").unwrap().tasks, [map("r")]);
        later.apply(&commit(0));
        assert_eq!(later.get("a").unwrap().tasks, []);
    }

    #[test]
    fn a_commit_of_tasks_that_are_not_there_is_inconsistent_until_they_are_written_again() {
        let mut found = registry(&[connector(Some("1")), task(1, "q"), commit(2)]);
        assert!(!found.get("a").unwrap().consistent);
        // What came too late for one commit is no part of the next.
        found.apply(&task(0, "p"));
        found.apply(&commit(2));
        assert!(!found.get("a").unwrap().consistent);
        for record in [task(0, "p"), task(1, "q"), commit(2)] {
            found.apply(&record);
        }
        assert!(found.get("a").unwrap().consistent);
    }

    #[test]
    fn targets_may_come_first_and_are_forgotten_by_name() {
        let found = registry(&[target(Some(TargetState::Stopped)), connector(Some("1"))]);
        assert_eq!(found.get("a").unwrap().target, TargetState::Stopped);
        let found = registry(&[target(Some(TargetState::Stopped)), connector(Some("1")), target(None)]);
        assert_eq!(found.get("a").unwrap().target, TargetState::Started);
        // A deletion writes both tombstones: a namesake starts anew.
        let all = [connector(Some("1")), target(Some(TargetState::Paused)), connector(None), target(None)];
        let mut found = registry(&all);
        assert_eq!(found.get("a"), None);
        found.apply(&commit(3));
        assert_eq!(found.get("a"), None);
        found.apply(&connector(Some("2")));
        let fresh = Registered { config: map("2"), consistent: true, ..Registered::default() };
        assert_eq!(found.get("a"), Some(&fresh));
    }

    #[test]
    fn a_new_configuration_keeps_the_tasks() {
        let found = registry(&[connector(Some("1")), task(0, "p"), commit(1), connector(Some("2"))]);
        let a = found.get("a").unwrap();
        assert_eq!((a.config.clone(), a.tasks.clone()), (map("2"), vec![map("p")]));
    }
}
