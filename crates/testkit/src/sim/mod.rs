//! The seeded simulation: schedules, faults, and the oracle.

pub mod fault;
mod oracle;
mod plan;
mod run;
mod stage;
mod workload;
pub mod world;

pub use fault::{Coverage, Fault, Point};
pub use oracle::check;
pub use plan::{Plan, RunSettings};
pub use run::{CaptureRunner, Exploration, Outcome, Subject, explore, simulate};
pub use stage::Stage;
pub use workload::Writer;
pub use world::{Faults, Instance, Mutation, Shared, World};
