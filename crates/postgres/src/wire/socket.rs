//! A socket that the runtime watches only while somebody waits for it.
//!
//! A watched socket wakes the runtime for each piece that arrives, even if nobody wants to read yet: under load that is
//! once per row. So while the reader pauses, and as long as the load lasts, the socket is taken out of the watch.

use std::io::{self, Read, Write};
use std::net;

use tokio::net::TcpStream;

pub(super) enum Socket {
    Watched(TcpStream),
    Unwatched(net::TcpStream),
    /// Only if changing over failed, as when the process runs out of file descriptors.
    Broken,
}

impl Socket {
    /// Takes the socket out of the runtime's watch.
    pub(super) fn unwatch(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Self::Broken) {
            Self::Watched(socket) => Self::Unwatched(socket.into_std()?),
            other => other,
        };
        Ok(())
    }

    /// Puts the socket under the runtime's watch, so that it can be waited for.
    pub(super) fn watch(&mut self) -> io::Result<&mut TcpStream> {
        if let Self::Unwatched(_) = self
            && let Self::Unwatched(socket) = std::mem::replace(self, Self::Broken)
        {
            *self = Self::Watched(TcpStream::from_std(socket)?);
        }
        match self {
            Self::Watched(socket) => Ok(socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Waits until there may be something to read; for ever if the socket is not watched.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Watched(socket) => socket.readable().await,
            _ => std::future::pending().await,
        }
    }

    /// Waits until it may be written; for ever if the socket is not watched.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Watched(socket) => socket.writable().await,
            _ => std::future::pending().await,
        }
    }

    /// Reads what there is, without waiting.
    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Watched(socket) => socket.try_read(into),
            Self::Unwatched(socket) => (&mut &*socket).read(into),
            Self::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes what the socket takes, without waiting.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Watched(socket) => socket.try_write(bytes),
            Self::Unwatched(socket) => (&mut &*socket).write(bytes),
            Self::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
