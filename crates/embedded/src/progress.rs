//! Progress lines for a person who waits.

use std::fmt;
use std::sync::Arc;

/// Receives one line per step: downloads, starts, stops. Cheap to clone; silent by default.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Report>>);

type Report = dyn Fn(&str) + Send + Sync;

impl Progress {
    /// Calls `report` with every line. It must not block for long.
    pub fn new(report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(report)))
    }

    /// Nothing is reported.
    pub fn silent() -> Self {
        Self::default()
    }

    pub(crate) fn line(&self, line: &str) {
        tracing::debug!(line, "embedded stack");
        if let Some(report) = &self.0 {
            report(line);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}
