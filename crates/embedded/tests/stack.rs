//! The whole stack: taken over, left behind, thrown away.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: a failure is a panic, figures are printed"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datapipe_embedded::{Error, Progress, Stack, StackBuilder};
use tokio_postgres::{Client, NoTls};

/// Set for a process that plays the owner of a stack in that folder.
const OWNED_ROOT: &str = "DATAPIPE_TEST_OWNED_ROOT";

fn builder(root: &Path) -> StackBuilder {
    Stack::builder(root).progress(Progress::new(|line| println!("{line}")))
}

async fn connect(stack: &Stack) -> Client {
    let (client, connection) = tokio_postgres::connect(&stack.postgres().url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn pids(stack: &Stack) -> [u32; 2] {
    [stack.postgres().pid().unwrap(), stack.kafka().pid().unwrap()]
}

fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

async fn assert_all_end(pids: [u32; 2]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while pids.into_iter().any(is_running) {
        assert!(Instant::now() < deadline, "still running: {pids:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A folder that no other account can enter, as a home folder is.
fn private_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

#[tokio::test]
async fn a_stack_that_is_left_running_can_be_taken_over_and_cleaned_up() {
    let folder = private_folder();
    let root = folder.path().join("stack");
    let stack = builder(&root).start().await.unwrap();
    let (pids, url) = (pids(&stack), stack.postgres().url());
    let (endpoint, secret_key) = (stack.s3().endpoint(), stack.s3().secret_key().to_owned());
    connect(&stack).await.batch_execute("CREATE TABLE kept ()").await.unwrap();
    assert!(matches!(builder(&root).start().await, Err(Error::InUse { .. })));
    stack.detach().await;
    assert!(pids.into_iter().all(is_running));

    let stack = Stack::attach(&root, Progress::silent()).await.unwrap();
    assert_eq!(self::pids(&stack), pids);
    assert_eq!(stack.postgres().url(), url);
    assert_eq!((stack.s3().endpoint(), stack.s3().secret_key()), (endpoint, secret_key.as_str()));
    connect(&stack).await.batch_execute("SELECT FROM kept").await.unwrap();
    stack.detach().await;

    let postgres_home = fs::canonicalize(root.join("postgres")).unwrap();
    Stack::clean(&root).await.unwrap();
    assert_all_end(pids).await;
    assert!(!root.exists() && !postgres_home.exists());
    assert!(matches!(Stack::attach(&root, Progress::silent()).await, Err(Error::NotRunning { .. })));
}

/// An owner, without Maven at hand, is killed; its servers end; the next start goes on with the data.
#[tokio::test]
async fn a_killed_owner_leaves_nothing_running_and_the_next_start_goes_on() {
    if let Some(root) = std::env::var_os(OWNED_ROOT) {
        return own(&PathBuf::from(root)).await;
    }
    let folder = private_folder();
    let root = folder.path().join("stack");
    let stack = builder(&root).keep_data(true).start().await.unwrap();
    let (url, cluster_id) = (stack.postgres().url(), stack.kafka().cluster_id().to_owned());
    connect(&stack).await.batch_execute("CREATE TABLE kept ()").await.unwrap();
    let first = pids(&stack);
    stack.stop().await.unwrap();
    assert!(!first.into_iter().any(is_running));

    let (mut owner, second) = spawn_owner(&root, folder.path());
    assert!(second.into_iter().all(is_running));
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_all_end(second).await;

    let stack = builder(&root).start().await.unwrap();
    assert_eq!(stack.postgres().url(), url);
    assert_eq!(stack.kafka().cluster_id(), cluster_id);
    connect(&stack).await.batch_execute("SELECT FROM kept").await.unwrap();
    let third = pids(&stack);
    // Dropped, not stopped: that must do as well.
    drop(stack);
    assert!(!third.into_iter().any(is_running));
    assert!(!root.exists());
}

async fn own(root: &Path) {
    let stack = builder(root).keep_data(true).start().await.unwrap();
    let [postgres, kafka] = pids(&stack);
    println!("\nowned {postgres} {kafka}");
    std::future::pending::<()>().await;
}

/// This very test as another process, with a `PATH` that has Java only: a second start fetches nothing.
fn spawn_owner(root: &Path, scratch: &Path) -> (Child, [u32; 2]) {
    let programs = scratch.join("programs");
    fs::create_dir(&programs).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let java = std::env::split_paths(&path).map(|folder| folder.join("java")).find(|java| java.exists()).unwrap();
    symlink(java, programs.join("java")).unwrap();

    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_owner_leaves_nothing_running_and_the_next_start_goes_on", "--nocapture"])
        .env(OWNED_ROOT, root)
        .env("PATH", programs)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for line in BufReader::new(owner.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(pids) = line.strip_prefix("owned ") {
            let mut pids = pids.split(' ').map(|pid| pid.parse().unwrap());
            return (owner, [pids.next().unwrap(), pids.next().unwrap()]);
        }
        println!("owner: {line}");
    }
    panic!("the owner ended: {:?}", owner.wait());
}
