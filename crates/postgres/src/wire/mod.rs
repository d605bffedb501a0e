//! A thin replication transport of our own: login, simple queries, and a copy-both stream whose reads are coalesced.
//!
//! Why not a ready-made client: the way in which the socket is read decides what a walsender costs. A reader that
//! keeps up in lockstep makes the server send and wake up once per row, and that is half of the server's work.

mod connection;
mod inbox;
mod login;
mod message;
mod pace;
mod socket;
mod status;
mod transport;

pub(crate) use connection::Connection;
pub(crate) use message::{cut_whole, server_error};
pub(crate) use status::{EPOCH_SECONDS, Keepalive};
pub(crate) use transport::{Chunk, Stream};
