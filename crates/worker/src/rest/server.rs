//! Connections, bounded in number and in time: whoever opens one and says nothing holds neither memory nor the end of the
//! process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answer::Refusal;

/// Connections at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;
/// What is kept of a connection that was read ahead.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take to send the head of a request, from its first moment or from the last answer on.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// How long a request may take in all, its body included. What it waits for is bounded too, and less.
const REQUEST_MAX: Duration = Duration::from_secs(240);
/// How long requests that are being carried out may go on after the stop.
const ANSWER_GRACE: Duration = Duration::from_secs(1);
/// How long connections may take to end after the stop, answers included.
const END_MAX: Duration = Duration::from_secs(3);
/// After a failed accept: out of file descriptors, most likely, and some must become free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until told to stop, and what is left of them for a bounded time after that.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: &CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Aborts what is left of them when it is dropped.
    let mut connections = JoinSet::new();
    while let Some(accepted) = next(&listener, &room, stop).await {
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, permit)) => {
                let connection = connection(stream, router.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("REST could not accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(END_MAX, ended).await.is_err() {
        tracing::warn!(limit_s = END_MAX.as_secs(), "connections of REST were cut off at the stop");
    }
}

type Accepted = io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)>;

/// The next connection that there is room for; none when told to stop.
async fn next(listener: &TcpListener, room: &Arc<Semaphore>, stop: &CancellationToken) -> Option<Accepted> {
    let accepted = async {
        let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        Ok((stream, permit))
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        accepted = accepted => Some(accepted),
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Answers are small and awaited: never hold them back for more.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(BUFFER_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection of REST broke: {error}");
    }
}

/// A request is answered in time, and soon after the stop, whatever it waits for.
pub(super) async fn in_time(State(stop): State<CancellationToken>, request: Request, next: Next) -> Response {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(ANSWER_GRACE).await;
    };
    tokio::select! {
        biased;
        response = next.run(request) => response,
        () = tokio::time::sleep(REQUEST_MAX) => Refusal::http(StatusCode::REQUEST_TIMEOUT).into_response(),
        () = overdue => Refusal::unavailable("This worker is stopping; send the request to the next owner").into_response(),
    }
}
