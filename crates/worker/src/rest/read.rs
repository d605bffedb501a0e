//! What can be asked of every worker.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use datapipe_connect::{
    ActiveTopics, ConnectorInfo, ConnectorKind, ConnectorState, ConnectorStatus, Expanded, ServerInfo, TaskId,
    TaskInfo, TaskState, WorkerHealth,
};
use datapipe_core::connector::masked;
use datapipe_core::port::connect::{ConfigMap, StatusRecord};

use super::answer::{Answer, Refusal};
use super::{REQUEST_MAX, VERSION};
use crate::view::{Reading, View};
use crate::worker::{Shown, lock};

pub(super) async fn server(Shared(shown): Shared<Arc<Shown>>) -> Json<ServerInfo> {
    let kafka_cluster_id = lock(&shown.cluster_id).clone().unwrap_or_default();
    Json(ServerInfo { version: VERSION.to_owned(), commit: env!("CARGO_PKG_VERSION").to_owned(), kafka_cluster_id })
}

pub(super) async fn health(Shared(shown): Shared<Arc<Shown>>) -> Response {
    let (code, status, message) = match &shown.view.borrow().reading {
        Reading::Current => {
            let message = "Worker has completed startup and is ready to handle requests.";
            (StatusCode::OK, "healthy", message.to_owned())
        }
        Reading::Behind => {
            let message = "Worker is still starting up. It reads the internal topics to their ends.";
            (StatusCode::SERVICE_UNAVAILABLE, "starting", message.to_owned())
        }
        Reading::Broken(why) => {
            let message = "Worker was unable to handle this request and may be unable to handle other requests.";
            (StatusCode::INTERNAL_SERVER_ERROR, "unhealthy", format!("{message} {why}"))
        }
    };
    (code, Json(WorkerHealth { status: status.to_owned(), message })).into_response()
}

/// What the worker knows, once it knows something: before that, no answer would be true.
pub(super) async fn known(shown: &Shown) -> Answer<View> {
    if !shown.until(REQUEST_MAX, |view| view.reading != Reading::Behind).await {
        let message = "Request timed out. The worker is currently reading the internal topics to their ends";
        return Err(Refusal::failed(message));
    }
    Ok(shown.view.borrow().clone())
}

pub(super) async fn connectors(Shared(shown): Shared<Arc<Shown>>, RawQuery(query): RawQuery) -> Answer<Response> {
    let view = known(&shown).await?;
    let query = query.unwrap_or_default();
    let mut expansions = query.split('&').filter_map(|pair| pair.strip_prefix("expand")).peekable();
    if expansions.peek().is_none() {
        let names: Vec<_> = view.registry.connectors().keys().cloned().collect();
        return Ok(Json(names).into_response());
    }
    let expansions: Vec<_> = expansions.map(|value| value.trim_start_matches('=')).collect();
    let expand = |name: &String| {
        let wanted = |kind| expansions.contains(&kind);
        let info = wanted("info").then(|| info(&view, name)).flatten();
        let status = wanted("status").then(|| standing(&shown, &view, name)).flatten();
        // A connector without a status yet is left out, as by Kafka Connect.
        (status.is_some() || !wanted("status")).then(|| (name.clone(), Expanded { info, status }))
    };
    let expanded: BTreeMap<_, _> = view.registry.connectors().keys().filter_map(expand).collect();
    Ok(Json(expanded).into_response())
}

pub(super) async fn connector(
    Shared(shown): Shared<Arc<Shown>>,
    Path(name): Path<String>,
) -> Answer<Json<ConnectorInfo>> {
    info(&known(&shown).await?, &name).map(Json).ok_or_else(|| not_found(&name))
}

pub(super) async fn config(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Answer<Json<ConfigMap>> {
    info(&known(&shown).await?, &name).map(|info| Json(info.config)).ok_or_else(|| not_found(&name))
}

pub(super) async fn status(
    Shared(shown): Shared<Arc<Shown>>,
    Path(name): Path<String>,
) -> Answer<Json<ConnectorStatus>> {
    let view = known(&shown).await?;
    let unknown = || Refusal::unknown(format!("No status found for connector {name}"));
    standing(&shown, &view, &name).map(Json).ok_or_else(unknown)
}

pub(super) async fn tasks(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Answer<Json<Vec<TaskInfo>>> {
    let view = known(&shown).await?;
    let registered = view.registry.get(&name).ok_or_else(|| not_found(&name))?;
    let task = |(task, config): (i32, &ConfigMap)| TaskInfo {
        id: TaskId { connector: name.clone(), task },
        config: masked(config),
    };
    Ok(Json((0..).zip(&registered.tasks).map(task).collect()))
}

pub(super) async fn task_status(
    Shared(shown): Shared<Arc<Shown>>,
    Path((name, task)): Path<(String, String)>,
) -> Answer<Json<TaskState>> {
    let number = task_number(&task)?;
    let view = known(&shown).await?;
    let found = standing(&shown, &view, &name)
        .and_then(|status| status.tasks.into_iter().find(|found| Ok(found.id) == i32::try_from(number)));
    found.map(Json).ok_or_else(|| Refusal::unknown(format!("No status found for task {name}-{number}")))
}

pub(super) async fn topics(
    Shared(shown): Shared<Arc<Shown>>,
    Path(name): Path<String>,
) -> Answer<Json<BTreeMap<String, ActiveTopics>>> {
    let view = known(&shown).await?;
    let active = view.statuses.topics.keys().filter(|(connector, _)| *connector == name);
    let topics = active.map(|(_, topic)| topic.clone()).collect();
    Ok(Json(BTreeMap::from([(name, ActiveTopics { topics })])))
}

pub(super) async fn metrics(Shared(shown): Shared<Arc<Shown>>) -> Response {
    match crate::metrics::render(&shown) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(why) => Refusal::failed(why.to_string()).into_response(),
    }
}

pub(super) fn not_found(name: &str) -> Refusal {
    Refusal::unknown(format!("Connector {name} not found"))
}

/// A task's number; what is none names no resource.
pub(super) fn task_number(text: &str) -> Answer<u32> {
    text.parse().map_err(|_| Refusal::http(StatusCode::NOT_FOUND))
}

/// A connector as it is shown.
pub(super) fn info(view: &View, name: &str) -> Option<ConnectorInfo> {
    let registered = view.registry.get(name)?;
    let tasks = (0..).zip(&registered.tasks).map(|(task, _)| TaskId { connector: name.to_owned(), task });
    Some(ConnectorInfo {
        name: name.to_owned(),
        config: masked(&registered.config),
        tasks: tasks.collect(),
        kind: view.kind(name),
    })
}

/// How a connector stands: an owner looks at its runs, any other worker at what was written.
pub(super) fn standing(shown: &Shown, view: &View, name: &str) -> Option<ConnectorStatus> {
    let kind = view.kind(name);
    if let Some(author) = shown.author() {
        let standing = shown.standing(view, name, &author)?;
        return Some(shape(name, standing.connector, (0..).zip(standing.tasks), kind));
    }
    let connector = view.statuses.connectors.get(name)?.clone();
    let tasks = view.statuses.tasks.iter().filter(|((connector, _), _)| connector == name);
    let tasks = tasks.filter_map(|((_, task), record)| Some((i32::try_from(*task).ok()?, record.clone())));
    Some(shape(name, connector, tasks, kind))
}

fn shape(
    name: &str,
    connector: StatusRecord,
    tasks: impl Iterator<Item = (i32, StatusRecord)>,
    kind: ConnectorKind,
) -> ConnectorStatus {
    let StatusRecord { state, trace, worker_id, version, .. } = connector;
    let tasks = tasks.map(|(id, StatusRecord { state, trace, worker_id, version, .. })| TaskState {
        id,
        state,
        worker_id,
        trace,
        version,
    });
    ConnectorStatus {
        name: name.to_owned(),
        connector: ConnectorState { state, worker_id, trace, version },
        tasks: tasks.collect(),
        kind,
    }
}
