//! The engine of the native worker: [`capture`] takes a table's changes to the log, [`deliver`] takes the log's
//! records to objects.
//!
//! Both are generic over the ports of `datapipe-core` and know no vendor. Each port method is awaited at one place
//! only, so that the simulation in `datapipe-testkit` can crash, pause and confuse every one of them. A failed run
//! ends with an error; whoever started it starts it again with new adapters, and it goes on from what is durable.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod capture;
pub mod deliver;
pub mod gauges;
