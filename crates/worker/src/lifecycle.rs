//! Which tasks should run, and what to do about it. Pure.

use std::collections::BTreeMap;

use datapipe_core::connector::Plugin;
use datapipe_core::port::connect::{ConfigMap, ConfigRecord, TargetState};

use crate::connectors::Connector;
use crate::view::View;

/// One run of a connector's task. Two runs that are equal need no step between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) connector: Connector,
    /// How often the task was to be started anew before.
    pub(crate) restarts: u64,
}

/// What goes on for a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    Running(Run),
    /// Told to end, and not ended yet.
    Ending,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start(String, Run),
    End(String),
}

/// The runs that an owner of the group should have going: of connectors that are to run, that it can run, and whose
/// task is on record, so that a worker of another kind would find it.
pub(crate) fn wanted(view: &View) -> BTreeMap<String, Run> {
    let runs = view.all().filter_map(|(name, registered, connector)| {
        let usable = !matches!(connector, Connector::Unusable(_));
        let runs = usable && registered.target == TargetState::Started && registered.tasks.len() == 1;
        let restarts = view.restarts.get(name).copied().unwrap_or_default();
        runs.then(|| (name.clone(), Run { connector: connector.clone(), restarts }))
    });
    runs.collect()
}

/// The steps from what goes on to what should. A connector has one run at a time: the next one waits for the end of
/// the last.
pub(crate) fn steps(wanted: &BTreeMap<String, Run>, going: &BTreeMap<String, Going>) -> Vec<Step> {
    let ends = going.iter().filter_map(|(name, going)| match going {
        Going::Running(run) if wanted.get(name) != Some(run) => Some(Step::End(name.clone())),
        Going::Running(_) | Going::Ending => None,
    });
    let starts = wanted.iter().filter(|(name, _)| !going.contains_key(*name));
    ends.chain(starts.map(|(name, run)| Step::Start(name.clone(), run.clone()))).collect()
}

/// The records that put a connector's tasks on record, where they are not as its configuration has them. As in Kafka
/// Connect, only a connector that is to run has its tasks made, and one that was stopped has none.
pub(crate) fn task_records(view: &View) -> Vec<ConfigRecord> {
    let mut records = Vec::new();
    for (name, registered, connector) in view.all() {
        let tasks = match (registered.target, connector) {
            (TargetState::Stopped, _) => Vec::new(),
            (TargetState::Started, Connector::Source(_) | Connector::Sink(_)) => tasks(&registered.config),
            (TargetState::Started, Connector::Unusable(_)) | (TargetState::Paused, _) => continue,
        };
        if registered.consistent && registered.tasks == tasks {
            continue;
        }
        records.extend(commit(name, tasks));
    }
    records
}

/// The records that give a connector these tasks.
pub(crate) fn commit(connector: &str, tasks: Vec<ConfigMap>) -> Vec<ConfigRecord> {
    let mut records = Vec::new();
    for (task, config) in (0..).zip(tasks) {
        records.push(ConfigRecord::Task { connector: connector.to_owned(), task, config });
    }
    let tasks = u32::try_from(records.len()).unwrap_or(u32::MAX);
    records.push(ConfigRecord::Commit { connector: connector.to_owned(), tasks });
    records
}

fn tasks(config: &ConfigMap) -> Vec<ConfigMap> {
    Plugin::of(config).map(|plugin| plugin.task_configs(config)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use datapipe_core::port::connect::FeedItem;

    use super::*;
    use crate::fixtures;

    fn sink(bucket: &str) -> ConfigMap {
        fixtures::sink("a", bucket)
    }

    fn apply(view: &mut View, records: impl IntoIterator<Item = ConfigRecord>) {
        for record in records {
            let offset = view.last_config.map_or(0, |last| last + 1);
            view.apply(FeedItem::Config { offset, record });
        }
    }

    fn configure(config: Option<ConfigMap>) -> ConfigRecord {
        ConfigRecord::Connector { connector: "a".to_owned(), config }
    }

    fn aim(state: TargetState) -> ConfigRecord {
        ConfigRecord::Target { connector: "a".to_owned(), state: Some(state) }
    }

    /// What an owner does with a view: tasks on record first.
    fn settle(view: &mut View) -> BTreeMap<String, Run> {
        let records = task_records(view);
        apply(view, records);
        assert_eq!(task_records(view), [], "written once, it is as it should be");
        wanted(view)
    }

    #[test]
    fn a_new_connector_runs_once_its_task_is_on_record() {
        let mut view = View::default();
        apply(&mut view, [configure(Some(sink("x")))]);
        assert_eq!(wanted(&view), BTreeMap::new());
        assert_eq!(settle(&mut view).keys().collect::<Vec<_>>(), ["a"]);
        let task = &view.registry.get("a").unwrap().tasks[0];
        assert_eq!(task["task.class"], "io.aiven.kafka.connect.s3.S3SinkTask");
        assert_eq!(task["aws.secret.access.key"], "${env:SECRET}");
    }

    #[test]
    fn stopped_connectors_have_no_tasks_paused_ones_keep_theirs() {
        let mut view = View::default();
        apply(&mut view, [configure(Some(sink("x")))]);
        settle(&mut view);
        apply(&mut view, [aim(TargetState::Paused)]);
        assert_eq!((settle(&mut view).len(), view.registry.get("a").unwrap().tasks.len()), (0, 1));
        apply(&mut view, [aim(TargetState::Stopped)]);
        assert_eq!((settle(&mut view).len(), view.registry.get("a").unwrap().tasks.len()), (0, 0));
        apply(&mut view, [aim(TargetState::Started)]);
        assert_eq!((settle(&mut view).len(), view.registry.get("a").unwrap().tasks.len()), (1, 1));
        // Made paused: nothing has run, so there are no tasks to keep.
        let mut view = View::default();
        apply(&mut view, [aim(TargetState::Paused), configure(Some(sink("x")))]);
        assert_eq!((settle(&mut view).len(), view.registry.get("a").unwrap().tasks.len()), (0, 0));
    }

    #[test]
    fn no_secret_in_clear_is_printed() {
        let mut view = View::default();
        apply(&mut view, [configure(Some(fixtures::source("a")))]);
        let text = format!("{:?} {view:?}", settle(&mut view));
        assert!(text.contains("debezium_slot_users") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_name_that_claims_another_compression_is_refused() {
        let with = |value: &str| {
            let mut config = sink("x");
            config.insert("file.compression.type".to_owned(), value.to_owned());
            crate::connectors::read(&config)
        };
        assert!(matches!(with("gzip"), Connector::Sink(_)));
        let Connector::Unusable(why) = with("none") else { panic!("a name that ends with .gz is not gzip") };
        assert!(why.starts_with("file.name.template: "), "{why}");
    }

    #[test]
    fn what_cannot_be_used_is_left_as_it_is() {
        let mut view = View::default();
        let unusable = ConfigMap::from([("connector.class".to_owned(), "org.example.Other".to_owned())]);
        let theirs = commit("a", vec![ConfigMap::new(), ConfigMap::new()]);
        apply(&mut view, std::iter::once(configure(Some(unusable))).chain(theirs));
        assert_eq!((settle(&mut view).len(), view.registry.get("a").unwrap().tasks.len()), (0, 2));
    }

    #[test]
    fn a_changed_configuration_and_a_restart_are_new_runs_the_same_again_is_not() {
        let mut view = View::default();
        apply(&mut view, [configure(Some(sink("x")))]);
        let first = settle(&mut view);
        apply(&mut view, [configure(Some(sink("x")))]);
        assert_eq!(settle(&mut view), first);
        apply(&mut view, [configure(Some(sink("y")))]);
        let second = settle(&mut view);
        assert_ne!(second, first);
        assert_eq!(view.restart("a"), 1);
        assert_ne!(settle(&mut view), second);
        apply(&mut view, [configure(None)]);
        assert_eq!(settle(&mut view), BTreeMap::new());
    }

    /// Every sequence of wishes and endings up to a length: never two runs at once, and what is wanted is reached.
    #[test]
    fn one_run_at_a_time_and_the_last_wish_is_reached() {
        let run = |restarts| Run { connector: Connector::Unusable(String::new()), restarts };
        let mut frontier = vec![(BTreeMap::<String, Going>::new(), None::<u64>)];
        for _ in 0..7 {
            let mut next = Vec::new();
            for (going, wish) in frontier {
                for event in 0..4_u64 {
                    let (mut going, mut wish) = (going.clone(), wish);
                    match event {
                        0 => wish = None,
                        1 | 2 => wish = Some(event),
                        _ if going.get("a") == Some(&Going::Ending) => drop(going.remove("a")),
                        _ => continue,
                    }
                    act(&mut going, wish.map(run));
                    let mut settled = going.clone();
                    if settled.get("a") == Some(&Going::Ending) {
                        settled.remove("a");
                        act(&mut settled, wish.map(run));
                    }
                    let reached: Vec<_> = settled.into_values().collect();
                    assert_eq!(reached, wish.map(run).map(Going::Running).into_iter().collect::<Vec<_>>());
                    if !next.contains(&(going.clone(), wish)) {
                        next.push((going, wish));
                    }
                }
            }
            frontier = next;
        }
    }

    fn act(going: &mut BTreeMap<String, Going>, wish: Option<Run>) {
        let wanted = wish.map(|run| ("a".to_owned(), run)).into_iter().collect();
        for step in steps(&wanted, going) {
            match step {
                Step::Start(name, run) => {
                    assert_eq!(going.insert(name, Going::Running(run)), None, "one run at a time");
                }
                Step::End(name) => assert!(matches!(going.insert(name, Going::Ending), Some(Going::Running(_)))),
            }
        }
    }
}
