//! Loopback ports for servers.

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use rand::Rng;
use tokio::net::TcpSocket;

use crate::{Error, Result};

/// Servers listen here. It lies below the range that systems take outgoing ports from (32768 on Linux, 49152
/// elsewhere): a client that reconnects to a stopped server could otherwise be given that very port and talk to itself,
/// and a stopped server could find its port taken.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
/// The next port to try: no port is given twice by one process before the whole range was.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::rng().random_range(RANGE)));

/// A loopback port that nobody listens on, below the range of outgoing connections. The caller binds it soon; a race with
/// another process shows as a failed start.
pub fn free() -> Result<u16> {
    for _ in RANGE {
        let port = RANGE.start + NEXT.fetch_add(1, Ordering::Relaxed) % (RANGE.end - RANGE.start);
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(Error::Io {
        action: format!("find a free port in {}..{}", RANGE.start, RANGE.end),
        source: std::io::ErrorKind::AddrInUse.into(),
    })
}

/// `wanted` if it is free, else another one.
pub(crate) fn free_or_other(wanted: Option<u16>) -> Result<u16> {
    match wanted {
        Some(port) if is_free(port) => Ok(port),
        _ => free(),
    }
}

/// Binds and never listens: a process that is forked at this moment inherits the socket until it becomes its program, and
/// would be a listener to whoever binds the port next.
fn is_free(port: u16) -> bool {
    let bound = TcpSocket::new_v4().and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())
    });
    bound.is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<_> = (0..200).map(|_| free().unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }

    #[test]
    fn a_taken_port_is_not_given_again() {
        let port = free().unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(free_or_other(Some(port)).unwrap(), port);
        drop(held);
        assert_eq!(free_or_other(Some(port)).unwrap(), port);
    }
}
