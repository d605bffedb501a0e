//! The signaling topic in memory.

use async_trait::async_trait;
use datapipe_core::port::PortError;
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::signal::Signal;

use crate::sim::fault::Point;
use crate::sim::world::{Instance, World};

/// A signaling topic of the world.
pub struct MemorySignals(pub Instance);

/// Where the world's channel ends.
fn end(world: &World) -> i64 {
    i64::try_from(world.channel.len()).unwrap_or(i64::MAX)
}

#[async_trait]
impl SignalChannel for MemorySignals {
    async fn end(&mut self) -> Result<i64, PortError> {
        self.0.gate(Point::SignalsEnd, |world| Ok(end(world))).await
    }

    async fn poll(&mut self, from: i64) -> Result<(Vec<Signal>, i64), PortError> {
        let read = move |world: &mut World| {
            let from = usize::try_from(from).unwrap_or(0);
            Ok((world.channel.iter().skip(from).cloned().collect(), end(world)))
        };
        self.0.gate(Point::SignalsPoll, read).await
    }
}
