//! What only pods can see and do: servers looked at and made ready from where the workers will be, and plugins looked for in
//! their image.

use std::time::Duration;

use datapipe_core::plan::{Plan, Problem, ServerReport, SlotUse};
use datapipe_core::settings::Role;
use serde_json::Value;

use super::cluster::{Cluster, ClusterError, name};
use super::connectors::{MISSING_PLUGIN, class_of};
use super::{Applied, ApplyError, ApplyOptions, judge, tool};
use crate::checks::own_postgres;
use crate::defaults::{KAFKA, S3};
use crate::network::TOOL;
use crate::options::RenderOptions;
use crate::worker::{tool_plugins, tool_servers};
use crate::{POSTGRES, Tree};

/// How long a pod may take, its image included.
const POD_MAX: Duration = Duration::from_secs(60);
/// How long it waits for a server that is away: until the network policies hold for it.
const SERVER_WAIT: &str = "20s";
/// How much is told of why a pod did not run, in characters.
const WHY_MAX: usize = 200;
/// How long slots may take until a stream reads them.
const SLOTS_MAX: Duration = Duration::from_secs(60);

/// A deployment, seen from inside.
pub(super) struct Inside<'a> {
    pub(super) cluster: &'a Cluster,
    /// The tables that are brought there.
    pub(super) plan: &'a Plan,
    pub(super) options: &'a RenderOptions,
    pub(super) tree: &'a Tree,
    pub(super) how: &'a ApplyOptions<'a>,
}

/// What a look has shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) problems: Vec<Problem>,
    /// What pods reported of the servers that are there already; none if none was asked.
    pub(super) servers: Option<ServerReport>,
    /// Whether all that the plan needs was among them.
    pub(super) all: bool,
}

impl Inside<'_> {
    /// Looks at servers and plugins. What cannot be looked at is told, and keeps nothing from going on.
    pub(super) async fn look(&self) -> Result<Seen, ClusterError> {
        self.cluster.remove_tools().await?;
        let reaches = self.reaches().await?;
        if !reaches {
            self.say("servers are not looked at from inside: the network policies that hold now are not those of these settings");
        }
        let (there, coming) = if reaches { self.servers().await? } else { (Vec::new(), self.needed()) };
        if reaches && !coming.is_empty() {
            let names = coming.iter().map(|server| server.title).collect::<Vec<_>>().join(", ");
            self.say(&format!("not looked at before, as this deployment brings them: {names}"));
        }
        let (servers, missing) = tokio::join!(self.look_at(&there), self.plugins(reaches));
        let problems = servers.iter().flat_map(|report| report.problems.clone()).chain(missing).collect();
        let all = coming.is_empty() && servers.is_some();
        Ok(Seen { problems, servers, all })
    }

    /// Whether a tool's pod reaches what a worker's will: no policy holds, or the one that the tree has.
    async fn reaches(&self) -> Result<bool, ClusterError> {
        if self.cluster.listed("NetworkPolicy", "").await?.is_empty() {
            return Ok(true);
        }
        let policy = self.object("NetworkPolicy", TOOL);
        match policy {
            Some(policy) => Ok(self.cluster.change(policy).await?.is_none()),
            None => Ok(false),
        }
    }

    fn object(&self, kind: &str, wanted: &str) -> Option<&Value> {
        self.tree.objects().find(|object| object["kind"] == kind && name(object) == wanted)
    }

    fn needed(&self) -> Vec<&'static Server> {
        let runs = |role| self.plan.tables.iter().any(|pipeline| pipeline.connector(role).is_some());
        let needed = |server: &&Server| match server.flag {
            "postgres" => runs(Role::Source),
            "s3" => runs(Role::Sink),
            _ => true,
        };
        SERVERS.iter().filter(needed).collect()
    }

    /// The servers that can be looked at, and those that this apply brings or changes.
    async fn servers(&self) -> Result<(Vec<&'static Server>, Vec<&'static Server>), ClusterError> {
        let (mut there, mut coming) = (Vec::new(), Vec::new());
        for server in self.needed() {
            let own = match server.flag {
                "postgres" => own_postgres(self.plan),
                "kafka" => self.options.with_kafka,
                _ => self.options.with_s3,
            };
            let runs = !own || self.runs_unchanged(server).await?;
            if runs { there.push(server) } else { coming.push(server) }
        }
        Ok((there, coming))
    }

    async fn runs_unchanged(&self, server: &Server) -> Result<bool, ClusterError> {
        let Some(object) = self.object(server.kind, server.object) else { return Ok(false) };
        let Some(live) = self.cluster.live(object).await? else { return Ok(false) };
        if judge::unfinished(&live).is_some() {
            return Ok(false);
        }
        // One that somebody else manages is refused elsewhere.
        Ok(self.cluster.change(object).await.is_ok_and(|change| change.is_none()))
    }

    async fn look_at(&self, servers: &[&Server]) -> Option<ServerReport> {
        if servers.is_empty() {
            return None;
        }
        let mut words = vec!["preflight".to_owned()];
        words.extend(servers.iter().flat_map(|server| ["--server".to_owned(), server.flag.to_owned()]));
        let names = servers.iter().map(|server| server.title).collect::<Vec<_>>().join(", ");
        let report = self.ask(words, SERVER_WAIT, POD_MAX).await;
        report.map_err(|why| self.unseen(&format!("{names} were not looked at from inside"), &why)).ok()
    }

    /// Makes topics and publications, unless all that is needed was seen and nothing of it is missing: a table that has its
    /// slot has its publication.
    pub(super) async fn prepare(&self, seen: &Seen, applied: &mut Applied) -> Result<(), ApplyError> {
        let complete = |report: &ServerReport| {
            report.topics_missing.is_empty() && report.slots.values().all(|slot| *slot != SlotUse::Missing)
        };
        if seen.all && seen.servers.as_ref().is_some_and(complete) {
            return Ok(());
        }
        let report = match self.ask(vec!["prepare".to_owned()], SERVER_WAIT, POD_MAX).await {
            Ok(report) => report,
            Err(why) => {
                self.unseen("topics are left to the workers", &why);
                return Ok(());
            }
        };
        for made in report.made {
            (self.how.say)(&format!("+ {made}"));
            applied.made.push(made);
        }
        let problems = datapipe_core::plan::Problems(report.problems);
        if problems.0.is_empty() { Ok(()) } else { Err(ApplyError::Unprepared(problems)) }
    }

    /// Waits until streams read the slots of these tables, whose connectors run in JVMs: RUNNING does not say so.
    pub(super) async fn streams(&self, tables: &[&str], seen: &Seen, applied: &Applied) -> Result<(), ApplyError> {
        let mut plan = self.plan.clone();
        let slots = seen.servers.as_ref().map(|report| &report.slots);
        let active = |slot: &str| slots.is_some_and(|slots| slots.get(slot) == Some(&SlotUse::Active));
        // One whose stream ran before, and whose worker and connector were left alone, has it still.
        plan.tables.retain(|pipeline| {
            let names = &pipeline.names;
            let worker = format!("Deployment {}", names.worker);
            let touched = applied.connectors.contains(&names.source_connector)
                || applied.changes.iter().any(|change| change.object == worker);
            tables.contains(&names.table.as_str()) && (touched || !active(&names.slot))
        });
        if plan.tables.is_empty() {
            return Ok(());
        }
        let wait = self.how.wait_max.min(SLOTS_MAX);
        let some = Inside { plan: &plan, ..*self };
        let report = match some.ask(vec!["slots".to_owned()], &format!("{}s", wait.as_secs()), wait + POD_MAX).await {
            Ok(report) => report,
            Err(why) => {
                self.unseen("whether streams read the slots was not looked at", &why);
                return Ok(());
            }
        };
        for problem in &report.problems {
            self.say(&problem.to_string());
        }
        for (slot, usage) in report.slots {
            match usage {
                SlotUse::Active => {}
                SlotUse::Idle => self.say(&format!(
                    "no stream reads slot {slot} after {} s: its table's snapshot goes on, or the connector waits for \
                     something; datapipe-verify tells",
                    wait.as_secs()
                )),
                SlotUse::Missing => {
                    let why = "it does not exist, though its connector is RUNNING".to_owned();
                    let object = format!("slot {slot}");
                    return Err(ApplyError::NotReady {
                        object,
                        aim: "read by a stream",
                        waited_s: wait.as_secs(),
                        why,
                    });
                }
            }
        }
        Ok(())
    }

    /// What `datapipe-run` reports from inside.
    async fn ask(&self, mut words: Vec<String>, wait: &str, limit: Duration) -> Result<ServerReport, String> {
        words.extend(["--wait", wait, "--output", "json"].map(str::to_owned));
        let life_s = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        let pod = tool_servers(self.plan, self.options, &words, life_s).map_err(|problems| problems.to_string())?;
        let ended = tool::run(self.cluster, &pod, limit).await?;
        let report = report(&ended.log).ok_or_else(|| {
            let last = ended.log.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            format!("datapipe-run ended with code {} and said: {last}", ended.code)
        })?;
        report.notes.iter().for_each(|note| self.say(note));
        Ok(report)
    }

    /// A finding for each class of a connector that the JVM workers' image lacks.
    async fn plugins(&self, reaches: bool) -> Vec<Problem> {
        let needed = self.classes();
        let classes: Vec<&str> = needed.iter().map(|(class, _)| class.as_str()).collect();
        let Some(pod) = tool_plugins(self.plan, self.options, &classes).filter(|_| !needed.is_empty()) else {
            return Vec::new();
        };
        if !reaches && !self.options.plugins.is_empty() {
            self.say("plugins are not looked for: this pod could not fetch those of deploy.plugins");
            return Vec::new();
        }
        match tool::run(self.cluster, &pod, POD_MAX).await {
            Ok(ended) if ended.code == 0 => lacking(&ended.log, &needed, &self.options.connect_image),
            Ok(ended) => {
                let why = ended.log.lines().last().unwrap_or("nothing").to_owned();
                self.say(&format!("plugins were not looked for: the pod ended with code {}: {why}", ended.code));
                Vec::new()
            }
            Err(why) => {
                self.say(&format!("plugins were not looked for: {why}"));
                Vec::new()
            }
        }
    }

    /// The classes of connectors that run in JVMs, each with its connectors.
    fn classes(&self) -> Vec<(String, Vec<&str>)> {
        let mut classes: Vec<(String, Vec<&str>)> = Vec::new();
        for pipeline in &self.plan.tables {
            let jvm = pipeline.connectors.iter().filter(|one| pipeline.worker.kind.runs_in_jvm(one.role));
            for connector in jvm {
                let class = class_of(self.tree, pipeline, connector);
                match classes.iter_mut().find(|(known, _)| *known == class) {
                    Some((_, connectors)) => connectors.push(&connector.name),
                    None => classes.push((class, vec![&connector.name])),
                }
            }
        }
        classes
    }

    fn say(&self, text: &str) {
        (self.how.say)(&format!("  {text}"));
    }

    fn unseen(&self, what: &str, why: &str) {
        let image = &self.options.worker_image;
        let why: String = why.chars().take(WHY_MAX).collect();
        self.say(&format!(
            "{what}: {why} (the pod for it runs {image}, an image with datapipe-run in its path: deploy.worker_image names it; \
             --no-look goes without)"
        ));
    }
}

/// A server that pipelines need, and the object by which a deployment brings its own.
#[derive(Debug)]
struct Server {
    flag: &'static str,
    title: &'static str,
    kind: &'static str,
    object: &'static str,
}

const SERVERS: [Server; 3] = [
    Server { flag: "postgres", title: "PostgreSQL", kind: "StatefulSet", object: POSTGRES },
    Server { flag: "kafka", title: "Kafka", kind: "Deployment", object: KAFKA.0 },
    Server { flag: "s3", title: "S3", kind: "Deployment", object: S3.0 },
];

/// The report among a log's lines.
fn report(log: &str) -> Option<ServerReport> {
    log.lines().rev().filter(|line| line.starts_with('{')).find_map(|line| serde_json::from_str(line).ok())
}

/// The findings of a look at the plugins.
fn lacking(log: &str, needed: &[(String, Vec<&str>)], image: &str) -> Vec<Problem> {
    let there: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("folder ")).collect();
    let there = if there.is_empty() { "no plugin".to_owned() } else { there.join(", ") };
    let lacks = |class: &str| log.lines().any(|line| line.strip_prefix("lacks ") == Some(class));
    let missing = needed.iter().filter(|(class, _)| lacks(class));
    let problem = |(class, connectors): &(String, Vec<&str>)| {
        let what = format!("is not among the plugins of {image}, which holds {there}");
        let why = format!("connector {} could not be made", connectors.join(", "));
        Problem::new(format!("plugin {class}"), what, MISSING_PLUGIN).because(why)
    };
    missing.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_found_among_other_lines() {
        let log = "error: the servers are not ready\n{\"problems\":[{\"object\":\"postgres\",\"what\":\"is away\",\"why\":\"\",\
                   \"fix\":\"start it\"}],\"topics_missing\":[\"t\"],\"slots\":{\"s\":\"idle\"}}\n  fix: start it\n";
        let report = report(log).unwrap();
        assert_eq!(report.problems, [Problem::new("postgres", "is away", "start it")]);
        assert_eq!((report.topics_missing.len(), report.slots["s"]), (1, SlotUse::Idle));
        assert_eq!(super::report("error: unrecognized subcommand 'preflight'\n{\n"), None);
    }

    #[test]
    fn a_class_that_the_image_lacks_is_one_finding() {
        let needed = [("a.Source".to_owned(), vec!["s-1", "s-2"]), ("b.Sink".to_owned(), vec!["k-1", "k-2"])];
        let found = lacking("has a.Source\nlacks b.Sink\nfolder debezium-postgres\n", &needed, "connect:1");
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1);
        let words = "plugin b.Sink: is not among the plugins of connect:1, which holds debezium-postgres; connector k-1, k-2 \
                     could not be made; put it into";
        assert!(told[0].starts_with(words), "{told:?}");
        assert_eq!(lacking("has a.Source\nhas b.Sink\n", &needed, "connect:1"), []);
    }
}
