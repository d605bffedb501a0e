//! The bytes that have been read and not handed over yet, cut at message boundaries without copying.

use bytes::{Bytes, BytesMut};

use super::message::frame_size;
use crate::error::Error;

/// The size of a piece that is read and handed over at once, unless a single message is larger.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// Less free space than this in the buffer, and it is made anew.
const READ_MIN_BYTES: usize = 64 * 1024;

/// A buffer of which `filled` bytes hold data, and the first `whole` of these are whole messages.
pub(super) struct Inbox {
    buffer: BytesMut,
    filled: usize,
    whole: usize,
}

impl Inbox {
    /// Begins with what was read before.
    pub(super) fn new(buffer: BytesMut) -> Self {
        let filled = buffer.len();
        Self { buffer, filled, whole: 0 }
    }

    /// The size of the whole messages at the head.
    pub(super) fn whole(&self) -> usize {
        self.whole
    }

    /// The next message behind the whole ones, if all of it is there; [`Inbox::step`] goes past it.
    pub(super) fn peek(&self) -> Result<Option<(u8, &[u8])>, Error> {
        let rest = &self.buffer[self.whole..self.filled];
        let size = frame_size(rest)?.filter(|size| *size <= rest.len());
        Ok(size.map(|size| (rest[0], &rest[5..size])))
    }

    /// Counts the message of [`Inbox::peek`], whose body has this size, among the whole ones.
    pub(super) fn step(&mut self, body: usize) {
        self.whole += body + 5;
    }

    /// Forgets what comes behind the whole messages.
    pub(super) fn cut_rest(&mut self) {
        self.filled = self.whole;
    }

    /// Takes the whole messages out.
    pub(super) fn take(&mut self) -> Bytes {
        let bytes = self.buffer.split_to(self.whole).freeze();
        self.filled -= self.whole;
        self.whole = 0;
        bytes
    }

    /// All that is left, for one who wants no pieces any more.
    pub(super) fn rest(&mut self) -> BytesMut {
        let rest = BytesMut::from(&self.buffer[..self.filled]);
        (self.filled, self.whole) = (0, 0);
        rest
    }

    /// How many bytes may be read now: up to a piece, or to the end of a first message that is larger.
    pub(super) fn wanted(&self) -> usize {
        let first = if self.whole == 0 { frame_size(&self.buffer[..self.filled]).ok().flatten() } else { None };
        first.unwrap_or(0).max(CHUNK_BYTES).saturating_sub(self.filled)
    }

    /// Space to read into; [`Inbox::fill`] says how much was read. Never empty while something is wanted.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let wanted = self.wanted();
        if self.buffer.len() - self.filled < wanted.min(READ_MIN_BYTES) {
            let mut fresh = BytesMut::zeroed(self.filled + wanted);
            fresh[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = fresh;
        }
        let end = self.buffer.len().min(self.filled + wanted);
        &mut self.buffer[self.filled..end]
    }

    /// So many bytes were read into the space.
    pub(super) fn fill(&mut self, count: usize) {
        self.filled += count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(size: usize) -> Vec<u8> {
        let mut bytes = vec![b'd'];
        bytes.extend_from_slice(&u32::try_from(size + 4).unwrap().to_be_bytes());
        bytes.resize(size + 5, 7);
        bytes
    }

    proptest! {
        #[test]
        fn what_is_read_comes_out_whole_and_in_order(
            sizes in proptest::collection::vec(prop_oneof![0usize..400, 300_000usize..700_000], 1..12),
            step in 1usize..200_000,
            take_late: bool,
        ) {
            let input: Vec<u8> = sizes.iter().flat_map(|size| message(*size)).collect();
            let mut inbox = Inbox::new(BytesMut::new());
            let (mut at, mut output, mut seen) = (0, Vec::new(), Vec::new());
            while output.len() < input.len() {
                if inbox.wanted() > 0 && at < input.len() {
                    let space = inbox.space();
                    prop_assert!(!space.is_empty());
                    let count = space.len().min(step).min(input.len() - at);
                    space[..count].copy_from_slice(&input[at..at + count]);
                    inbox.fill(count);
                    at += count;
                }
                while let Some((_, body)) = inbox.peek().unwrap() {
                    let size = body.len();
                    seen.push(size);
                    inbox.step(size);
                }
                if !take_late || inbox.wanted() == 0 || at == input.len() {
                    output.extend_from_slice(&inbox.take());
                }
            }
            prop_assert_eq!(seen, sizes);
            prop_assert!(output == input);
        }
    }
}
