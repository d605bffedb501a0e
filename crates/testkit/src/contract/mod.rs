//! Contract suites: what every implementation of a port must do, memory or real.
//!
//! Each suite is given fresh adapters on an outside world that holds nothing yet, and panics with what was broken.

pub mod connect;
pub mod log;
pub mod source;
pub mod store;
