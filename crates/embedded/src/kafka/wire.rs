//! One question in Kafka's protocol: does the broker know itself as alive?
//!
//! A listening socket says little. The answer to a metadata request lists the brokers that the controller holds for
//! alive; only then can topics be created.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(2);
/// The answer of a fresh node has about a hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Metadata request, version 4, for no topic: length, key 3, version 4, correlation id 7, null client id, an empty list
/// of topics, no creation of topics.
const REQUEST: [u8; 19] = [0, 0, 0, 15, 0, 3, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 0];
/// In the answer: correlation id, throttle time, then the number of brokers.
const BROKERS_AT: usize = 8;

/// Whether the node at `address` answers and lists a live broker.
pub(crate) async fn has_broker(address: SocketAddr) -> bool {
    matches!(timeout(LIMIT, live_brokers(address)).await, Ok(Ok(1..)))
}

async fn live_brokers(address: SocketAddr) -> io::Result<u32> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&REQUEST).await?;
    let len = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if !(BROKERS_AT + 4..=ANSWER_BYTES_MAX).contains(&len) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; len];
    stream.read_exact(&mut answer).await?;
    let mut count = [0; 4];
    count.copy_from_slice(&answer[BROKERS_AT..BROKERS_AT + 4]);
    Ok(u32::from_be_bytes(count))
}
