//! The two messages about positions: what the server says of itself, and what we answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};

/// From 1970-01-01, where our times start, to 2000-01-01, where PostgreSQL's do.
pub(crate) const EPOCH_SECONDS: u64 = 946_684_800;

/// Size of a `Primary keepalive message` with its kind byte.
const KEEPALIVE_SIZE: usize = 18;

/// The server's word on where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// The end of what it has sent or skipped.
    pub(crate) position: u64,
    /// It wants an answer at once.
    pub(crate) reply: bool,
}

impl Keepalive {
    /// Reads a `CopyData` body; none if it is something else.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        if body.len() != KEEPALIVE_SIZE || body[0] != b'k' {
            return None;
        }
        let position = u64::from_be_bytes(*body[1..].first_chunk()?);
        Some(Self { position, reply: body[17] != 0 })
    }
}

/// Appends a `Standby status update`: received up to `written`, durable elsewhere up to `flushed`.
pub(crate) fn push_status(out: &mut BytesMut, written: u64, flushed: u64, ask_reply: bool) {
    out.put_u8(b'd');
    out.put_i32(4 + 34);
    out.put_u8(b'r');
    out.put_u64(written.max(flushed));
    out.put_u64(flushed);
    out.put_u64(flushed);
    out.put_i64(now_us());
    out.put_u8(u8::from(ask_reply));
}

/// The time of a status update, which the server shows as `reply_time` and uses for nothing else.
#[expect(clippy::disallowed_methods, reason = "shown by the server to people, decides nothing")]
fn now_us() -> i64 {
    let epoch = UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS);
    let since = SystemTime::now().duration_since(epoch).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keepalive_is_read_and_nothing_else() {
        let mut body = vec![b'k'];
        body.extend_from_slice(&7u64.to_be_bytes());
        body.extend_from_slice(&[0; 8]);
        body.push(1);
        assert_eq!(Keepalive::parse(&body), Some(Keepalive { position: 7, reply: true }));
        assert_eq!(Keepalive::parse(&body[..17]), None);
        body[0] = b'w';
        assert_eq!(Keepalive::parse(&body), None);
    }

    #[test]
    fn a_status_has_the_size_it_says_and_never_claims_to_have_flushed_more_than_written() {
        let mut out = BytesMut::new();
        push_status(&mut out, 5, 9, true);
        assert_eq!(out.len(), 1 + 4 + 34);
        assert_eq!(out[6..14], 9u64.to_be_bytes());
        assert_eq!((out[14..22].to_vec(), out[38]), (9u64.to_be_bytes().to_vec(), 1));
    }
}
