//! Log levels of the process: seen and changed while it runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use datapipe_connect::{LoggerLevel, LoggerLevels};
use datapipe_core::port::connect::ConfigRecord;
use serde::Deserialize;

use super::answer::{Answer, Refusal};
use super::body::{LooseMap, Sent, read};
use super::change::{turn, write};
use crate::worker::Shown;

/// Log4j's levels, which Kafka Connect takes, in any case of letters.
const LEVELS: [&str; 8] = ["ALL", "DEBUG", "ERROR", "FATAL", "INFO", "OFF", "TRACE", "WARN"];

pub(super) async fn list(Shared(shown): Shared<Arc<Shown>>) -> Json<LoggerLevels> {
    Json(shown.adapters.logger_levels())
}

pub(super) async fn get(Shared(shown): Shared<Arc<Shown>>, Path(logger): Path<String>) -> Answer<Json<LoggerLevel>> {
    let level = shown.adapters.logger_levels().remove(&logger);
    level.map(Json).ok_or_else(|| Refusal::unknown(format!("Logger {logger} not found.")))
}

/// Whom a change is for: this worker, or all of the group.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ScopeQuery {
    scope: Option<String>,
}

pub(super) async fn set(
    Shared(shown): Shared<Arc<Shown>>,
    Path(logger): Path<String>,
    Query(query): Query<ScopeQuery>,
    body: Sent,
) -> Answer<Response> {
    let (map, _) = read::<LooseMap>(&body)?.split();
    let given =
        map.get("level").ok_or_else(|| Refusal::bad("Desired 'level' parameter was not specified in request."))?;
    let level = given.to_ascii_uppercase();
    if !LEVELS.contains(&level.as_str()) {
        return Err(Refusal::unknown(format!("invalid log level '{given}'.")));
    }
    if query.scope.is_some_and(|scope| scope.eq_ignore_ascii_case("cluster")) {
        let (_turn, _, store) = turn(&shown).await?;
        write(&shown, store.as_ref(), &[ConfigRecord::LoggerLevel { logger, level }]).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Json(shown.adapters.set_logger_level(&logger, &level)).into_response())
}
