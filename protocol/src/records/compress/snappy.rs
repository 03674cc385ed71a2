use super::Compression;
use super::output::Output;
use crate::records::error::ErrorKind;
use crate::records::varint::Cursor;

/// What a stream of snappy-java starts with: its magic number, then version and least compatible
/// version, both 1.
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const MAGIC_LEN: usize = 8;
/// The start of the magic number, which read as a chunk's length is negative: another stream.
const MAGIC_AS_LEN: i32 = i32::from_be_bytes(*b"\x82SNA");
/// The input of one chunk, as snappy-java cuts it.
const CHUNK: usize = 32 * 1024;
/// The densest element makes 64 bytes of 3, so no block can grow by more than this.
const MAX_RATIO: usize = 22;

fn failed(reason: &'static str) -> ErrorKind {
    ErrorKind::Decompression {
        compression: Compression::Snappy,
        reason,
    }
}

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), ErrorKind> {
    let mut output = Output::new(out, limit);
    if input.get(..MAGIC_LEN) == HEADER.get(..MAGIC_LEN) {
        framed(input, &mut output)?;
    } else {
        // Clients other than Java's wrote, and some write, one block without framing.
        block(input, &mut output)?;
    }
    output.finish();
    Ok(())
}

fn framed(input: &[u8], output: &mut Output<'_>) -> Result<(), ErrorKind> {
    let truncated = |_| failed("stream ends early");
    let mut cursor = Cursor::new(input);
    cursor.take(HEADER.len()).map_err(truncated)?;
    while cursor.remaining() > 0 {
        let len = cursor.i32().map_err(truncated)?;
        if len == MAGIC_AS_LEN {
            cursor
                .take(HEADER.len() - size_of::<i32>())
                .map_err(truncated)?;
            continue;
        }
        let len = usize::try_from(len).map_err(|_| failed("negative chunk length"))?;
        let chunk = cursor
            .take(len)
            .map_err(|_| failed("chunk is longer than the input"))?;
        block(chunk, output)?;
    }
    Ok(())
}

fn block(input: &[u8], output: &mut Output<'_>) -> Result<(), ErrorKind> {
    let corrupt = |_| failed("corrupt block");
    if input.is_empty() {
        return Err(failed("empty block"));
    }
    let len = snap::raw::decompress_len(input).map_err(corrupt)?;
    if len > output.room() {
        return Err(output.too_long());
    }
    if len > input.len().saturating_mul(MAX_RATIO) {
        return Err(failed("declared length is beyond what the block can hold"));
    }
    let (_, target) = output.block(len);
    let len = snap::raw::Decoder::new()
        .decompress(input, target)
        .map_err(corrupt)?;
    output.advance(len)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorKind> {
    let failed = ErrorKind::CompressionFailed {
        compression: Compression::Snappy,
        reason: "the encoder failed",
    };
    out.extend_from_slice(&HEADER);
    let mut encoder = snap::raw::Encoder::new();
    for chunk in input.chunks(CHUNK) {
        let start = out.len() + size_of::<i32>();
        out.resize(start + snap::raw::max_compress_len(chunk.len()), 0);
        let (before, target) = out.split_at_mut(start);
        let len = encoder.compress(chunk, target).map_err(|_| failed)?;
        let prefix = u32::try_from(len).map_err(|_| failed)?.to_be_bytes();
        if let Some(field) = before.last_chunk_mut() {
            *field = prefix;
        }
        out.truncate(start + len);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(input: &[u8]) -> &'static str {
        match decompress(input, &mut Vec::new(), 1 << 20) {
            Err(ErrorKind::Decompression { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_raw_block_is_read() {
        let block = snap::raw::Encoder::new()
            .compress_vec(b"raw raw raw raw raw")
            .unwrap();
        let mut out = Vec::new();
        decompress(&block, &mut out, 19).unwrap();
        assert_eq!(out, b"raw raw raw raw raw");
    }

    #[test]
    fn chunk_lengths_are_not_believed() {
        for (len, expected) in [
            (-1, "negative chunk length"),
            (i32::MIN, "negative chunk length"),
            (i32::MAX, "chunk is longer than the input"),
            (4, "chunk is longer than the input"),
            (0, "empty block"),
        ] {
            let mut input = HEADER.to_vec();
            input.extend_from_slice(&i32::to_be_bytes(len));
            input.extend_from_slice(b"\x01\x00a");
            assert_eq!(reason(&input), expected, "{len}");
        }
    }

    #[test]
    fn a_declared_length_out_of_proportion_allocates_nothing() {
        let mut out = Vec::new();
        // 1,000,000 bytes declared, one literal byte there.
        let error = decompress(b"\xc0\x84\x3d\x00a", &mut out, 1 << 20).unwrap_err();
        assert!(
            matches!(error, ErrorKind::Decompression { .. }),
            "{error:?}"
        );
        assert_eq!(out.capacity(), 0);
        let error = decompress(b"\xc0\x84\x3d\x00a", &mut out, 1000).unwrap_err();
        assert_eq!(error, ErrorKind::DecompressedTooLong { limit: 1000 });
    }
}
