//! A client of a worker's REST interface.

use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_core::port::connect::ConfigMap;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::{
    ActiveTopics, ConfigInfos, ConfigKeyInfo, ConnectorInfo, ConnectorOffsets, ConnectorStatus, ErrorMessage, Expanded,
    LoggerLevel, LoggerLevels, Message, NewConnector, PluginInfo, ServerInfo, TaskInfo, TaskState, WorkerHealth,
};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a whole request may take. A worker answers within 90 s at worst, when it waits for a rebalance.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The worker cannot be reached, or its answer broke off.
    #[error("{method} {url} failed")]
    Transport {
        /// The request's method.
        method: Method,
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The worker refused.
    #[error("{method} {url} was refused with {status}: {message}")]
    Refused {
        /// The request's method.
        method: Method,
        /// Its address.
        url: String,
        /// The answer's status.
        status: u16,
        /// What the worker said.
        message: String,
    },
    /// The client could not be made.
    #[error("the HTTP client could not be made")]
    Setup(#[source] reqwest::Error),
}

impl ClientError {
    /// True if the same request may succeed later: the worker is away, starting, or rebalancing (409).
    pub fn retryable(&self) -> bool {
        match self {
            Self::Transport { source, .. } => !source.is_decode() && !source.is_builder(),
            Self::Refused { status, .. } => *status == 409 || *status >= 500,
            Self::Setup(_) => false,
        }
    }

    /// The answer's status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Transport { .. } | Self::Setup(_) => None,
        }
    }
}

/// An answer that is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The status.
    pub status: u16,
    /// The header `Location`.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A client for one worker. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the worker at `base`, as `http://localhost:8083`.
    pub fn new(base: &str) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT);
        let http = http.build().map_err(ClientError::Setup)?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http })
    }

    /// `GET /`
    pub async fn server(&self) -> Result<ServerInfo, ClientError> {
        self.get("/").await
    }

    /// `GET /connectors`: the names.
    pub async fn connectors(&self) -> Result<Vec<String>, ClientError> {
        self.get("/connectors").await
    }

    /// `GET /connectors/{name}`; none if there is no such connector.
    pub async fn connector(&self, name: &str) -> Result<Option<ConnectorInfo>, ClientError> {
        found(self.get(&format!("/connectors/{name}")).await)
    }

    /// `GET /connectors/{name}/status`; none if there is no such connector.
    pub async fn status(&self, name: &str) -> Result<Option<ConnectorStatus>, ClientError> {
        found(self.get(&format!("/connectors/{name}/status")).await)
    }

    /// `PUT /connectors/{name}/config`: makes the connector or changes it.
    pub async fn put_config(&self, name: &str, config: &ConfigMap) -> Result<ConnectorInfo, ClientError> {
        self.send(Method::PUT, &format!("/connectors/{name}/config"), Some(config)).await
    }

    /// `GET /health`; an answer also if the worker is not well.
    pub async fn health(&self) -> Result<WorkerHealth, ClientError> {
        let url = format!("{}/health", self.base);
        let transport = |source| ClientError::Transport { method: Method::GET, url: url.clone(), source };
        self.http.get(&url).send().await.map_err(transport)?.json().await.map_err(transport)
    }

    /// `GET /connectors?expand=info&expand=status`: everything about every connector.
    pub async fn expanded(&self) -> Result<BTreeMap<String, Expanded>, ClientError> {
        self.get("/connectors?expand=info&expand=status").await
    }

    /// `POST /connectors`: makes a connector, which must not be there.
    pub async fn create(&self, connector: &NewConnector) -> Result<ConnectorInfo, ClientError> {
        self.send(Method::POST, "/connectors", Some(connector)).await
    }

    /// `GET /connectors/{name}/config`; none if there is no such connector.
    pub async fn config(&self, name: &str) -> Result<Option<ConfigMap>, ClientError> {
        found(self.get(&format!("/connectors/{name}/config")).await)
    }

    /// `PATCH /connectors/{name}/config`: changes some keys; none removes one.
    pub async fn patch_config(
        &self,
        name: &str,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<ConnectorInfo, ClientError> {
        self.send(Method::PATCH, &format!("/connectors/{name}/config"), Some(changes)).await
    }

    /// `DELETE /connectors/{name}`
    pub async fn delete(&self, name: &str) -> Result<(), ClientError> {
        self.tell(Method::DELETE, &format!("/connectors/{name}")).await
    }

    /// `PUT /connectors/{name}/pause`
    pub async fn pause(&self, name: &str) -> Result<(), ClientError> {
        self.tell(Method::PUT, &format!("/connectors/{name}/pause")).await
    }

    /// `PUT /connectors/{name}/resume`: ends a pause or a stop.
    pub async fn resume(&self, name: &str) -> Result<(), ClientError> {
        self.tell(Method::PUT, &format!("/connectors/{name}/resume")).await
    }

    /// `PUT /connectors/{name}/stop`: ends the tasks; offsets may be changed then.
    pub async fn stop(&self, name: &str) -> Result<(), ClientError> {
        self.tell(Method::PUT, &format!("/connectors/{name}/stop")).await
    }

    /// `POST /connectors/{name}/restart`: the connector alone.
    pub async fn restart(&self, name: &str) -> Result<(), ClientError> {
        self.tell(Method::POST, &format!("/connectors/{name}/restart")).await
    }

    /// `POST /connectors/{name}/restart?includeTasks=true`: with its tasks; answers what is about to be restarted.
    pub async fn restart_with_tasks(&self, name: &str, only_failed: bool) -> Result<ConnectorStatus, ClientError> {
        let path = format!("/connectors/{name}/restart?includeTasks=true&onlyFailed={only_failed}");
        self.send(Method::POST, &path, None::<&()>).await
    }

    /// `GET /connectors/{name}/tasks`; none if there is no such connector.
    pub async fn tasks(&self, name: &str) -> Result<Option<Vec<TaskInfo>>, ClientError> {
        found(self.get(&format!("/connectors/{name}/tasks")).await)
    }

    /// `GET /connectors/{name}/tasks/{task}/status`; none if it is not known.
    pub async fn task_status(&self, name: &str, task: u32) -> Result<Option<TaskState>, ClientError> {
        found(self.get(&format!("/connectors/{name}/tasks/{task}/status")).await)
    }

    /// `POST /connectors/{name}/tasks/{task}/restart`
    pub async fn restart_task(&self, name: &str, task: u32) -> Result<(), ClientError> {
        self.tell(Method::POST, &format!("/connectors/{name}/tasks/{task}/restart")).await
    }

    /// `GET /connectors/{name}/topics`: the topics that it has used.
    pub async fn topics(&self, name: &str) -> Result<Vec<String>, ClientError> {
        let mut topics: BTreeMap<String, ActiveTopics> = self.get(&format!("/connectors/{name}/topics")).await?;
        Ok(topics.remove(name).map(|active| active.topics).unwrap_or_default())
    }

    /// `PUT /connectors/{name}/topics/reset`
    pub async fn reset_topics(&self, name: &str) -> Result<(), ClientError> {
        self.tell(Method::PUT, &format!("/connectors/{name}/topics/reset")).await
    }

    /// `GET /connectors/{name}/offsets`
    pub async fn offsets(&self, name: &str) -> Result<ConnectorOffsets, ClientError> {
        self.get(&format!("/connectors/{name}/offsets")).await
    }

    /// `PATCH /connectors/{name}/offsets`: the connector must be stopped.
    pub async fn patch_offsets(&self, name: &str, offsets: &ConnectorOffsets) -> Result<Message, ClientError> {
        self.send(Method::PATCH, &format!("/connectors/{name}/offsets"), Some(offsets)).await
    }

    /// `DELETE /connectors/{name}/offsets`: the connector must be stopped.
    pub async fn delete_offsets(&self, name: &str) -> Result<Message, ClientError> {
        self.send(Method::DELETE, &format!("/connectors/{name}/offsets"), None::<&()>).await
    }

    /// `GET /connector-plugins`: connectors alone, or everything that is installed.
    pub async fn plugins(&self, connectors_only: bool) -> Result<Vec<PluginInfo>, ClientError> {
        self.get(&format!("/connector-plugins?connectorsOnly={connectors_only}")).await
    }

    /// `GET /connector-plugins/{plugin}/config`: every key of a plugin.
    pub async fn plugin_config(&self, plugin: &str) -> Result<Vec<ConfigKeyInfo>, ClientError> {
        self.get(&format!("/connector-plugins/{plugin}/config")).await
    }

    /// `PUT /connector-plugins/{plugin}/config/validate`
    pub async fn validate(&self, plugin: &str, config: &ConfigMap) -> Result<ConfigInfos, ClientError> {
        self.send(Method::PUT, &format!("/connector-plugins/{plugin}/config/validate"), Some(config)).await
    }

    /// `GET /admin/loggers`
    pub async fn loggers(&self) -> Result<LoggerLevels, ClientError> {
        self.get("/admin/loggers").await
    }

    /// `GET /admin/loggers/{logger}`; none if there is no such logger.
    pub async fn logger(&self, logger: &str) -> Result<Option<LoggerLevel>, ClientError> {
        found(self.get(&format!("/admin/loggers/{logger}")).await)
    }

    /// `PUT /admin/loggers/{logger}`: sets the level of this worker's logger; answers whose level changed.
    pub async fn set_logger(&self, logger: &str, level: &str) -> Result<Vec<String>, ClientError> {
        let body = BTreeMap::from([("level", level)]);
        self.send(Method::PUT, &format!("/admin/loggers/{logger}"), Some(&body)).await
    }

    /// Passes a request on as it is, and its answer back, whatever its status; `path` with the query.
    pub async fn forward(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Forwarded, ClientError> {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.clone(), &url);
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let transport = |source| ClientError::Transport { method: method.clone(), url: url.clone(), source };
        let answer = request.send().await.map_err(transport)?;
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(transport)?.to_vec();
        Ok(Forwarded { status, location, body })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, None::<&()>).await
    }

    /// A request whose answer has no body.
    async fn tell(&self, method: Method, path: &str) -> Result<(), ClientError> {
        self.request(method, path, None::<&()>).await.map(drop)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let answer = self.request(method.clone(), path, body).await?;
        let url = format!("{}{path}", self.base);
        answer.json().await.map_err(|source| ClientError::Transport { method, url, source })
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<reqwest::Response, ClientError> {
        let url = format!("{}{path}", self.base);
        let request = self.http.request(method.clone(), &url);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let transport = |source| ClientError::Transport { method: method.clone(), url: url.clone(), source };
        let answer = request.send().await.map_err(transport)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.text().await.map_err(transport)?;
        let message = serde_json::from_str::<ErrorMessage>(&text).map_or(text, |error| error.message);
        Err(ClientError::Refused { method, url, status: status.as_u16(), message })
    }
}

fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.status() == Some(StatusCode::NOT_FOUND.as_u16()) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with a fixed answer and returns the request's first line.
    async fn serve(status: &str, body: &str) -> (Client, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..length]).lines().next().unwrap().to_owned()
        });
        (client, server)
    }

    #[tokio::test]
    async fn answers_are_typed() {
        let (client, server) = serve("200 OK", r#"["a","b"]"#).await;
        assert_eq!(client.connectors().await.unwrap(), ["a", "b"]);
        assert_eq!(server.await.unwrap(), "GET /connectors HTTP/1.1");
    }

    #[tokio::test]
    async fn a_connector_that_is_not_there_is_none() {
        let (client, _server) = serve("404 Not Found", r#"{"error_code":404,"message":"none"}"#).await;
        assert_eq!(client.status("s").await.unwrap(), None);
    }

    #[tokio::test]
    async fn refusals_carry_the_workers_words() {
        let (client, server) = serve("409 Conflict", r#"{"error_code":409,"message":"rebalancing"}"#).await;
        let error = client.put_config("s", &ConfigMap::new()).await.unwrap_err();
        assert!(error.retryable() && error.to_string().ends_with("was refused with 409: rebalancing"), "{error}");
        assert_eq!(server.await.unwrap(), "PUT /connectors/s/config HTTP/1.1");
    }

    #[tokio::test]
    async fn a_worker_that_is_away_may_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = Client::new(&format!("http://{address}")).unwrap().server().await.unwrap_err();
        assert!(error.retryable() && error.status().is_none());
    }
}
