//! What is promised in figures: memory that does not grow with a transaction, and tables that do not feel each other's
//! failures. Real servers, the real `datapipe-run`, figures printed.
//!
//! They run one at a time: they measure.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod isolation;
mod memory;
mod proof;
