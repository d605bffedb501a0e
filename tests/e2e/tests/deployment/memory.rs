//! What the kernel counts for each container.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::bed::{Bed, TABLES};

const GROUPS: &str = "/sys/fs/cgroup/memory/datapipe-k8s/kubepods";
const MIB: u64 = 1 << 20;

/// A container of a worker, by its control group.
pub(crate) struct Container {
    pub(crate) app: String,
    pub(crate) name: String,
    folder: PathBuf,
    /// The most that was resident at any look, in bytes.
    resident_max: u64,
}

/// Figures of one moment, in MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) limit: u64,
    /// The most since the last look, page cache included.
    pub(crate) most: u64,
    /// Of which the processes' own, at the last look.
    pub(crate) resident: u64,
    /// How often the kernel killed in it.
    pub(crate) killed: u64,
}

fn find(folder: &Path, id: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    entries.into_iter().find_map(|path| if path.ends_with(id) { Some(path) } else { find(&path, id) })
}

impl Container {
    /// Those of all workers.
    pub(crate) fn all(bed: &Bed) -> Vec<Self> {
        TABLES.iter().flat_map(|(_, app)| Self::of(bed, app)).collect()
    }

    pub(crate) fn of(bed: &Bed, app: &str) -> Vec<Self> {
        let pods = bed.pods(app);
        let statuses = pods.iter().flat_map(|pod| pod["status"]["containerStatuses"].as_array().unwrap());
        let one = |status: &serde_json::Value| {
            let id = status["containerID"].as_str().unwrap().trim_start_matches("containerd://");
            let folder = find(Path::new(GROUPS), id).unwrap_or_else(|| panic!("no control group of {app}, {id}"));
            let name = status["name"].as_str().unwrap().to_owned();
            Self { app: app.to_owned(), name, folder, resident_max: 0 }
        };
        statuses.map(one).collect()
    }

    fn number(&self, file: &str, key: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{file}: {text}"));
        line.trim().parse().unwrap()
    }

    /// What it takes as the metrics API counts it, in MiB: without page cache that is not in use.
    pub(crate) fn working_set(&self) -> u64 {
        (self.number("memory.usage_in_bytes", "") - self.number("memory.stat", "total_inactive_file ")) / MIB
    }

    /// Looks at what is resident.
    pub(crate) fn look(&mut self) {
        self.resident_max = self.resident_max.max(self.number("memory.stat", "total_rss "));
    }

    /// The figures since the last call.
    pub(crate) fn figures(&mut self) -> Figures {
        self.look();
        let figures = Figures {
            limit: self.number("memory.limit_in_bytes", "") / MIB,
            most: self.number("memory.max_usage_in_bytes", "") / MIB,
            resident: self.resident_max / MIB,
            killed: self.number("memory.oom_control", "oom_kill "),
        };
        fs::write(self.folder.join("memory.max_usage_in_bytes"), "0").unwrap();
        self.resident_max = 0;
        figures
    }

    /// Process ids, as this machine counts them.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// Looks at containers while something happens.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Container>>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    pub(crate) fn begin(mut containers: Vec<Container>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                containers.iter_mut().for_each(Container::look);
                thread::sleep(Duration::from_millis(200));
            }
            containers
        });
        Self { stop, thread: Some(thread) }
    }

    /// The containers, and what they took.
    pub(crate) fn end(mut self) -> (Vec<Container>, Vec<Figures>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut containers = self.thread.take().unwrap().join().unwrap();
        let figures = containers.iter_mut().map(Container::figures).collect();
        (containers, figures)
    }
}

/// Prints a table: what each container took in each phase.
pub(crate) fn print(containers: &[Container], phases: &[(&str, Vec<Figures>)]) {
    let names: Vec<String> = phases.iter().map(|(name, _)| format!("{name}: most (own)")).collect();
    println!("| container | limit | {} |", names.join(" | "));
    println!("|---|---|{}", "---|".repeat(phases.len()));
    for (at, container) in containers.iter().enumerate() {
        let figures: Vec<String> =
            phases.iter().map(|(_, all)| format!("{} MiB ({})", all[at].most, all[at].resident)).collect();
        let limit = phases[0].1[at].limit;
        println!("| {} {} | {limit} MiB | {} |", container.app, container.name, figures.join(" | "));
    }
}
