//! The process edge: the only room that reads the environment, the clock, files of settings and secrets, installs
//! signal handlers and telemetry, and decides exit codes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod clock;
pub mod exit;
pub mod memory;
pub mod profile;
pub mod report;
pub mod scratch;
pub mod secrets;
pub mod settings;
pub mod signals;
pub mod telemetry;

pub use clock::SystemClock;
pub use exit::Exit;
pub use scratch::Scratch;
