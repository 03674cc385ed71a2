//! LZ4 frames over the block codec, so that blocks are decoded straight into the output, a frame
//! cut short is noticed and the checksum of magic 0 can be as it was.

use lz4_flex::block::{
    CompressTable, DecompressError, compress_into_with_table, decompress_into,
    decompress_into_with_dict, get_maximum_output_size,
};
use twox_hash::XxHash32;

use super::output::Output;
use super::{Compression, Lz4Checksum};
use crate::records::error::ErrorKind;
use crate::records::varint::Cursor;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// Version 1, independent blocks, no checksums; blocks of at most 64 KiB. As Java writes it.
const DESCRIPTOR: [u8; 2] = [0x60, 0x40];
const BLOCK: usize = 64 * 1024;
/// The distance a match can reach back to.
const WINDOW: usize = 64 * 1024;
const UNCOMPRESSED: u32 = 1 << 31;
/// A byte of a match's length stands for 255 bytes, so no block can grow by more than this.
const MAX_RATIO: usize = 255;

fn failed(reason: &'static str) -> ErrorKind {
    ErrorKind::Decompression {
        compression: Compression::Lz4,
        reason,
    }
}

fn truncated(_: ErrorKind) -> ErrorKind {
    failed("frame ends early")
}

pub(super) fn decompress(
    input: &[u8],
    checksum: Lz4Checksum,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), ErrorKind> {
    let mut output = Output::new(out, limit);
    let mut cursor = Cursor::new(input);
    loop {
        frame(&mut cursor, checksum, &mut output)?;
        if cursor.remaining() == 0 {
            break;
        }
    }
    output.finish();
    Ok(())
}

/// The frame descriptor.
struct Descriptor {
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    content_len: Option<u64>,
    max_block: usize,
}

fn little_u32(cursor: &mut Cursor<'_>) -> Result<u32, ErrorKind> {
    cursor.u32().map(u32::swap_bytes).map_err(truncated)
}

fn descriptor(cursor: &mut Cursor<'_>, checksum: Lz4Checksum) -> Result<Descriptor, ErrorKind> {
    if cursor.take(MAGIC.len()).map_err(truncated)? != MAGIC {
        return Err(failed("no frame's magic number"));
    }
    let hashed = cursor.rest();
    let before = cursor.position();
    let &[flags, sizes] = cursor.take(2).map_err(truncated)? else {
        return Err(failed("frame ends early"));
    };
    if flags >> 6 != 1 {
        return Err(failed("unknown frame version"));
    }
    if flags & 0x02 != 0 || sizes & 0x8f != 0 {
        return Err(failed("reserved bits are set"));
    }
    if flags & 0x01 != 0 {
        return Err(failed("frame needs a dictionary"));
    }
    let max_block = match sizes >> 4 {
        code @ 4..=7 => 1_usize << (8 + 2 * code),
        _ => return Err(failed("unknown block size")),
    };
    let content_len = match flags & 0x08 {
        0 => None,
        _ => Some(
            cursor
                .i64()
                .map_err(truncated)?
                .cast_unsigned()
                .swap_bytes(),
        ),
    };
    let hashed = hashed.get(..cursor.position() - before).unwrap_or_default();
    let stored = cursor.i8().map_err(truncated)?.cast_unsigned();
    if checksum == Lz4Checksum::Standard && stored != header_checksum(hashed) {
        return Err(failed("wrong header checksum"));
    }
    Ok(Descriptor {
        linked: flags & 0x20 == 0,
        block_checksums: flags & 0x10 != 0,
        content_checksum: flags & 0x04 != 0,
        content_len,
        max_block,
    })
}

fn header_checksum(bytes: &[u8]) -> u8 {
    (XxHash32::oneshot(0, bytes) >> 8) as u8
}

fn frame(
    cursor: &mut Cursor<'_>,
    checksum: Lz4Checksum,
    output: &mut Output<'_>,
) -> Result<(), ErrorKind> {
    let descriptor = descriptor(cursor, checksum)?;
    let frame_start = output.written();
    loop {
        let len = little_u32(cursor)?;
        if len == 0 {
            break;
        }
        let plain = len & UNCOMPRESSED != 0;
        let len = (len & !UNCOMPRESSED) as usize;
        if len > descriptor.max_block {
            return Err(failed("block is longer than the frame allows"));
        }
        let block = cursor.take(len).map_err(truncated)?;
        if descriptor.block_checksums && little_u32(cursor)? != XxHash32::oneshot(0, block) {
            return Err(failed("wrong block checksum"));
        }
        let written = if plain {
            if len > output.room() {
                return Err(output.too_long());
            }
            output.block(len).1.copy_from_slice(block);
            len
        } else {
            compressed_block(block, &descriptor, frame_start, output)?
        };
        output.advance(written)?;
    }
    let (all, _) = output.block(0);
    let content = all.get(frame_start..).unwrap_or_default();
    if descriptor
        .content_len
        .is_some_and(|declared| declared != content.len() as u64)
    {
        return Err(failed("wrong content length"));
    }
    if descriptor.content_checksum && little_u32(cursor)? != XxHash32::oneshot(0, content) {
        return Err(failed("wrong content checksum"));
    }
    Ok(())
}

fn compressed_block(
    block: &[u8],
    descriptor: &Descriptor,
    frame_start: usize,
    output: &mut Output<'_>,
) -> Result<usize, ErrorKind> {
    let possible = descriptor
        .max_block
        .min(block.len().saturating_mul(MAX_RATIO));
    let room = output.room();
    let too_long = output.too_long();
    let (written, target) = output.block(possible.min(room));
    let window = if descriptor.linked {
        let frame = written.get(frame_start..).unwrap_or_default();
        frame
            .get(frame.len().saturating_sub(WINDOW)..)
            .unwrap_or_default()
    } else {
        &[]
    };
    let decoded = match window {
        [] => decompress_into(block, target),
        window => decompress_into_with_dict(block, target, window),
    };
    decoded.map_err(|error| match error {
        DecompressError::OutputTooSmall { .. } if room < possible => too_long,
        _ => failed("corrupt block"),
    })
}

pub(super) fn compress(
    input: &[u8],
    checksum: Lz4Checksum,
    out: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    let failed = ErrorKind::CompressionFailed {
        compression: Compression::Lz4,
        reason: "the encoder failed",
    };
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&DESCRIPTOR);
    let hashed = match checksum {
        Lz4Checksum::Standard => start + MAGIC.len(),
        Lz4Checksum::Magic0 => start,
    };
    out.push(header_checksum(out.get(hashed..).unwrap_or_default()));
    let mut table = CompressTable::default();
    for chunk in input.chunks(BLOCK) {
        let start = out.len() + size_of::<u32>();
        out.resize(start + get_maximum_output_size(chunk.len()), 0);
        let (before, target) = out.split_at_mut(start);
        let len = compress_into_with_table(chunk, target, &mut table).map_err(|_| failed)?;
        let compressed = len < chunk.len();
        if let Some(field) = before.last_chunk_mut() {
            let len = if compressed {
                len as u32
            } else {
                chunk.len() as u32 | UNCOMPRESSED
            };
            *field = len.to_le_bytes();
        }
        if compressed {
            out.truncate(start + len);
        } else {
            out.truncate(start);
            out.extend_from_slice(chunk);
        }
    }
    out.extend_from_slice(&[0; 4]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of two linked blocks: eight literals, then a match of eight that reaches back into
    /// the first block, and five literals.
    fn linked(flags: u8, content_len: Option<u64>, content_checksum: Option<u32>) -> Vec<u8> {
        let mut frame = MAGIC.to_vec();
        frame.extend_from_slice(&[flags, 0x40]);
        frame.extend(content_len.into_iter().flat_map(u64::to_le_bytes));
        frame.push(header_checksum(&frame[4..]));
        frame.extend_from_slice(b"\x08\0\0\x80abcdefgh");
        frame.extend_from_slice(b"\x09\0\0\0\x04\x08\x00\x50vwxyz");
        frame.extend_from_slice(&[0; 4]);
        frame.extend(content_checksum.into_iter().flat_map(u32::to_le_bytes));
        frame
    }

    const CONTENT: &[u8] = b"abcdefghabcdefghvwxyz";

    fn read(frame: &[u8]) -> Result<Vec<u8>, ErrorKind> {
        let mut out = b"0123456789".to_vec();
        decompress(frame, Lz4Checksum::Standard, &mut out, 1000)?;
        Ok(out.split_off(10))
    }

    #[test]
    fn linked_blocks_and_every_optional_field() {
        assert_eq!(read(&linked(0x40, None, None)).unwrap(), CONTENT);
        let hash = XxHash32::oneshot(0, CONTENT);
        assert_eq!(read(&linked(0x4c, Some(21), Some(hash))).unwrap(), CONTENT);
        // Matches do not reach from one frame into another.
        let mut two = linked(0x40, None, None);
        two.extend(linked(0x40, None, None));
        assert_eq!(read(&two).unwrap(), [CONTENT, CONTENT].concat());
    }

    #[test]
    fn what_does_not_agree_is_refused() {
        let hash = XxHash32::oneshot(0, CONTENT);
        let mut block_checksum = linked(0x50, None, None);
        block_checksum.splice(19..19, XxHash32::oneshot(1, b"abcdefgh").to_le_bytes());
        for (frame, reason) in [
            (linked(0x4c, Some(22), Some(hash)), "wrong content length"),
            (
                linked(0x4c, Some(21), Some(hash ^ 1)),
                "wrong content checksum",
            ),
            (block_checksum, "wrong block checksum"),
            // Independent blocks: the match has nothing to reach back to.
            (linked(0x60, None, None), "corrupt block"),
            (linked(0x41, None, None), "frame needs a dictionary"),
            (linked(0x42, None, None), "reserved bits are set"),
            (linked(0x80, None, None), "unknown frame version"),
        ] {
            let error = ErrorKind::Decompression {
                compression: Compression::Lz4,
                reason,
            };
            assert_eq!(read(&frame), Err(error));
        }
    }

    #[test]
    fn only_magic_0_may_have_another_header_checksum() {
        let mut frame = Vec::new();
        compress(CONTENT, Lz4Checksum::Magic0, &mut frame).unwrap();
        assert_eq!(&frame[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x1a]);
        let reason = "wrong header checksum";
        let error = ErrorKind::Decompression {
            compression: Compression::Lz4,
            reason,
        };
        assert_eq!(read(&frame), Err(error));
        let mut out = Vec::new();
        decompress(&frame, Lz4Checksum::Magic0, &mut out, 21).unwrap();
        assert_eq!(out, CONTENT);
    }

    #[test]
    fn a_tiny_block_does_not_make_room_for_a_whole_one() {
        let mut frame = MAGIC.to_vec();
        // Blocks of up to 4 MiB.
        frame.extend_from_slice(&[0x60, 0x70]);
        frame.push(header_checksum(&frame[4..]));
        frame.extend_from_slice(b"\x02\0\0\0\x10a\0\0\0\0");
        let mut out = Vec::new();
        decompress(&frame, Lz4Checksum::Standard, &mut out, 64 << 20).unwrap();
        assert_eq!(out, b"a");
        assert!(out.capacity() < 1024, "{}", out.capacity());
    }
}
