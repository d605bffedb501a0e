//! The read-only part of Kafka Connect's REST interface, and metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use datapipe_connect::{ConnectorInfo, ConnectorState, ConnectorStatus, ErrorMessage, ServerInfo, TaskId, TaskState};
use datapipe_core::connector::is_secret_key;
use datapipe_core::port::connect::{ConfigMap, State};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connectors::Connector;
use crate::metrics;
use crate::worker::{Shown, connector_state, lock};

/// The Kafka Connect whose interface this is.
const VERSION: &str = "4.3.1";
/// How often a port is tried that another worker holds: it is free as soon as that one ends.
const RETRY: Duration = Duration::from_millis(500);

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
    let served = axum::serve(listener, routes(shown)).with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%table, %listen, "REST ended: {error}");
    }
}

fn routes(shown: Arc<Shown>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/connectors", get(connectors))
        .route("/connectors/{name}", get(connector))
        .route("/connectors/{name}/status", get(status))
        .route("/metrics", get(prometheus))
        .fallback(async || error(StatusCode::NOT_FOUND, "HTTP 404 Not Found"))
        .method_not_allowed_fallback(async || error(StatusCode::METHOD_NOT_ALLOWED, "HTTP 405 Method Not Allowed"))
        .with_state(shown)
}

async fn root(Shared(shown): Shared<Arc<Shown>>) -> Json<ServerInfo> {
    let kafka_cluster_id = lock(&shown.cluster_id).clone().unwrap_or_default();
    Json(ServerInfo { version: VERSION.to_owned(), commit: env!("CARGO_PKG_VERSION").to_owned(), kafka_cluster_id })
}

async fn connectors(Shared(shown): Shared<Arc<Shown>>) -> Json<Vec<String>> {
    Json(lock(&shown.connectors).keys().cloned().collect())
}

async fn connector(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Response {
    let Some(configured) = lock(&shown.connectors).get(&name).cloned() else {
        return error(StatusCode::NOT_FOUND, format!("Connector {name} not found"));
    };
    let task = TaskId { connector: name.clone(), task: 0 };
    let tasks = match configured.connector {
        Connector::Unusable(_) => Vec::new(),
        Connector::Source(_) | Connector::Sink(_) => vec![task],
    };
    let kind = configured.kind();
    Json(ConnectorInfo { name, config: masked(configured.map), tasks, kind }).into_response()
}

async fn status(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Response {
    let Some(configured) = lock(&shown.connectors).get(&name).cloned() else {
        return error(StatusCode::NOT_FOUND, format!("No status found for connector {name}"));
    };
    let worker_id = shown.settings.worker_id();
    let task = lock(&shown.tasks).get(&name).cloned();
    let (state, trace, tasks) = match (&configured.connector, task) {
        (Connector::Unusable(why), _) => (State::Failed, Some(why.clone()), Vec::new()),
        (_, None) => (State::Unassigned, None, Vec::new()),
        (_, Some(task)) => {
            let (state, trace) = task.state(shown.clock.now_us());
            let task = TaskState { id: 0, state, worker_id: worker_id.clone(), trace };
            (connector_state(state), None, vec![task])
        }
    };
    let connector = ConnectorState { state, worker_id, trace };
    Json(ConnectorStatus { name, connector, tasks, kind: configured.kind() }).into_response()
}

async fn prometheus(Shared(shown): Shared<Arc<Shown>>) -> Response {
    match metrics::render(&shown) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, why.to_string()),
    }
}

/// A secret given in clear is never given back; a reference is no secret.
fn masked(config: ConfigMap) -> ConfigMap {
    let hide = |(key, value): (String, String)| {
        let hidden = is_secret_key(&key) && !value.starts_with("${");
        (key, if hidden { "****".to_owned() } else { value })
    };
    config.into_iter().map(hide).collect()
}

/// Kafka Connect's error body.
fn error(status: StatusCode, message: impl Into<String>) -> Response {
    let error_code = i32::from(status.as_u16());
    (status, Json(ErrorMessage { error_code, message: message.into() })).into_response()
}
