//! How much memory this process takes, as Linux counts it.

/// Resident memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Now, in bytes (`VmRSS`).
    pub resident_bytes: u64,
    /// At most so far, in bytes (`VmHWM`).
    pub peak_bytes: u64,
}

/// The memory of this process; none where there is no `/proc`.
pub fn own() -> Option<Memory> {
    std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(parse)
}

/// The memory of another process; none if it is gone.
pub fn of(pid: u32) -> Option<Memory> {
    std::fs::read_to_string(format!("/proc/{pid}/status")).ok().as_deref().and_then(parse)
}

fn parse(status: &str) -> Option<Memory> {
    let bytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory { resident_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

/// Starts this program again, in place and once, with one arena of the C library's allocator. By default each thread gets
/// one of its own, and what a thread has freed lies there unused: a worker that has read five million rows then holds 92
/// MiB in place of 71. If that fails, the program goes on as it is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn with_one_arena() {
    use std::os::unix::process::CommandExt as _;

    const ARENAS: &str = "MALLOC_ARENA_MAX";
    let mut words = std::env::args_os();
    let (Ok(program), Some(name), None) = (std::env::current_exe(), words.next(), std::env::var_os(ARENAS)) else {
        return;
    };
    let _ = std::process::Command::new(program).arg0(name).args(words).env(ARENAS, "1").exec();
}

/// Other allocators have no arenas.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn with_one_arena() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse(status), Some(Memory { resident_bytes: 1 << 20, peak_bytes: 2 << 20 }));
        assert_eq!(parse("Name:\tkthreadd\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some() {
        let memory = own().unwrap();
        assert!(memory.resident_bytes > 100_000 && memory.peak_bytes >= memory.resident_bytes);
    }
}
