//! Runs blocking work (downloads, file trees, helper programs) off the runtime's own threads.

use crate::{Error, Result};

pub(crate) async fn run<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::io(what)(error.into()))?
}
