//! Where connectors have come (KIP-875): seen by everybody, changed by the owner while the connector is stopped.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use datapipe_connect::{ConnectorOffset, ConnectorOffsets, Message};
use datapipe_core::connector::{SinkConfig, SourceConfig, sink_offset, source_offset_problem};
use datapipe_core::port::PortError;
use datapipe_core::port::connect::{GroupOffset, JsonMap, OffsetStore, SourceOffset, TargetState};
use datapipe_core::progress::offset_key;
use serde_json::json;
use tokio::sync::MutexGuard;

use super::answer::{Answer, Refusal};
use super::body::{AlterOffsets, Sent, read};
use super::change::turn;
use super::read::{known, not_found};
use crate::connectors::Connector;
use crate::view::View;
use crate::worker::{Shown, lock};

/// What decides where the native sink goes on.
const CHAIN: &str = " The objects in the bucket decide where the sink goes on: an offset before their end is taken as a \
                     lower bound, and one beyond it is refused when the task starts.";
/// What a native source goes on from.
const STATE: &str = " A native worker goes on from the field datapipe; without it, only a JVM worker can.";

fn failed(name: &str, what: &str) -> impl Fn(PortError) -> Refusal {
    let attempt = format!("Failed to {what} offsets for connector {name}");
    move |error| Refusal::port(&attempt, &error)
}

fn usable<'a>(view: &'a View, name: &str) -> Answer<&'a Connector> {
    match view.get(name) {
        None => Err(not_found(name)),
        Some((_, Connector::Unusable(why))) => {
            Err(Refusal::bad(format!("The offsets of connector {name} are not known to a native worker: {why}")))
        }
        Some((_, connector)) => Ok(connector),
    }
}

pub(super) async fn get(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Answer<Json<ConnectorOffsets>> {
    let view = known(&shown).await?;
    let failed = failed(&name, "read");
    let store = shown.adapters.offset_store().await.map_err(&failed)?;
    let offsets = if let Connector::Sink(config) = usable(&view, &name)? {
        let found = store.group_offsets(&config.group(), &config.topic).await.map_err(&failed)?;
        found.iter().map(of_group).collect()
    } else {
        let found = store.source_offsets(&name).await.map_err(&failed)?;
        let entry = |SourceOffset { partition, offset, .. }| ConnectorOffset { partition, offset: Some(offset) };
        found.into_iter().map(entry).collect()
    };
    Ok(Json(ConnectorOffsets { offsets }))
}

fn of_group(held: &GroupOffset) -> ConnectorOffset {
    let map = |value: serde_json::Value| value.as_object().cloned().unwrap_or_default();
    ConnectorOffset {
        partition: map(json!({ "kafka_topic": held.topic, "kafka_partition": held.partition })),
        offset: held.offset.map(|offset| map(json!({ "kafka_offset": offset }))),
    }
}

pub(super) async fn patch(
    Shared(shown): Shared<Arc<Shown>>,
    Path(name): Path<String>,
    body: Sent,
) -> Answer<Json<Message>> {
    let AlterOffsets { offsets } = read(&body)?;
    if offsets.is_empty() {
        return Err(Refusal::bad("Partitions / offsets need to be provided for an alter offsets request"));
    }
    let (_turn, view) = stopped(&shown, &name).await?;
    let store = shown.adapters.offset_store().await.map_err(failed(&name, "alter"))?;
    match usable(&view, &name)? {
        Connector::Sink(config) => alter_sink(store.as_ref(), config, &offsets).await,
        Connector::Source(config) => alter_source(&shown, store.as_ref(), config, offsets).await,
        Connector::Unusable(_) => Err(not_found(&name)),
    }
}

async fn alter_sink(
    store: &dyn OffsetStore,
    config: &SinkConfig,
    offsets: &[ConnectorOffset],
) -> Answer<Json<Message>> {
    let failed = failed(&config.name, "alter");
    let partitions = store.partitions(&config.topic).await.map_err(&failed)?;
    let read =
        |entry: &ConnectorOffset| sink_offset(&config.topic, partitions, &entry.partition, entry.offset.as_ref());
    let wanted = offsets.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(Refusal::bad)?;
    store.put_group_offsets(&config.group(), &wanted).await.map_err(&failed)?;
    Ok(done("altered", CHAIN))
}

async fn alter_source(
    shown: &Shown,
    store: &dyn OffsetStore,
    config: &SourceConfig,
    offsets: Vec<ConnectorOffset>,
) -> Answer<Json<Message>> {
    let problem =
        |entry: &ConnectorOffset| source_offset_problem(&config.topic_prefix, &entry.partition, entry.offset.as_ref());
    if let Some(problem) = offsets.iter().find_map(problem) {
        return Err(Refusal::bad(problem));
    }
    let key = offset_key(&config.name, &config.topic_prefix);
    let offset = offsets.into_iter().next_back().and_then(|entry| entry.offset);
    put(shown, store, &config.name, &[(key, offset)], "alter").await?;
    Ok(done("altered", STATE))
}

pub(super) async fn delete(Shared(shown): Shared<Arc<Shown>>, Path(name): Path<String>) -> Answer<Json<Message>> {
    let (_turn, view) = stopped(&shown, &name).await?;
    let failed = failed(&name, "reset");
    let store = shown.adapters.offset_store().await.map_err(&failed)?;
    if let Connector::Sink(config) = usable(&view, &name)? {
        store.delete_group(&config.group()).await.map_err(&failed)?;
        return Ok(done("reset", CHAIN));
    }
    let held = store.source_offsets(&name).await.map_err(&failed)?;
    let gone: Vec<_> = held.into_iter().map(|offset| (offset.key, None)).collect();
    if !gone.is_empty() {
        put(&shown, store.as_ref(), &name, &gone, "reset").await?;
    }
    Ok(done("reset", ""))
}

async fn put(
    shown: &Shown,
    store: &dyn OffsetStore,
    name: &str,
    offsets: &[(Vec<u8>, Option<JsonMap>)],
    what: &str,
) -> Answer<()> {
    let id = shown.settings.transactional_id(name);
    store.put_source_offsets(&id, offsets).await.map_err(failed(name, what))
}

/// Kafka Connect's words for a connector that has a position of its own outside of Kafka: Debezium's slot, our objects.
fn done(what: &str, further: &str) -> Json<Message> {
    let message = format!(
        "The Connect framework-managed offsets for this connector have been {what} successfully. However, if this \
         connector manages offsets externally, they will need to be manually {what} in the system that the connector \
         uses.{further}"
    );
    Json(Message { message })
}

/// The connector is stopped, its tasks have ended, and this worker is the one to change it.
async fn stopped<'a>(shown: &'a Shown, name: &str) -> Answer<(MutexGuard<'a, ()>, View)> {
    let (turn, view, _) = turn(shown).await?;
    let registered = view.registry.get(name).ok_or_else(|| not_found(name))?;
    if registered.target != TargetState::Stopped || !registered.tasks.is_empty() {
        return Err(Refusal::bad(format!(
            "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
             specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
        )));
    }
    let ended = async {
        while lock(&shown.tasks).keys().any(|(connector, _)| connector == name) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(shown.settings.drain_max, ended).await.is_err() {
        return Err(Refusal::failed(format!(
            "Failed to modify offsets for connector {name} because its tasks have not stopped completely yet; send the \
             request again"
        )));
    }
    Ok((turn, view))
}
