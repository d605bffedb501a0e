//! What only the owner of the group does: every change is a record of the configurations topic, and is done once the
//! worker itself has read it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use datapipe_connect::{ConnectorInfo, ConnectorStatus};
use datapipe_core::connector::{MASK, is_secret_key, masked};
use datapipe_core::port::connect::{
    ConfigMap, ConfigRecord, ConnectStore, RestartRequest, State, StatusChange, TargetState,
};
use serde::Deserialize;
use tokio::sync::MutexGuard;

use super::answer::{Answer, Refusal};
use super::body::{CreateConnector, LooseMap, Sent, read};
use super::read::{info, known, not_found, standing, task_number};
use super::{REQUEST_MAX, plugins};
use crate::lifecycle::commit;
use crate::view::{View, kind};
use crate::worker::{Shown, lock};

/// How long the worker may take to read what it has written.
const READ_BACK_MAX: Duration = Duration::from_secs(30);
/// How long a change waits for this worker to own the group.
const OWN_MAX: Duration = Duration::from_secs(5);
/// How often is looked at what a request waits for.
const LOOK: Duration = Duration::from_millis(20);

/// A change's turn, what the owner knows, and where it writes.
pub(super) type Turn<'a> = (MutexGuard<'a, ()>, View, Arc<dyn ConnectStore>);

/// Waits for this worker to own the group, as one that has just started does within moments, and for the changes before
/// this one. A worker in standby names the owner.
pub(super) async fn turn(shown: &Shown) -> Answer<Turn<'_>> {
    let owns = async {
        while lock(&shown.store).is_none() {
            tokio::time::sleep(LOOK).await;
        }
    };
    drop(tokio::time::timeout(OWN_MAX, owns).await);
    let turn = shown.turn.lock().await;
    let view = known(shown).await?;
    if let Some(store) = lock(&shown.store).clone() {
        return Ok((turn, view, store));
    }
    let statuses = view.statuses.connectors.values().max_by_key(|status| status.generation);
    let owner = statuses.map_or_else(|| "another worker".to_owned(), |status| status.worker_id.clone());
    let group = &shown.settings.group;
    Err(Refusal::conflict(format!(
        "Cannot complete request: this worker stands by and does not own group {group}. The owner was last seen at \
         {owner}; send the request there, or again when this worker has taken over"
    )))
}

/// Writes records and waits until the worker has read them.
pub(super) async fn write(shown: &Shown, store: &dyn ConnectStore, records: &[ConfigRecord]) -> Answer<()> {
    let attempt = "Error writing connector configuration to Kafka";
    let last = store.write(records).await.map_err(|error| Refusal::port(attempt, &error))?;
    if shown.until(READ_BACK_MAX, |view| view.last_config >= last).await {
        return Ok(());
    }
    Err(Refusal::failed(format!("{attempt}: it was written, and not read back within {} s", READ_BACK_MAX.as_secs())))
}

pub(super) async fn create(Shared(shown): Shared<Arc<Shown>>, headers: HeaderMap, body: Sent) -> Answer<Response> {
    let CreateConnector { name, config, initial_state } = read(&body)?;
    let name = name.unwrap_or_default().trim().to_owned();
    let (_, info) = put(&shown, &name, config, initial_state, false).await?;
    Ok(created(&headers, &name, info))
}

pub(super) async fn put_config(
    Shared(shown): Shared<Arc<Shown>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Sent,
) -> Answer<Response> {
    match put(&shown, &name, read(&body)?, None, true).await? {
        (true, info) => Ok(created(&headers, &name, info)),
        (false, info) => Ok(Json(info).into_response()),
    }
}

fn created(headers: &HeaderMap, name: &str, info: ConnectorInfo) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let location = [(header::LOCATION, format!("http://{host}/connectors/{name}"))];
    (StatusCode::CREATED, location, Json(info)).into_response()
}

/// Makes a connector or changes it; true if it was made.
async fn put(
    shown: &Shown,
    name: &str,
    config: LooseMap,
    target: Option<TargetState>,
    replace: bool,
) -> Answer<(bool, ConnectorInfo)> {
    let (mut config, nulls) = config.split();
    match config.get("name") {
        Some(given) if given != name => {
            return Err(Refusal::bad(format!(
                "Connector name configuration ({given}) doesn't match connector name in the URL ({name})"
            )));
        }
        Some(_) => {}
        None => drop(config.insert("name".to_owned(), name.to_owned())),
    }
    let (_turn, view, store) = turn(shown).await?;
    store_config(shown, store.as_ref(), &view, name, (config, nulls), target, replace).await
}

/// The part that `PUT`, `POST` and `PATCH` have in common. The caller has its turn.
async fn store_config(
    shown: &Shown,
    store: &dyn ConnectStore,
    view: &View,
    name: &str,
    (config, nulls): (ConfigMap, Vec<String>),
    target: Option<TargetState>,
    replace: bool,
) -> Answer<(bool, ConnectorInfo)> {
    let config = unmasked(view, name, config)?;
    plugins::examine(shown, &config, &nulls).await?.accept()?;
    let exists = view.registry.get(name).is_some();
    if exists && !replace {
        return Err(Refusal::conflict(format!("Connector {name} already exists")));
    }
    let connector = name.to_owned();
    let mut records = Vec::new();
    if target.is_some() {
        records.push(ConfigRecord::Target { connector: connector.clone(), state: target });
    }
    let kind = kind(&config);
    records.push(ConfigRecord::Connector { connector, config: Some(config) });
    write(shown, store, &records).await?;
    let after = shown.view.borrow().clone();
    // Whoever deletes it at this very moment does so after us.
    let info = info(&after, name).ok_or_else(|| not_found(name))?;
    let tasks = view.registry.get(name).map_or(0, |before| before.tasks.len());
    let tasks = info.tasks.into_iter().take(tasks).collect();
    Ok((!exists, ConnectorInfo { tasks, kind, ..info }))
}

/// Where a connector's secrets go. A secret that is kept must not be sent to a place that somebody else chose.
const PLACES: [&str; 7] = [
    "connector.class",
    "database.hostname",
    "database.port",
    "aws.s3.endpoint",
    "aws.s3.region",
    "aws_s3_endpoint",
    "aws_s3_region",
];

/// What a client read masked and sends back stands for what is kept, as long as it goes where it went.
fn unmasked(view: &View, name: &str, config: ConfigMap) -> Answer<ConfigMap> {
    let kept = view.registry.get(name).map(|registered| &registered.config);
    let at = |config: &ConfigMap, key: &str| config.get(key).map(|value| value.trim().to_owned());
    let moved = kept.and_then(|kept| PLACES.into_iter().find(|key| at(kept, key) != at(&config, key)));
    let unmask = |(key, value): (String, String)| {
        if value != MASK || !is_secret_key(&key) {
            return Ok((key, value));
        }
        if let Some(place) = moved {
            return Err(Refusal::bad(format!(
                "{key} is {MASK}, which stands for the secret that connector {name} keeps, and {place} changes: a kept \
                 secret is not sent elsewhere. Give {key} anew, by reference or in clear"
            )));
        }
        match kept.and_then(|kept| kept.get(&key)) {
            Some(value) => Ok((key, value.clone())),
            None => Err(Refusal::bad(format!(
                "{key} is {MASK}, which stands for a secret that is kept; connector {name} keeps none under this key"
            ))),
        }
    };
    config.into_iter().map(unmask).collect()
}

pub(super) async fn patch_config(
    Shared(shown): Shared<Arc<Shown>>,
    Path(name): Path<String>,
    body: Sent,
) -> Answer<Json<ConnectorInfo>> {
    let patch: LooseMap = read(&body)?;
    let (_turn, view, store) = turn(&shown).await?;
    // Masked as a client would read it: what is said about kept secrets holds here too.
    let mut config = masked(&view.registry.get(&name).ok_or_else(|| not_found(&name))?.config);
    for (key, value) in patch.0 {
        match value {
            Some(value) => drop(config.insert(key, value)),
            None => drop(config.remove(&key)),
        }
    }
    let config = (config, Vec::new());
    let (_, info) = store_config(&shown, store.as_ref(), &view, &name, config, None, true).await?;
    Ok(Json(info))
}

pub(super) async fn delete(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Answer<StatusCode> {
    let (_turn, view, store) = turn(&shown).await?;
    view.registry.get(&name).ok_or_else(|| not_found(&name))?;
    let config = ConfigRecord::Connector { connector: name.clone(), config: None };
    let target = ConfigRecord::Target { connector: name, state: None };
    write(&shown, store.as_ref(), &[config, target]).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn pause(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Answer<StatusCode> {
    aim(&shown, name, TargetState::Paused).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn resume(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Answer<StatusCode> {
    aim(&shown, name, TargetState::Started).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn stop(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Answer<StatusCode> {
    aim(&shown, name, TargetState::Stopped).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A stopped connector has no tasks: they go first, so that a failure in between leaves a connector that runs.
async fn aim(shown: &Shown, connector: String, state: TargetState) -> Answer<()> {
    let (_turn, view, store) = turn(shown).await?;
    let registered =
        view.registry.get(&connector).ok_or_else(|| Refusal::unknown(format!("Unknown connector {connector}")))?;
    let mut records = Vec::new();
    if state == TargetState::Stopped && !registered.tasks.is_empty() {
        records = commit(&connector, Vec::new());
    }
    records.push(ConfigRecord::Target { connector, state: Some(state) });
    write(shown, store.as_ref(), &records).await
}

/// Flags of a restart.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RestartQuery {
    include_tasks: String,
    only_failed: String,
}

pub(super) async fn restart(
    Shared(shown): Shared<Arc<Shown>>,
    Path(connector): Path<String>,
    Query(query): Query<RestartQuery>,
) -> Answer<Response> {
    let flag = |text: &str| text.eq_ignore_ascii_case("true");
    let (include_tasks, only_failed) = (flag(&query.include_tasks), flag(&query.only_failed));
    let (_turn, view, store) = turn(&shown).await?;
    let unknown = || Refusal::unknown(format!("Unknown connector: {connector}"));
    view.registry.get(&connector).ok_or_else(unknown)?;
    if !include_tasks && !only_failed {
        // A connector of ours is its configuration: there is nothing to start anew but its tasks.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let unseen = || Refusal::unknown(format!("Status for connector {connector} not found"));
    let before = standing(&shown, &view, &connector).ok_or_else(unseen)?;
    let request = RestartRequest { connector: connector.clone(), include_tasks, only_failed };
    write(&shown, store.as_ref(), &[ConfigRecord::Restart(request)]).await?;
    Ok((StatusCode::ACCEPTED, Json(restarting(before, include_tasks, only_failed))).into_response())
}

/// A status with what is about to be started anew.
fn restarting(mut status: ConnectorStatus, include_tasks: bool, only_failed: bool) -> ConnectorStatus {
    let restart = |state: State| if !only_failed || state == State::Failed { State::Restarting } else { state };
    status.connector.state = restart(status.connector.state);
    if include_tasks {
        status.tasks.iter_mut().for_each(|task| task.state = restart(task.state));
    }
    status
}

pub(super) async fn restart_task(
    Shared(shown): Shared<Arc<Shown>>,
    Path((connector, task)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let number = task_number(&task)?;
    // A start takes a while, and changes nothing that others do.
    let (_, view, _) = turn(&shown).await?;
    let unknown = || Refusal::unknown(format!("Unknown connector: {connector}"));
    let registered = view.registry.get(&connector).ok_or_else(unknown)?;
    if registered.tasks.get(number as usize).is_none() {
        return Err(Refusal::unknown(format!("Unknown task: {connector}-{number}")));
    }
    if registered.target != TargetState::Started {
        // It starts when it is resumed.
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut wanted = 0;
    shown.view.send_modify(|view| wanted = view.restart(&connector, number));
    let key = (connector, number);
    let started = async {
        while lock(&shown.runs).get(&key).is_none_or(|restarts| *restarts < wanted) {
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(REQUEST_MAX, started).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(_) => Err(Refusal::failed(format!("Failed to start task: {}-{number}", key.0))),
    }
}

pub(super) async fn reset_topics(
    Shared(shown): Shared<Arc<Shown>>,
    Path(connector): Path<String>,
) -> Answer<StatusCode> {
    let (_turn, view, store) = turn(&shown).await?;
    let topics: Vec<_> = view.statuses.topics.keys().filter(|(name, _)| *name == connector).cloned().collect();
    for (connector, topic) in &topics {
        let change = StatusChange::Topic { connector: connector.clone(), topic: topic.clone(), active: None };
        let attempt = "Error writing topic statuses to Kafka";
        store.put_status(&change).await.map_err(|error| Refusal::port(attempt, &error))?;
    }
    // Gone once they are read as gone; a topic that comes back meanwhile is used again.
    let gone = |view: &View| topics.iter().all(|topic| !view.statuses.topics.contains_key(topic));
    shown.until(Duration::from_secs(2), gone).await;
    Ok(StatusCode::ACCEPTED)
}
