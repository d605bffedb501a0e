//! An S3 server in this process: path-style addresses, objects as plain files, conditional writes that hold.

mod atomic;
mod locks;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder as ConnectionBuilder;
use hyper_util::server::graceful::GracefulShutdown;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::atomic::AtomicFiles;
use crate::{Error, Progress, Result, port, secret, state};

const REGION: &str = "us-east-1";
const ACCESS_KEY_LEN: usize = 20;
const SECRET_KEY_LEN: usize = 40;
/// Requests under way when the server stops may take this long to end.
const STOP_GRACE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    port: u16,
    access_key: String,
    secret_key: String,
}

/// An S3 server in a folder. Dropping it stops the server.
///
/// It runs on the runtime that started it and ends with this process. A key may have about 150 bytes.
#[derive(Debug)]
pub struct S3Server {
    buckets: PathBuf,
    state: State,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl S3Server {
    /// Starts a server with its objects under `folder`, with the credentials (and the port, if it is still free) of an
    /// earlier start there.
    pub async fn start(folder: &Path, progress: &Progress) -> Result<Self> {
        let begun = Instant::now();
        let buckets = folder.join("buckets");
        fs::create_dir_all(&buckets).map_err(Error::io(format!("create {}", buckets.display())))?;
        let state_path = folder.join("state.json");
        let state = match state::load::<State>(&state_path)? {
            Some(earlier) => State { port: port::free_or_other(Some(earlier.port))?, ..earlier },
            None => State {
                port: port::free()?,
                access_key: secret::random(ACCESS_KEY_LEN).to_ascii_uppercase(),
                secret_key: secret::random(SECRET_KEY_LEN),
            },
        };
        state::save(&state_path, &state)?;
        let mut server = Self { buckets, state, running: None };
        server.resume().await?;
        progress.line(&format!("S3 ready on {} in {} ms", server.endpoint(), begun.elapsed().as_millis()));
        Ok(server)
    }

    /// Starts the stopped server again, on the same port and data.
    pub async fn resume(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let files = AtomicFiles::open(&self.buckets)?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(self.state.access_key.clone(), self.state.secret_key.clone()));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.state.port));
        let listener =
            TcpListener::bind(address).await.map_err(Error::io(format!("listen on {address} for the S3 server")))?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, builder.build(), stopped));
        self.running = Some(Running { stop, task });
        Ok(())
    }

    /// Stops the server after the requests under way, at most 3 s; nothing happens if it is stopped already.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.send_replace(true);
            if let Err(error) = running.task.await {
                tracing::warn!(%error, "the S3 server did not end in order");
            }
        }
    }

    /// Makes a bucket; nothing happens if it exists. The name is one that S3 allows.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        let path = self.bucket_path(name);
        if !s3s::path::check_bucket_name(name) {
            return Err(Error::Incompatible { path, reason: "S3 does not allow this name for a bucket".to_owned() });
        }
        tokio::fs::create_dir_all(&path).await.map_err(Error::io(format!("create bucket {}", path.display())))
    }

    /// The folder of a bucket: each object is a file, its key the path.
    pub fn bucket_path(&self, name: &str) -> PathBuf {
        self.buckets.join(name)
    }

    /// `http://127.0.0.1:port`; clients must use path style.
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.state.port)
    }

    /// Access key, random per folder.
    pub fn access_key(&self) -> &str {
        &self.state.access_key
    }

    /// Secret key, random per folder.
    pub fn secret_key(&self) -> &str {
        &self.state.secret_key
    }

    /// The region that clients must name.
    pub fn region(&self) -> &'static str {
        REGION
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.task.abort();
        }
    }
}

async fn serve(listener: TcpListener, service: S3Service, mut stopped: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    // Aborts what is left of them when this task ends or is aborted.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => spawn_connection(&mut connections, &graceful, stream, service.clone()),
                Err(error) => {
                    tracing::warn!(%error, "the S3 server could not accept a connection");
                    // Out of file descriptors, most likely: wait for some to be freed.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            // An error says that the server's handle is gone.
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(STOP_GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!(grace_s = STOP_GRACE.as_secs(), "S3 requests were cut off at the end of the server");
    }
}

fn spawn_connection(connections: &mut JoinSet<()>, graceful: &GracefulShutdown, stream: TcpStream, service: S3Service) {
    // Answers are small and awaited: never hold them back for more.
    let _ = stream.set_nodelay(true);
    let builder = ConnectionBuilder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let watched = graceful.watch(connection);
    connections.spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "an S3 connection broke");
        }
    });
}
