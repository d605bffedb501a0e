//! Which tasks should run, and what to do about it. Pure.

use std::collections::BTreeMap;

use datapipe_core::connector::Plugin;
use datapipe_core::port::connect::{ConfigMap, ConfigRecord, TargetState};

use crate::connectors::Connector;
use crate::view::View;

/// A connector's task: its name and the task's number.
pub(crate) type TaskKey = (String, u32);

/// One run of a task. Two runs that are equal need no step between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) connector: Connector,
    /// How often the task was to be started anew before.
    pub(crate) restarts: u64,
}

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Going {
    pub(crate) run: Run,
    /// Told to end, and not ended yet.
    pub(crate) ending: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start(TaskKey, Run),
    End(TaskKey),
}

/// The runs that an owner of the group should have going: of connectors that are to run, that it can run, and whose
/// tasks are on record, so that a worker of another kind would find them.
pub(crate) fn wanted(view: &View) -> BTreeMap<TaskKey, Run> {
    let runs = view.all().flat_map(|(name, registered, connector)| {
        let tasks = connector.tasks();
        let on_record = registered.tasks.len() == tasks as usize;
        let runs = registered.target == TargetState::Started && on_record;
        (0..tasks).filter(move |_| runs).map(move |task| {
            let key = (name.clone(), task);
            let restarts = view.restarts.get(&key).copied().unwrap_or_default();
            (key, Run { connector: connector.clone(), restarts })
        })
    });
    runs.collect()
}

/// The steps from what goes on to what should. A task has one run at a time: the next one waits for the end of the
/// last. And a connector has one configuration at a time: which partitions a task takes goes by how many tasks there are.
pub(crate) fn steps(wanted: &BTreeMap<TaskKey, Run>, going: &BTreeMap<TaskKey, Going>) -> Vec<Step> {
    let ends = going.iter().filter(|(key, going)| !going.ending && wanted.get(*key) != Some(&going.run));
    let waits = |key: &TaskKey, run: &Run| {
        let of_connector = going.iter().filter(|((name, _), _)| *name == key.0);
        going.contains_key(key) || of_connector.into_iter().any(|(_, going)| going.run.connector != run.connector)
    };
    let starts = wanted.iter().filter(|(key, run)| !waits(key, run));
    let starts = starts.map(|(key, run)| Step::Start(key.clone(), run.clone()));
    ends.map(|(key, _)| Step::End(key.clone())).chain(starts).collect()
}

/// The records that put a connector's tasks on record, where they are not as its configuration has them. As in Kafka
/// Connect, only a connector that is to run has its tasks made, and one that was stopped has none.
pub(crate) fn task_records(view: &View) -> Vec<ConfigRecord> {
    let mut records = Vec::new();
    for (name, registered, connector) in view.all() {
        let tasks = match (registered.target, connector) {
            (TargetState::Stopped, _) => Vec::new(),
            (TargetState::Started, Connector::Source(_) | Connector::Sink(_)) => {
                tasks(&registered.config, connector.tasks())
            }
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

fn tasks(config: &ConfigMap, tasks: u32) -> Vec<ConfigMap> {
    Plugin::of(config).map(|plugin| plugin.task_configs(config, tasks)).unwrap_or_default()
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
    fn settle(view: &mut View) -> BTreeMap<TaskKey, Run> {
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
        assert_eq!(settle(&mut view).keys().collect::<Vec<_>>(), [&("a".to_owned(), 0)]);
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
        assert_eq!(view.restart("a", 0), 1);
        assert_ne!(settle(&mut view), second);
        apply(&mut view, [configure(None)]);
        assert_eq!(settle(&mut view), BTreeMap::new());
    }

    fn split(tasks: u32) -> ConfigMap {
        let mut config = sink("x");
        config.insert("tasks.max".to_owned(), tasks.to_string());
        config
    }

    #[test]
    fn each_task_is_on_record_and_runs_and_is_started_anew_alone() {
        let mut view = View::default();
        apply(&mut view, [configure(Some(split(3)))]);
        let first = settle(&mut view);
        assert_eq!(first.keys().map(|(_, task)| *task).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(view.registry.get("a").unwrap().tasks.len(), 3);
        view.restart("a", 1);
        let second = settle(&mut view);
        let key = |task| ("a".to_owned(), task);
        let differ: Vec<_> = (0..3).filter(|task| first[&key(*task)] != second[&key(*task)]).collect();
        assert_eq!(differ, [1]);
        apply(&mut view, [configure(Some(split(2)))]);
        assert_eq!((settle(&mut view).len(), view.registry.get("a").unwrap().tasks.len()), (2, 2));
    }

    #[test]
    fn other_tasks_wait_until_all_runs_of_the_former_have_ended() {
        let runs = |tasks| {
            let mut view = View::default();
            apply(&mut view, [configure(Some(split(tasks)))]);
            settle(&mut view)
        };
        let (before, after) = (runs(2), runs(3));
        let running = before.iter().map(|(key, run)| (key.clone(), Going { run: run.clone(), ending: false }));
        let mut going: BTreeMap<_, _> = running.collect();
        let ends: Vec<_> = before.keys().cloned().map(Step::End).collect();
        // Task 2 is new, and its partitions are still the others'.
        assert_eq!(steps(&after, &going), ends);
        for going in going.values_mut() {
            going.ending = true;
        }
        going.remove(&("a".to_owned(), 0));
        assert_eq!(steps(&after, &going), []);
        going.clear();
        assert_eq!(steps(&after, &going).len(), 3);
    }

    /// Every sequence of wishes and endings up to a length: never two runs at once, and what is wanted is reached.
    #[test]
    fn one_run_at_a_time_and_the_last_wish_is_reached() {
        let run = |restarts| Run { connector: Connector::Unusable(String::new()), restarts };
        let mut frontier = vec![(BTreeMap::<TaskKey, Going>::new(), None::<u64>)];
        for _ in 0..7 {
            let mut next = Vec::new();
            for (going, wish) in frontier {
                for event in 0..4_u64 {
                    let (mut going, mut wish) = (going.clone(), wish);
                    match event {
                        0 => wish = None,
                        1 | 2 => wish = Some(event),
                        _ if ends(&going) => going.clear(),
                        _ => continue,
                    }
                    act(&mut going, wish.map(run));
                    let mut settled = going.clone();
                    if ends(&settled) {
                        settled.clear();
                        act(&mut settled, wish.map(run));
                    }
                    let reached: Vec<_> = settled.into_values().collect();
                    let expected = wish.map(|wish| Going { run: run(wish), ending: false });
                    assert_eq!(reached, expected.into_iter().collect::<Vec<_>>());
                    if !next.contains(&(going.clone(), wish)) {
                        next.push((going, wish));
                    }
                }
            }
            frontier = next;
        }
    }

    fn ends(going: &BTreeMap<TaskKey, Going>) -> bool {
        going.values().any(|going| going.ending)
    }

    fn act(going: &mut BTreeMap<TaskKey, Going>, wish: Option<Run>) {
        let wanted = wish.map(|run| (("a".to_owned(), 0), run)).into_iter().collect();
        for step in steps(&wanted, going) {
            match step {
                Step::Start(key, run) => {
                    assert_eq!(going.insert(key, Going { run, ending: false }), None, "one run at a time");
                }
                Step::End(key) => {
                    let going = going.get_mut(&key).unwrap();
                    assert!(!std::mem::replace(&mut going.ending, true));
                }
            }
        }
    }
}
