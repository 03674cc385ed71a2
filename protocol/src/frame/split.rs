//! Frames out of the bytes of a connection.

use super::PREFIX;
use crate::runtime::{DecodeError, DecodeErrorKind, ForeignProtocol};

/// A frame without its length, and the bytes that follow it.
pub type Split<'a> = (&'a [u8], &'a [u8]);

/// Takes the first frame off the bytes that have come so far: the frame without its length, and
/// what follows it. `None` means that more bytes are needed.
///
/// Four bytes within `max_len` are always taken for a length, so a limit far above
/// [`DEFAULT_MAX_LEN`](super::DEFAULT_MAX_LEN) lets other protocols wait for bytes that never come.
///
/// # Errors
/// When the length is negative or over `max_len`; the error says so if the bytes are those of TLS
/// or HTTP (KIP-498). The connection has to be closed then, as no next frame can be found.
pub fn split_frame(buffer: &[u8], max_len: usize) -> Result<Option<Split<'_>>, DecodeError> {
    let Some((prefix, rest)) = buffer.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let len = i32::from_be_bytes(*prefix);
    match usize::try_from(len) {
        Ok(len) if len <= max_len => Ok(rest.split_at_checked(len)),
        _ => Err(frame_length(*prefix, max_len)),
    }
}

#[cold]
fn frame_length(prefix: [u8; PREFIX], limit: usize) -> DecodeError {
    let looks_like = match &prefix {
        // Alert, handshake and so on, of SSL 3.0 to TLS 1.3.
        [0x14..=0x17, 3, 0..=4, _] => Some(ForeignProtocol::Tls),
        b"GET " | b"HEAD" | b"POST" | b"PUT " | b"DELE" | b"CONN" | b"OPTI" | b"TRAC" | b"PATC"
        | b"PRI " | b"HTTP" => Some(ForeignProtocol::Http),
        _ => None,
    };
    let len = i32::from_be_bytes(prefix);
    DecodeError::new(
        DecodeErrorKind::FrameLength {
            len,
            limit,
            looks_like,
        },
        0,
    )
}
