//! The wall clock, as a port, so that core and engine stay deterministic.

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01 UTC.
    fn now_us(&self) -> i64;
}
