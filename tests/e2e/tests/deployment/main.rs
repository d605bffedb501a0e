//! datapipe's deployment on a real Kubernetes: pods under their limits, network policies, Pod Security.
//!
//! `scripts/k8s test` starts the node, makes the images and runs these one at a time (`--test-threads=1`): all of them deploy to
//! the one namespace. Each brings the namespace to what it needs, so any of them runs alone; in the order of their names the
//! fewest deployments are made.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod admission;
mod arrangement;
mod bed;
mod comparison;
mod contract;
mod edges;
mod findings;
mod flow;
mod handover;
mod impact;
mod inside;
mod interrupted;
mod isolation;
mod memory;
mod mixed;
mod mixed_document;
mod policies;
mod ports;
mod room;
mod roots;
mod tables;
