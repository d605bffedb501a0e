//! Where signals come from that do not come with the changes.

use async_trait::async_trait;

use super::PortError;
use crate::signal::Signal;

/// The signaling topic, as one source sees it.
///
/// * **Order**: that of the topic, which has one partition.
/// * **Duplicates**: the caller keeps the position, and gets from there on what it asks for.
/// * **Parallelism**: one caller. **Shutdown**: dropping it ends the reading.
#[async_trait]
pub trait SignalChannel: Send {
    /// The position behind the last record.
    async fn end(&mut self) -> Result<i64, PortError>;

    /// What is there from a position on, some tens of records at most, and the position behind it. Returns at once; a
    /// record that is no signal for this source is passed over.
    async fn poll(&mut self, from: i64) -> Result<(Vec<Signal>, i64), PortError>;
}
