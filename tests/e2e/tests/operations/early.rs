//! SIGTERM at any moment right after the start.

use std::time::{Duration, Instant};

use datapipe_e2e::load::{self, Load};
use datapipe_e2e::stage::{PATIENCE, PG15, Stage};
use rustix::process::Signal;
use tokio::time::sleep;

/// Milliseconds from the start to the signal: the look at the servers, the making of slots and topics, the snapshot.
const DELAYS_MS: [u64; 24] =
    [0, 1, 2, 3, 5, 8, 12, 18, 25, 35, 45, 60, 75, 90, 110, 130, 150, 170, 190, 210, 235, 260, 280, 300];
/// How long an end may take: the drain's limit, and what comes after it.
const END_MAX: Duration = Duration::from_secs(22);

/// On servers that know nothing of it, and on those that it has run on before. From the moment on at which the kernel
/// says that there is a handler, the process ends in order; before that it has not begun to do anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_stopped_at_once_ends_in_order() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 5000).await.unwrap();
    let loads = Load::start(&stage.servers, 31, true).await.unwrap();
    let (mut handled, mut longest) = (0, Duration::ZERO);
    for round in ["first", "second"] {
        for delay_ms in DELAYS_MS {
            let name = format!("{round}-{delay_ms}");
            let mut worker = stage.worker(&name, &[], &[]);
            sleep(Duration::from_millis(delay_ms)).await;
            let catches = catches(worker.pid(), Signal::TERM);
            let begun = Instant::now();
            worker.signal(Signal::TERM).unwrap();
            let status = worker.ended(END_MAX).await.unwrap();
            longest = longest.max(begun.elapsed());
            if catches {
                handled += 1;
                assert_eq!(status.code(), Some(0), "{status} after SIGTERM at {delay_ms} ms:\n{}", worker.words());
            } else {
                let orderly = status.code() == Some(0);
                assert!(orderly || (ended_by(status, Signal::TERM) && worker.words().is_empty()), "{status}");
            }
        }
    }
    println!(
        "{handled} of {} starts were stopped by their handler, the longest end took {} ms",
        2 * DELAYS_MS.len(),
        longest.as_millis()
    );
    assert!(handled >= DELAYS_MS.len(), "most signals must find a handler");

    // Whatever they left behind, the next one goes on from it.
    let mut worker = stage.worker("last", &[], &[]);
    worker.flows(PATIENCE).await.unwrap();
    loads.end().await.unwrap();
    stage.judge(&worker).await;
    worker.stop().await.unwrap();
    stage.end().await;
}

/// Whether the process has a handler for the signal, by the kernel's own account.
fn catches(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

fn ended_by(status: std::process::ExitStatus, signal: Signal) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(signal.as_raw())
}
