//! The few backend messages that a replication connection sees (PostgreSQL's chapter "Message Formats").

use bytes::{Bytes, BytesMut};

use crate::error::{Error, ServerError};

/// No message of ours is larger: a field holds at most 1 GiB.
const LENGTH_MAX: usize = 0x7FFF_FFFF;
const HEADER: usize = 5;

/// The whole size of the message at the head of `bytes`; none until its header is there.
pub(crate) fn frame_size(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let Some(header) = bytes.get(..HEADER) else { return Ok(None) };
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if !(4..=LENGTH_MAX).contains(&length) {
        return Err(Error::Protocol(format!("message {:?} of length {length}", char::from(header[0]))));
    }
    Ok(Some(length + 1))
}

/// Cuts the first whole message off: its tag and its body.
pub(crate) fn cut(buffer: &mut BytesMut) -> Result<Option<(u8, Bytes)>, Error> {
    match frame_size(buffer)? {
        Some(size) if buffer.len() >= size => {
            let frame = buffer.split_to(size).freeze();
            Ok(Some((frame[0], frame.slice(HEADER..))))
        }
        _ => Ok(None),
    }
}

/// Cuts the first message off bytes that hold whole messages only.
pub(crate) fn cut_whole(bytes: &mut Bytes) -> Option<(u8, Bytes)> {
    let size = frame_size(bytes).ok().flatten().filter(|size| *size <= bytes.len())?;
    let frame = bytes.split_to(size);
    Some((frame[0], frame.slice(HEADER..)))
}

/// A text that ends with a zero byte, and what comes after it.
pub(crate) fn cut_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// The fields of an `ErrorResponse` or a `NoticeResponse`.
pub(crate) fn server_error(mut body: &[u8]) -> ServerError {
    let mut error = ServerError::default();
    while let Some((kind, rest)) = body.split_first()
        && let Some((text, rest)) = cut_text(rest)
    {
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = text,
            b'H' => error.hint = text,
            _ => {}
        }
        body = rest;
    }
    error
}

/// The columns of a `DataRow` as text.
pub(crate) fn data_row(body: &[u8]) -> Result<Vec<Option<String>>, Error> {
    let cut_off = || Error::Protocol("a row that is cut off".to_owned());
    let (count, mut rest) = body.split_first_chunk().ok_or_else(cut_off)?;
    let mut row = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk().ok_or_else(cut_off)?;
        rest = after;
        row.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => None,
            Ok(length) => {
                let (text, after) = rest.split_at_checked(length).ok_or_else(cut_off)?;
                rest = after;
                Some(String::from_utf8_lossy(text).into_owned())
            }
        });
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_response_is_read() {
        let error = server_error(b"SERROR\0C42704\0Mslot \"x\" does not exist\0Hmake it\0\0");
        assert_eq!((error.code.as_str(), error.hint.as_str()), ("42704", "make it"));
        assert_eq!(error.to_string(), "slot \"x\" does not exist (SQLSTATE 42704)");
    }

    #[test]
    fn a_row_is_read() {
        let row = data_row(b"\0\x02\0\0\0\x010\xff\xff\xff\xff").unwrap();
        assert_eq!(row, [Some("0".to_owned()), None]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = data_row(&bytes);
            let _ = server_error(&bytes);
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some((_, body))) = cut(&mut buffer) {
                prop_assert!(body.len() < bytes.len());
            }
        }
    }
}
