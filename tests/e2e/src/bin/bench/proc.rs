//! What the kernel says of a process: CPU time and memory.

use std::fs;

/// Clock ticks per second in `/proc`: `USER_HZ`, 100 on every architecture that this runs on.
const TICKS_PER_S: f64 = 100.0;

/// User and system time of a process, its waited-for children aside, in seconds. None if it is gone.
pub(crate) fn cpu_s(pid: u32) -> Option<f64> {
    fields(pid).map(|fields| seconds(&fields[11..13]))
}

/// True once a process has ended and only its exit status is left.
pub(crate) fn has_ended(pid: u32) -> bool {
    fields(pid).is_none_or(|fields| fields[0] == "Z")
}

/// CPU time of a server and all of its children, those that have ended included, in seconds.
pub(crate) fn family_cpu_s(parent: u32) -> f64 {
    // A child that is waited for between the two looks of one sum is in neither: the sum only grows, so the greater
    // of two is right.
    family_cpu_once_s(parent).max(family_cpu_once_s(parent))
}

fn family_cpu_once_s(parent: u32) -> f64 {
    let own = fields(parent).map_or(0.0, |fields| seconds(&fields[11..15]));
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = pids.filter_map(fields).filter(|fields| fields[1] == parent.to_string());
    own + children.map(|fields| seconds(&fields[11..13])).sum::<f64>()
}

/// Fields of `/proc/PID/stat` from the third on, the state.
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second is the program's name in parentheses, which may hold anything.
    let rest = &stat[stat.rfind(')')? + 1..];
    Some(rest.split_whitespace().map(str::to_owned).collect()).filter(|fields: &Vec<String>| fields.len() > 15)
}

fn seconds(ticks: &[String]) -> f64 {
    ticks.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S
}

/// A line of `/proc/PID/status` that counts KiB, such as `VmRSS` or `VmHWM`, in MiB.
pub(crate) fn memory_mib(pid: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// The load averages over 1, 5 and 15 minutes, as the kernel prints them.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The processor's name and count.
pub(crate) fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1).map(str::trim));
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{count} x {}", name.unwrap_or("unknown processor"))
}
