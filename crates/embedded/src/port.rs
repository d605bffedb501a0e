//! Loopback ports for servers.

use std::net::{Ipv4Addr, TcpListener};

use rand::Rng;

use crate::{Error, Result};

/// Servers listen here. It lies below the range that systems take outgoing ports from (32768 on Linux, 49152
/// elsewhere): a client that reconnects to a stopped server could otherwise be given that very port and talk to itself,
/// and a stopped server could find its port taken.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const TRIES_MAX: usize = 200;

/// A port that nobody listens on. The caller binds it soon; a race with another process shows as a failed start.
pub(crate) fn free() -> Result<u16> {
    let mut random = rand::rng();
    for _ in 0..TRIES_MAX {
        let port = random.random_range(RANGE);
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

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_not_given_again() {
        let port = free().unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(free_or_other(Some(port)).unwrap(), port);
        drop(held);
        assert_eq!(free_or_other(Some(port)).unwrap(), port);
    }
}
