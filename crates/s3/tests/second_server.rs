//! The contract on MinIO, a store of other authors than the embedded one. Ignored by default because the server must
//! be built first: `scripts/s3-server.sh && cargo test -p datapipe-s3 --test second_server -- --ignored`. Without the
//! server the test fails; it never skips.

#![allow(clippy::unwrap_used, clippy::panic)]

mod contract;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datapipe_core::Secret;
use datapipe_s3::{Credentials, S3Config, S3Store};

const INSTALLER: &str = include_str!("../../../scripts/s3-server.sh");
const USER: &str = "datapipe";
const PASSWORD: &str = "datapipe-tests";
const START_MAX: Duration = Duration::from_mins(1);

/// A running server, killed when the test ends.
struct Server {
    child: Child,
    port: u16,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the installer puts the version that it names.
fn binary() -> PathBuf {
    let version =
        INSTALLER.lines().find_map(|line| line.strip_prefix("version=")).expect("the installer pins a version");
    let home = std::env::home_dir().expect("a user has a home folder");
    home.join(".cache/datapipe/bin").join(format!("minio-{version}"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(binary: &Path) -> Server {
    assert!(
        binary.is_file(),
        "the second S3 server is not installed at {}: run scripts/s3-server.sh (4 to 13 minutes, once)",
        binary.display()
    );
    let data = tempfile::tempdir().unwrap();
    let port = free_port();
    let child = Command::new(binary)
        .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")])
        .args(["--console-address", &format!("127.0.0.1:{}", free_port())])
        .arg(data.path())
        // The folder lies on the root disk, which MinIO takes for a mistake unless told that this is a test.
        .envs([("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD), ("MINIO_CI_CD", "on")])
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    Server { child, port, _data: data }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/s3-server.sh"]
async fn minio_keeps_the_contract() {
    let server = start(&binary());
    let credentials = Credentials::new(Secret::new(USER), Secret::new(PASSWORD));
    let config = S3Config::at(format!("http://127.0.0.1:{}", server.port), "us-east-1", "contract", credentials);
    let store = S3Store::new(config.clone());
    let started = Instant::now();
    loop {
        match store.create_bucket().await {
            Ok(made) => break assert!(made, "the bucket is new"),
            Err(error) => assert!(started.elapsed() < START_MAX, "{}", error.report()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!store.create_bucket().await.unwrap());
    contract::keeps_the_contract(&config).await;
    datapipe_testkit::contract::store::suite(&datapipe_s3::S3Store::new(config), "shared/").await;
}
