//! Who may ask. A page in somebody's browser can send requests to every address that the browser reaches, and a name that
//! leads first to the page's server and then to this one (DNS rebinding) makes it believe that both are one.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use crate::WorkerSettings;

/// The names by which this worker may be asked.
#[derive(Debug)]
pub(super) struct Guard {
    listen: IpAddr,
    hosts: Vec<String>,
}

impl Guard {
    pub(super) fn new(settings: &WorkerSettings) -> Self {
        Self { listen: settings.listen.ip(), hosts: settings.hosts.clone() }
    }

    /// Why a request is refused. Where others may reach the worker (Kubernetes: a Service, a `NodePort`) its names are
    /// theirs to choose, and only a page from elsewhere is refused.
    fn refusal(&self, request: &Request) -> Option<String> {
        let text = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        let host = text(header::HOST);
        if self.listen.is_loopback()
            && let Some(host) = host.filter(|host| !self.knows(host))
        {
            return Some(format!(
                "Host {host:?} is no name of this worker, which listens on {}; ask it as localhost, or add the name to \
                 run.hosts",
                self.listen
            ));
        }
        let origin = text(header::ORIGIN)?;
        let asked_from = origin.split_once("://").map_or(origin, |(_, host)| host);
        let own = !asked_from.is_empty() && Some(asked_from) == host;
        (!own && !self.knows(asked_from)).then(|| {
            format!("Origin {origin:?} is another page's; add its host's name to run.hosts if it may ask this worker")
        })
    }

    /// Loopback, the address itself, or a name that was set.
    fn knows(&self, host: &str) -> bool {
        let name = without_port(host);
        let address = name.parse::<IpAddr>().ok();
        name.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.is_loopback() || address == self.listen)
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// The name or address in `name:port`, `1.2.3.4:port` or `[::1]:port`.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name)
}

pub(super) async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.refusal(&request) {
        Some(why) => Refusal::new(StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn allows(listen: &str, host: &str, origin: Option<&str>) -> bool {
        let guard = Guard { listen: listen.parse().unwrap(), hosts: vec!["cdc.example.org".to_owned()] };
        let mut request = Request::builder().header(header::HOST, host);
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        guard.refusal(&request.body(Body::empty()).unwrap()).is_none()
    }

    #[test]
    fn on_loopback_only_known_names_are_answered() {
        for host in ["localhost:8083", "LOCALHOST", "127.0.0.1:8083", "127.0.0.2:1", "[::1]:8083", "cdc.example.org:1"]
        {
            assert!(allows("127.0.0.1", host, None), "{host}");
        }
        for host in
            ["evil.example:8083", "", "10.0.0.7:8083", "localhost.evil.example", "[fe80::1]:8083", "localhost:x"]
        {
            assert!(!allows("127.0.0.1", host, None), "{host}");
        }
    }

    #[test]
    fn elsewhere_any_name_is_answered() {
        for host in ["kafka-connect-users:8083", "kafka-connect-users.data-ingestion.svc", "10.0.0.7:30083"] {
            assert!(allows("0.0.0.0", host, None), "{host}");
        }
    }

    #[test]
    fn pages_from_elsewhere_are_refused() {
        for origin in ["http://evil.example", "null", "http://evil.example:8083", "https://localhost.evil.example", ""]
        {
            assert!(!allows("127.0.0.1", "localhost:8083", Some(origin)), "{origin}");
            assert!(!allows("0.0.0.0", "kafka-connect-users:8083", Some(origin)), "{origin}");
        }
        for origin in ["http://localhost:8083", "http://127.0.0.1:3000", "http://[::1]:1", "https://cdc.example.org"] {
            assert!(allows("127.0.0.1", "localhost:8083", Some(origin)), "{origin}");
        }
        assert!(allows("0.0.0.0", "kafka-connect-users:8083", Some("http://kafka-connect-users:8083")));
        assert!(!allows("127.0.0.1", "evil.example:8083", Some("http://evil.example:8083")), "a rebound name");
    }
}
