//! The heartbeat's statement, on a session of its own, so that nothing waits for it.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::config::SourceSpec;
use crate::error::Error;
use crate::sql::Sql;

/// Runs one statement at a time; one that is due while the last one runs is left out.
#[derive(Clone, Default)]
pub(crate) struct Beat(Arc<Mutex<Option<Sql>>>);

impl Beat {
    /// Starts the statement, if there is one.
    pub(crate) fn run(&self, spec: &SourceSpec) {
        let Some(query) = spec.heartbeat_query.clone() else { return };
        let (session, spec) = (Arc::clone(&self.0), spec.clone());
        tokio::spawn(async move {
            let Ok(mut session) = session.try_lock_owned() else {
                tracing::warn!(query, "the heartbeat's statement still runs; it is not started again");
                return;
            };
            if let Err(error) = run(&mut session, &spec, &query).await {
                *session = None;
                tracing::warn!(query, %error, "the heartbeat's statement failed");
            }
        });
    }
}

async fn run(session: &mut Option<Sql>, spec: &SourceSpec, query: &str) -> Result<(), Error> {
    let open = session.take().filter(Sql::is_open);
    let sql = match open {
        Some(sql) => sql,
        None => Sql::connect(spec).await?,
    };
    session.insert(sql).run(query).await
}
