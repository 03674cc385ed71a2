//! Members of gzip, taken apart here: a decoder that keeps the texts of a member's header
//! allocates for bytes that nobody asked for, and that no limit counts.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::Compression;
use super::output::Output;
use crate::records::error::ErrorKind;
use crate::records::varint::Cursor;

/// The magic number, and deflate, the only method.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Time, extra flags and operating system.
const IGNORED: usize = 6;
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;

fn failed(reason: &'static str) -> ErrorKind {
    ErrorKind::Decompression {
        compression: Compression::Gzip,
        reason,
    }
}

fn corrupt() -> ErrorKind {
    failed("corrupt stream")
}

fn truncated(_: ErrorKind) -> ErrorKind {
    failed("stream ends early")
}

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), ErrorKind> {
    let mut output = Output::new(out, limit);
    let mut inflate = Decompress::new(false);
    let mut cursor = Cursor::new(input);
    loop {
        header(&mut cursor)?;
        let crc = body(&mut cursor, &mut inflate, &mut output)?;
        let (sum, len) = (little_u32(&mut cursor)?, little_u32(&mut cursor)?);
        if (sum, len) != (crc.sum(), crc.amount()) {
            return Err(corrupt());
        }
        if cursor.remaining() == 0 {
            break;
        }
        inflate.reset(false);
    }
    output.finish();
    Ok(())
}

fn little_u32(cursor: &mut Cursor<'_>) -> Result<u32, ErrorKind> {
    cursor.u32().map(u32::swap_bytes).map_err(truncated)
}

fn little_u16(cursor: &mut Cursor<'_>) -> Result<u16, ErrorKind> {
    match *cursor.take(2).map_err(truncated)? {
        [low, high] => Ok(u16::from_le_bytes([low, high])),
        _ => Err(corrupt()),
    }
}

/// Passes the header of a member.
fn header(cursor: &mut Cursor<'_>) -> Result<(), ErrorKind> {
    let (all, start) = (cursor.rest(), cursor.position());
    if cursor.take(MAGIC.len()).map_err(truncated)? != MAGIC {
        return Err(corrupt());
    }
    let flags = cursor.i8().map_err(truncated)?.cast_unsigned();
    if flags & RESERVED != 0 {
        return Err(corrupt());
    }
    cursor.take(IGNORED).map_err(truncated)?;
    if flags & EXTRA != 0 {
        let len = little_u16(cursor)?;
        cursor.take(len.into()).map_err(truncated)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = cursor.rest().iter().position(|byte| *byte == 0);
            let len = end.ok_or(failed("stream ends early"))? + 1;
            cursor.take(len).map_err(truncated)?;
        }
    }
    if flags & HEADER_CRC != 0 {
        let mut crc = Crc::new();
        crc.update(all.get(..cursor.position() - start).unwrap_or_default());
        if little_u16(cursor)? != crc.sum() as u16 {
            return Err(corrupt());
        }
    }
    Ok(())
}

/// Inflates the body of a member, and gives the checksum of what comes out.
fn body(
    cursor: &mut Cursor<'_>,
    inflate: &mut Decompress,
    output: &mut Output<'_>,
) -> Result<Crc, ErrorKind> {
    let mut crc = Crc::new();
    loop {
        let (read, written) = (inflate.total_in(), inflate.total_out());
        let spare = output.spare();
        let status = inflate
            .decompress(cursor.rest(), spare, FlushDecompress::None)
            .map_err(|_| corrupt())?;
        let read = (inflate.total_in() - read) as usize;
        let written = (inflate.total_out() - written) as usize;
        crc.update(spare.get(..written).unwrap_or_default());
        output.advance(written)?;
        cursor.take(read).map_err(truncated)?;
        match status {
            Status::StreamEnd => return Ok(crc),
            _ if read == 0 && written == 0 => return Err(failed("stream ends early")),
            _ => {}
        }
    }
}

pub(super) fn compress(
    input: &[u8],
    level: Option<i32>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    let failed = |reason| ErrorKind::CompressionFailed {
        compression: Compression::Gzip,
        reason,
    };
    let level = match level {
        None => flate2::Compression::default(),
        Some(level) => match u32::try_from(level) {
            Ok(level @ 0..=9) => flate2::Compression::new(level),
            _ => return Err(failed("the level is not in 0 to 9")),
        },
    };
    let mut encoder = GzEncoder::new(out, level);
    encoder
        .write_all(input)
        .map_err(|_| failed("the encoder failed"))?;
    encoder.finish().map_err(|_| failed("the encoder failed"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::GzBuilder;

    use super::*;

    /// A member with everything that a header may have.
    fn member(text: usize, content: &[u8]) -> Vec<u8> {
        let builder = GzBuilder::new()
            .extra(vec![1; text.min(0xffff)])
            .filename(vec![b'n'; text])
            .comment(vec![b'c'; text]);
        let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        let mut member = encoder.finish().unwrap();
        // The checksum of the header, which the builder does not write.
        member[3] |= HEADER_CRC;
        let end = 10 + 2 + text.min(0xffff) + 2 * (text + 1);
        let mut crc = Crc::new();
        crc.update(&member[..end]);
        member.splice(end..end, (crc.sum() as u16).to_le_bytes());
        member
    }

    #[test]
    fn headers_are_passed() {
        for text in [0, 1, 300, 100_000] {
            let bytes = [member(text, b"one, "), member(text, b"two")].concat();
            let mut out = b"kept ".to_vec();
            decompress(&bytes, &mut out, 8).unwrap();
            assert_eq!(out, b"kept one, two");
        }
    }

    #[test]
    fn every_byte_of_a_header_counts() {
        let whole = member(3, b"content");
        let refused = |bytes: &[u8]| decompress(bytes, &mut Vec::new(), 100).unwrap_err();
        for end in 0..whole.len() {
            assert_eq!(refused(&whole[..end]), failed("stream ends early"), "{end}");
        }
        // Up to its checksum; the last byte of the body has bits that mean nothing.
        for at in 0..10 + 2 + 3 + 2 * 4 + 2 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x80;
            assert!(
                matches!(refused(&bytes), ErrorKind::Decompression { .. }),
                "{at}"
            );
        }
    }
}
