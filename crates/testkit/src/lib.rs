//! In-memory ports that keep the contracts of `datapipe_core::port`, a seeded simulation around them, and the
//! contract suites that every implementation of a port runs through.
//!
//! The simulation ([`sim`]) runs a capture and a delivery against a small PostgreSQL, a small Kafka and a small object
//! store, all in one process and in virtual time. At each await point of a port a schedule may delay, fail, lose the
//! reply, kill or freeze whoever waits there. An oracle then compares what became readable with what was committed;
//! it shares no code with the proof of data that users run.
#![allow(clippy::missing_panics_doc)]

pub mod contract;
pub mod memory;
pub mod sim;
