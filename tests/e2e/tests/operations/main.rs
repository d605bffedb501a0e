//! What an operator does with it: start on servers that exist, stop and start again, read the objects with another
//! tool. Real servers, the real `datapipe-run`.
//!
//! Each test has servers of its own; they run one at a time, because each starts PostgreSQL, Kafka and S3.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod again;
mod duckdb;
mod early;
mod faults;
mod formats;
mod proof;
mod references;
mod rest;
mod restart;
mod secrets;
mod start;
mod tasks;
mod verify;
