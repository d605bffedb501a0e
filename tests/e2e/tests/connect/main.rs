//! The native worker beside a real Kafka Connect with Debezium: the same requests to both, answers compared field by
//! field; and each kind of worker going on from what the other left.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod clients;
mod compare;
mod handover;
mod hybrid;
mod keys;
mod requests;
mod side;
mod takeover;
