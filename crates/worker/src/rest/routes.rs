//! Every route, in one list, so that the `OpenAPI` document can be held against it.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use super::{change, loggers, offsets, openapi, plugins, read};
use crate::worker::Shown;

/// Routes with a list of them.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Arc<Shown>>,
    /// Held against the `OpenAPI` document by a test.
    pub(super) listed: Vec<(Method, &'static str)>,
}

impl Routes {
    /// A path ends with or without a slash, as in Kafka Connect.
    fn add<H, T>(mut self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Shown>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("a method of HTTP");
        self.router = self.router.route(path, on(filter, handler.clone()));
        if path != "/" {
            self.router = self.router.route(&format!("{path}/"), on(filter, handler));
        }
        self.listed.push((method, path));
        self
    }

    pub(super) fn into_router(self) -> Router<Arc<Shown>> {
        self.router
    }
}

pub(super) fn all() -> Routes {
    Routes::default()
        .add(Method::GET, "/", read::server)
        .add(Method::GET, "/health", read::health)
        .add(Method::GET, "/connectors", read::connectors)
        .add(Method::POST, "/connectors", change::create)
        .add(Method::GET, "/connectors/{connector}", read::connector)
        .add(Method::DELETE, "/connectors/{connector}", change::delete)
        .add(Method::GET, "/connectors/{connector}/config", read::config)
        .add(Method::PUT, "/connectors/{connector}/config", change::put_config)
        .add(Method::PATCH, "/connectors/{connector}/config", change::patch_config)
        .add(Method::GET, "/connectors/{connector}/status", read::status)
        .add(Method::POST, "/connectors/{connector}/restart", change::restart)
        .add(Method::PUT, "/connectors/{connector}/pause", change::pause)
        .add(Method::PUT, "/connectors/{connector}/resume", change::resume)
        .add(Method::PUT, "/connectors/{connector}/stop", change::stop)
        .add(Method::GET, "/connectors/{connector}/tasks", read::tasks)
        .add(Method::GET, "/connectors/{connector}/tasks/{task}/status", read::task_status)
        .add(Method::POST, "/connectors/{connector}/tasks/{task}/restart", change::restart_task)
        .add(Method::GET, "/connectors/{connector}/topics", read::topics)
        .add(Method::PUT, "/connectors/{connector}/topics/reset", change::reset_topics)
        .add(Method::GET, "/connectors/{connector}/offsets", offsets::get)
        .add(Method::PATCH, "/connectors/{connector}/offsets", offsets::patch)
        .add(Method::DELETE, "/connectors/{connector}/offsets", offsets::delete)
        .add(Method::GET, "/connector-plugins", plugins::list)
        .add(Method::GET, "/connector-plugins/{plugin}/config", plugins::config)
        .add(Method::PUT, "/connector-plugins/{plugin}/config/validate", plugins::validate)
        .add(Method::GET, "/admin/loggers", loggers::list)
        .add(Method::GET, "/admin/loggers/{logger}", loggers::get)
        .add(Method::PUT, "/admin/loggers/{logger}", loggers::set)
        .add(Method::GET, "/openapi.json", openapi::document)
        .add(Method::GET, "/metrics", read::metrics)
}
