//! Bodies of requests, read as leniently as Kafka Connect reads them.

use std::collections::BTreeMap;
use std::fmt;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use datapipe_connect::ConnectorOffset;
use datapipe_core::connector::shown;
use datapipe_core::port::connect::{ConfigMap, TargetState};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::answer::{Answer, Refusal};

/// Names and texts. Numbers and booleans are taken for their texts, and a null is kept: it removes a key.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct LooseMap(pub(super) BTreeMap<String, Option<String>>);

/// Secrets given in clear are not shown.
impl fmt::Debug for LooseMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = |(key, value): (&String, &Option<String>)| {
            (key.clone(), value.as_deref().map(|value| shown(key, value).to_owned()))
        };
        f.debug_map().entries(self.0.iter().map(entry)).finish()
    }
}

impl<'de> Deserialize<'de> for LooseMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let text = |(key, value): (String, Value)| match value {
            Value::Null => Ok((key, None)),
            Value::String(text) => Ok((key, Some(text))),
            Value::Bool(_) | Value::Number(_) => Ok((key, Some(value.to_string()))),
            Value::Array(_) | Value::Object(_) => Err(de::Error::custom(format!("the value of {key} is no text"))),
        };
        values.into_iter().map(text).collect::<Result<_, _>>().map(Self)
    }
}

impl LooseMap {
    /// The keys that have a value, and the names of those that have none.
    pub(super) fn split(self) -> (ConfigMap, Vec<String>) {
        let (mut map, mut nulls) = (ConfigMap::new(), Vec::new());
        for (key, value) in self.0 {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => nulls.push(key),
            }
        }
        (map, nulls)
    }
}

/// The body of `POST /connectors`.
#[derive(Debug, Deserialize)]
pub(super) struct CreateConnector {
    #[serde(default)]
    pub(super) name: Option<String>,
    pub(super) config: LooseMap,
    #[serde(default, deserialize_with = "initial_state")]
    pub(super) initial_state: Option<TargetState>,
}

/// The body of `PATCH /connectors/{name}/offsets`.
#[derive(Debug, Deserialize)]
pub(super) struct AlterOffsets {
    #[serde(default)]
    pub(super) offsets: Vec<ConnectorOffset>,
}

fn initial_state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TargetState>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    match text.to_ascii_uppercase().as_str() {
        "RUNNING" => Ok(Some(TargetState::Started)),
        "PAUSED" => Ok(Some(TargetState::Paused)),
        "STOPPED" => Ok(Some(TargetState::Stopped)),
        _ => Err(de::Error::custom(format!("initial_state is {text:?}; it can be RUNNING, PAUSED or STOPPED"))),
    }
}

/// A body that says that it is JSON. Whoever says nothing may be a page in a browser, which can send that anywhere.
pub(super) struct Sent(Bytes);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let said = request.headers().contains_key(header::CONTENT_TYPE);
        let refused = |rejection: BytesRejection| Refusal::http(rejection.status()).into_response();
        let body = Bytes::from_request(request, state).await.map_err(refused)?;
        if !said && !body.is_empty() {
            return Err(Refusal::http(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response());
        }
        Ok(Self(body))
    }
}

/// Reads a body. Kafka Connect answers 500 to what is no JSON or not of the right shape, and so do we: its clients
/// know it.
pub(super) fn read<T: DeserializeOwned>(Sent(body): &Sent) -> Answer<T> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::failed(format!("the body of the request cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text<T: DeserializeOwned>(text: &'static str) -> Answer<T> {
        read(&Sent(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn numbers_and_booleans_are_texts_and_nulls_are_kept() {
        let map: LooseMap = read_text(r#"{"tasks.max":1,"x":true,"y":"z","gone":null,"f":1.0}"#).unwrap();
        let (map, nulls) = map.split();
        let expected = [("f", "1.0"), ("tasks.max", "1"), ("x", "true"), ("y", "z")];
        assert_eq!(map, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!(nulls, ["gone"]);
        let create: CreateConnector = read_text(r#"{"config":{"database.password":"hunter2","x":"y"}}"#).unwrap();
        let text = format!("{create:?}");
        assert!(text.contains(r#""x": Some("y")"#) && !text.contains("hunter2"), "{text}");
        for text in [r#"{"x":{}}"#, r#"{"x":[1]}"#, "[]", "{", ""] {
            assert!(read_text::<LooseMap>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_connector_may_be_made_in_any_state() {
        let state = |text| read_text::<CreateConnector>(text).map(|create| create.initial_state);
        assert_eq!(state(r#"{"name":"a","config":{}}"#).unwrap(), None);
        assert_eq!(state(r#"{"config":{},"initial_state":"stopped"}"#).unwrap(), Some(TargetState::Stopped));
        assert_eq!(state(r#"{"config":{},"initial_state":"RUNNING"}"#).unwrap(), Some(TargetState::Started));
        assert!(state(r#"{"config":{},"initial_state":"NEW"}"#).is_err());
        assert!(state(r#"{"name":"a"}"#).is_err());
    }
}
