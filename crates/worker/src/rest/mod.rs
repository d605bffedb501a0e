//! Kafka Connect's REST interface, and metrics.
//!
//! Reading is answered by every worker, from what it has read of the internal topics and, while it owns the group, from
//! its runs. Changing is for the owner, which a worker that starts becomes within moments; one in standby names it.

mod answer;
mod body;
mod change;
mod guard;
mod hybrid;
mod loggers;
mod masking;
mod offsets;
mod openapi;
mod plugins;
mod read;
mod routes;
mod server;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::worker::Shown;
use answer::Refusal;

/// The Kafka Connect whose interface this is.
const VERSION: &str = "4.3.1";
/// How often a port is tried that another worker holds: it is free as soon as that one ends.
const RETRY: Duration = Duration::from_millis(500);
/// The largest body of a request: a hundred times what a configuration takes.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// How long a request waits for what it depends on, as in Kafka Connect.
const REQUEST_MAX: Duration = Duration::from_secs(90);

pub(crate) async fn serve(shown: Arc<Shown>, stop: CancellationToken) {
    let listen = shown.settings.listen;
    let mut told = false;
    let listener = loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => break listener,
            Err(error) => {
                if !told {
                    let table = &shown.settings.slug;
                    tracing::warn!(%table, %listen, "REST waits for its port, trying again: {error}");
                    told = true;
                }
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    };
    let table = shown.settings.slug.clone();
    tracing::info!(%table, "REST at http://{listen}");
    server::serve(listener, router(shown, stop.clone()), &stop).await;
}

fn router(shown: Arc<Shown>, stop: CancellationToken) -> Router {
    let guard = Arc::new(guard::Guard::new(&shown.settings));
    routes::all()
        .into_router()
        .fallback(async || Refusal::http(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Refusal::http(StatusCode::METHOD_NOT_ALLOWED))
        .layer(middleware::from_fn_with_state(Arc::clone(&shown), hybrid::merged))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(negotiate))
        .layer(middleware::from_fn_with_state(guard, guard::guarded))
        .layer(middleware::from_fn_with_state(stop, server::in_time))
        .with_state(shown)
}

async fn negotiate(request: Request, next: Next) -> Response {
    match unfit(&request) {
        Some(status) => Refusal::http(status).into_response(),
        None => next.run(request).await,
    }
}

/// Bodies and answers are JSON, as for Kafka Connect: anything else that a request says is refused. Whether it must say
/// so depends on who reads its body.
fn unfit(request: &Request) -> Option<StatusCode> {
    if request.uri().path() == "/metrics" {
        return None;
    }
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let takes_json = text(header::ACCEPT).is_none_or(|accepted| {
        accepted.split(',').any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            matches!(range, "*/*" | "application/*" | "application/json" | "")
        })
    });
    let sends_json = request.headers().get(header::CONTENT_TYPE).is_none_or(|given| {
        let media = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case("application/json")
    });
    match (takes_json, sends_json) {
        (false, _) => Some(StatusCode::NOT_ACCEPTABLE),
        (_, false) => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        _ => None,
    }
}
