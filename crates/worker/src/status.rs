//! The statuses of an owner's connectors, and what of them is to be written. Pure.

use std::collections::BTreeMap;

use datapipe_core::connector::Plugin;
use datapipe_core::port::connect::{State, StatusChange, StatusRecord, TargetState};

use crate::connectors::Connector;
use crate::view::View;

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    pub(crate) worker_id: String,
    pub(crate) generation: i32,
}

/// A connector with its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) connector: StatusRecord,
    pub(crate) tasks: Vec<StatusRecord>,
}

/// How a connector stands, by what is wanted of it and by the states of its tasks' runs.
pub(crate) fn standing(
    view: &View,
    name: &str,
    run: impl Fn(u32) -> Option<(State, Option<String>)>,
    author: &Author,
) -> Option<Standing> {
    let (registered, connector) = view.get(name)?;
    let version = Plugin::of(&registered.config).map(|plugin| plugin.version.to_owned());
    let record = |state, trace| StatusRecord {
        state,
        trace,
        worker_id: author.worker_id.clone(),
        generation: author.generation,
        version: version.clone(),
    };
    let (own, task) = match (registered.target, connector) {
        (TargetState::Stopped, _) => ((State::Stopped, None), (State::Unassigned, None)),
        (TargetState::Paused, _) => ((State::Paused, None), (State::Paused, None)),
        (TargetState::Started, Connector::Unusable(why)) => {
            ((State::Failed, Some(why.clone())), (State::Unassigned, None))
        }
        (TargetState::Started, _) => ((State::Running, None), (State::Unassigned, None)),
    };
    let tasks = (0..).zip(&registered.tasks).map(|(number, _)| {
        let run = Some(number).filter(|_| registered.target == TargetState::Started).and_then(&run);
        let (state, trace) = run.unwrap_or_else(|| task.clone());
        record(state, trace)
    });
    Some(Standing { tasks: tasks.collect(), connector: record(own.0, own.1) })
}

/// The standing of whoever gives a connector up in order.
pub(crate) fn given_up(standing: Standing) -> Standing {
    let give_up = |record: StatusRecord| {
        let runs = matches!(record.state, State::Running | State::Failed | State::Restarting);
        if runs { StatusRecord { state: State::Unassigned, trace: None, ..record } } else { record }
    };
    Standing { connector: give_up(standing.connector), tasks: standing.tasks.into_iter().map(give_up).collect() }
}

/// What has been written by this ownership. Only a change of state is worth a record: the trace of a stall counts
/// seconds.
#[derive(Debug, Default)]
pub(crate) struct Written {
    connectors: BTreeMap<String, State>,
    tasks: BTreeMap<(String, u32), State>,
}

impl Written {
    /// The records that are missing, deletions of what is no more included.
    pub(crate) fn missing(&self, view: &View, standings: &BTreeMap<String, Standing>) -> Vec<StatusChange> {
        let mut changes = Vec::new();
        for (name, standing) in standings {
            for (task, record) in (0..).zip(&standing.tasks) {
                if self.tasks.get(&(name.clone(), task)) != Some(&record.state) {
                    let status = Some(record.clone());
                    changes.push(StatusChange::Task { connector: name.clone(), task, status });
                }
            }
            if self.connectors.get(name) != Some(&standing.connector.state) {
                let status = Some(standing.connector.clone());
                changes.push(StatusChange::Connector { connector: name.clone(), status });
            }
        }
        let tasks_of = |name: &String| standings.get(name).map_or(0, |standing| standing.tasks.len());
        let statuses = &view.statuses;
        for (connector, task) in statuses.tasks.keys().filter(|(name, task)| *task as usize >= tasks_of(name)) {
            changes.push(StatusChange::Task { connector: connector.clone(), task: *task, status: None });
        }
        let gone = |name: &String| !standings.contains_key(name);
        for (connector, topic) in statuses.topics.keys().filter(|(name, _)| gone(name)) {
            let (connector, topic) = (connector.clone(), topic.clone());
            changes.push(StatusChange::Topic { connector, topic, active: None });
        }
        for connector in statuses.connectors.keys().filter(|name| gone(name)) {
            changes.push(StatusChange::Connector { connector: connector.clone(), status: None });
        }
        changes
    }

    /// Takes note of a record that was written.
    pub(crate) fn note(&mut self, change: &StatusChange) {
        match change {
            StatusChange::Connector { connector, status } => {
                note(&mut self.connectors, connector.clone(), status.as_ref());
            }
            StatusChange::Task { connector, task, status } => {
                note(&mut self.tasks, (connector.clone(), *task), status.as_ref());
            }
            StatusChange::Topic { .. } => {}
        }
    }
}

fn note<K: Ord>(written: &mut BTreeMap<K, State>, key: K, status: Option<&StatusRecord>) {
    match status {
        Some(status) => written.insert(key, status.state),
        None => written.remove(&key),
    };
}

#[cfg(test)]
mod tests {
    use datapipe_core::port::connect::{ActiveTopic, ConfigMap, ConfigRecord, FeedItem};

    use super::*;
    use crate::fixtures;
    use crate::lifecycle::commit;

    fn author() -> Author {
        Author { worker_id: "127.0.0.1:8083".to_owned(), generation: 3 }
    }

    fn view(target: TargetState, tasks: usize) -> View {
        let config = ConfigMap::from([("connector.class".to_owned(), "org.example.Other".to_owned())]);
        let connector = ConfigRecord::Connector { connector: "a".to_owned(), config: Some(config) };
        let target = ConfigRecord::Target { connector: "a".to_owned(), state: Some(target) };
        let mut view = View::default();
        for record in [connector, target].into_iter().chain(commit("a", vec![ConfigMap::new(); tasks])) {
            view.apply(FeedItem::Config { offset: 0, record });
        }
        view
    }

    fn states(view: &View, run: Option<&(State, Option<String>)>) -> (State, Vec<State>) {
        let standing = standing(view, "a", |_| run.cloned(), &author()).unwrap();
        (standing.connector.state, standing.tasks.iter().map(|task| task.state).collect())
    }

    #[test]
    fn a_connector_stands_as_is_wanted_of_it_and_a_task_as_it_runs() {
        let failed = Some((State::Failed, Some("boom".to_owned())));
        assert_eq!(states(&view(TargetState::Paused, 1), failed.as_ref()), (State::Paused, vec![State::Paused]));
        assert_eq!(states(&view(TargetState::Stopped, 0), failed.as_ref()), (State::Stopped, vec![]));
        // What cannot be used has failed itself.
        assert_eq!(states(&view(TargetState::Started, 1), None), (State::Failed, vec![State::Unassigned]));
        let mut usable = view(TargetState::Started, 1);
        let config = datapipe_core::connector::SourceConfig::from_map(&fixtures::source("a")).unwrap();
        usable.connectors.insert("a".to_owned(), Connector::Source(Box::new(config)));
        assert_eq!(states(&usable, None), (State::Running, vec![State::Unassigned]));
        let stalled = Some((State::Failed, Some("stalled".to_owned())));
        assert_eq!(states(&usable, stalled.as_ref()), (State::Running, vec![State::Failed]));
    }

    #[test]
    fn each_task_stands_by_its_own_run() {
        let mut view = view(TargetState::Started, 3);
        let config = datapipe_core::connector::SinkConfig::from_map(&fixtures::sink("a", "b")).unwrap();
        view.connectors.insert("a".to_owned(), Connector::Sink(Box::new(config)));
        let runs = [Some((State::Running, None)), Some((State::Failed, Some("boom".to_owned()))), None];
        let found = standing(&view, "a", |task| runs[task as usize].clone(), &author()).unwrap();
        let states: Vec<_> = found.tasks.iter().map(|task| (task.state, task.trace.as_deref())).collect();
        assert_eq!(states, [(State::Running, None), (State::Failed, Some("boom")), (State::Unassigned, None)]);
    }

    #[test]
    fn states_are_written_once_and_what_is_gone_is_deleted() {
        let mut view = view(TargetState::Paused, 1);
        let standings: BTreeMap<String, Standing> =
            standing(&view, "a", |_| None, &author()).map(|standing| ("a".to_owned(), standing)).into_iter().collect();
        let mut written = Written::default();
        let first = written.missing(&view, &standings);
        assert_eq!(first.len(), 2);
        for change in first {
            written.note(&change);
            view.apply(FeedItem::Status(change));
        }
        assert_eq!(written.missing(&view, &standings), []);
        let active = ActiveTopic { name: "t".to_owned(), connector: "a".to_owned(), task: 0, discover_timestamp: 1 };
        let topic = |active| StatusChange::Topic { connector: "a".to_owned(), topic: "t".to_owned(), active };
        view.apply(FeedItem::Status(topic(Some(active))));
        let gone = written.missing(&view, &BTreeMap::new());
        let connector = StatusChange::Connector { connector: "a".to_owned(), status: None };
        let task = StatusChange::Task { connector: "a".to_owned(), task: 0, status: None };
        assert_eq!(gone, [task, topic(None), connector]);
    }

    #[test]
    fn whoever_leaves_in_order_leaves_nothing_running() {
        let standing = Standing {
            connector: standing(&view(TargetState::Paused, 1), "a", |_| None, &author()).unwrap().connector,
            tasks: vec![StatusRecord {
                state: State::Failed,
                trace: Some("boom".to_owned()),
                worker_id: String::new(),
                generation: 1,
                version: None,
            }],
        };
        let left = given_up(standing);
        assert_eq!((left.connector.state, left.tasks[0].state), (State::Paused, State::Unassigned));
        assert_eq!(left.tasks[0].trace, None);
    }
}
