//! Who runs the tables, and what may happen to a worker.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, until};
use crate::flow::{Window, now_us};
use crate::memory::Container;
use crate::ports;

/// More than the 1 MiB that a topic takes, compressed as well.
const TOO_LARGE: &str = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 75000))";

/// Who runs the four tables' sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// One Kafka Connect worker with the memory and the processor time of four.
    Shared,
    /// A Kafka Connect worker for each.
    KafkaConnect,
    /// A native worker for each.
    Native,
}

/// What happens to one table's worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is killed.
    Killed,
    /// Its container passes its memory limit, and the kernel kills it.
    OutOfMemory,
    /// It is given what it cannot process: a native worker a row that is too large for the topic, a Kafka Connect worker a
    /// transform that fails at each record. A native worker gets over it by itself; the transform has to be taken back.
    Poisoned,
}

pub(crate) const FAULTS: [Fault; 3] = [Fault::Killed, Fault::OutOfMemory, Fault::Poisoned];

/// The place of a table's connector in its worker's REST interface.
fn connector(table: &str) -> String {
    format!("/connectors/postgres-cdc-{}-connector", table.replace('_', "-"))
}

impl Arrangement {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shared => "one shared Kafka Connect worker",
            Self::KafkaConnect => "a Kafka Connect worker per table",
            Self::Native => "a native worker per table",
        }
    }

    /// Brings it about, and waits until all four tables run.
    pub(crate) fn deploy(self, bed: &Bed) {
        match self {
            Self::KafkaConnect => bed.deployed(Deployment::Contract),
            Self::Native => {
                bed.deployed_with(Deployment::Contract, &["--worker", "native"]);
            }
            Self::Shared => self.share(bed),
        }
        for (table, _) in TABLES {
            until(&format!("{table} to run"), 120, || self.task_state(bed, table) == "RUNNING");
        }
    }

    /// As the API server passes it on, which says no while the worker is away.
    fn task_state(self, bed: &Bed, table: &str) -> String {
        let service = format!("/api/v1/namespaces/{NAMESPACE}/services/{}:rest/proxy", self.app(table));
        let output = bed.try_kubectl(&["get", "--raw", &format!("{service}{}/status", connector(table))]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["tasks"][0]["state"].as_str().unwrap_or("none").to_owned()
    }

    /// One table's worker with the resources of four, which is given the others' connectors.
    fn share(self, bed: &Bed) {
        let app = self.app("users");
        let (whole, only) = ("tables.users.worker.memory=1000MiB", ["--table", "users"]);
        bed.deployed_with(Deployment::Contract, &["--set", whole, only[0], only[1]]);
        let deployment = format!("deployment/{app}");
        let processor = ["set", "resources", &deployment, "-n", NAMESPACE, "--limits=cpu=1", "--requests=cpu=500m"];
        bed.kubectl(&processor);
        bed.kubectl(&["rollout", "status", &deployment, "-n", NAMESPACE, "--timeout=120s"]);
        for (table, _) in TABLES.iter().filter(|(table, _)| *table != "users") {
            let name = format!("connectors/{}-debezium-connector.json", table.replace('_', "-"));
            let mut connector = file(bed, &name);
            // Metrics are named by the topics' prefix, and in one JVM a second connector of that prefix waits a minute for
            // the first one's to go.
            connector["config"]["custom.metric.tags"] = json!(format!("table={table}"));
            ports::send(self.port("users"), "POST", "/connectors", &connector);
        }
    }

    /// The place of a table's worker among all.
    fn at(self, table: &str) -> usize {
        let whose = if self == Self::Shared { "users" } else { table };
        TABLES.iter().position(|(name, _)| *name == whose).unwrap()
    }

    /// The worker of a table.
    pub(crate) fn app(self, table: &str) -> &'static str {
        TABLES[self.at(table)].1
    }

    fn port(self, table: &str) -> u16 {
        8083 + u16::try_from(self.at(table)).unwrap()
    }

    /// The containers of all workers.
    pub(crate) fn containers(self, bed: &Bed) -> Vec<Container> {
        if self == Self::Shared { Container::of(bed, self.app("users")) } else { Container::all(bed) }
    }

    /// Does it. Returns when it began, and when it was done: what is committed from then on waits for the worker.
    pub(crate) fn fall(self, bed: &Bed, fault: Fault, table: &str) -> Window {
        let begun = now_us();
        match fault {
            Fault::Killed => {
                for process in processes(bed, self.app(table)) {
                    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
                }
            }
            Fault::OutOfMemory => self.out_of_memory(bed, table),
            Fault::Poisoned => self.poison(bed, table),
        }
        (begun, now_us())
    }

    fn out_of_memory(self, bed: &Bed, table: &str) {
        let app = self.app(table);
        // The kernel takes the process whose memory and this share of the limit are the most: the worker, if what grows
        // beside it is many small ones.
        for process in processes(bed, app) {
            fs::write(format!("/proc/{process}/oom_score_adj"), "1000").unwrap();
        }
        let bytes = if self == Self::Shared { 20_000_000 } else { 5_000_000 };
        let grow =
            format!("for n in {{1..80}}; do (head -c {bytes} /dev/zero | tail -c {bytes} | sleep 60) & done; wait");
        let deployment = format!("deployment/{app}");
        let container = if self == Self::Native { "datapipe" } else { "kafka-connect" };
        let output = bed.exec((NAMESPACE, &deployment, container), &["bash", "-c", &grow]);
        assert!(!output.status.success(), "it grew past the limit of its container");
    }

    fn poison(self, bed: &Bed, table: &str) {
        if self == Self::Native {
            let (column, rest) = match table {
                "products" => ("name", ", price) VALUES ("),
                "users" => ("name", ") VALUES ("),
                "orders" => ("status", ", user_id) VALUES ("),
                _ => panic!("{table} has no text"),
            };
            let more = if rest.starts_with(',') { ", 1" } else { "" };
            // Its deletion is what the topic gets of it, beside a dead letter.
            bed.tool(&["sql", &format!(
                "INSERT INTO {table} ({column}{rest}{TOO_LARGE}{more}); DELETE FROM {table} WHERE length({column}) > 1000000"
            )]);
            return;
        }
        let mut config = self.config(bed, table);
        for (key, value) in [
            ("transforms", "poison"),
            ("transforms.poison.type", "org.apache.kafka.connect.transforms.ValueToKey"),
            ("transforms.poison.fields", "missing"),
        ] {
            config[key] = json!(value);
        }
        self.configure(table, &config);
        until("the task to fail", 60, || self.task_state(bed, table) == "FAILED");
    }

    fn config(self, bed: &Bed, table: &str) -> Value {
        let service = format!("/api/v1/namespaces/{NAMESPACE}/services/{}:rest/proxy", self.app(table));
        serde_json::from_str(&bed.kubectl(&["get", "--raw", &format!("{service}{}/config", connector(table))])).unwrap()
    }

    fn configure(self, table: &str, config: &Value) {
        ports::send(self.port(table), "PUT", &format!("{}/config", connector(table)), config);
    }

    /// Takes back what a person would have to take back.
    pub(crate) fn mend(self, bed: &Bed, fault: Fault, table: &str) {
        if fault == Fault::Poisoned && self != Self::Native {
            let mut config = self.config(bed, table);
            config.as_object_mut().unwrap().retain(|key, _| !key.starts_with("transforms"));
            self.configure(table, &config);
        }
    }

    /// How long Kubernetes let pass, in whole seconds, before it started a container again that has ended. A container
    /// that has ended before waits ten seconds, twenty, and so on.
    pub(crate) fn waited_s(self, bed: &Bed, fault: Fault, table: &str) -> u64 {
        if fault == Fault::Poisoned {
            return 0;
        }
        let pods = bed.pods(self.app(table));
        let status = &pods[0]["status"]["containerStatuses"][0];
        let ended = &status["lastState"]["terminated"];
        let reason = if fault == Fault::OutOfMemory { "OOMKilled" } else { "Error" };
        assert_eq!(ended["reason"], reason, "{table}: {status}");
        second_of_day(&status["state"]["running"]["startedAt"]).saturating_sub(second_of_day(&ended["finishedAt"]))
    }
}

/// Of a time like 2026-11-26T07:23:41Z.
fn second_of_day(time: &Value) -> u64 {
    let clock = time.as_str().and_then(|text| text.get(11..19)).unwrap_or_else(|| panic!("no time: {time}"));
    clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap())
}

fn processes(bed: &Bed, app: &str) -> Vec<i32> {
    Container::of(bed, app).iter().flat_map(Container::processes).collect()
}

/// A file of the contract's deployment.
fn file(bed: &Bed, name: &str) -> Value {
    let folder = tempdir().unwrap();
    let tree: PathBuf = bed.rendered(Deployment::Contract, folder.path());
    serde_json::from_str(&fs::read_to_string(tree.join(name)).unwrap()).unwrap()
}
