use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::Compression;
use super::output::Output;
use crate::records::error::ErrorKind;

/// Windows up to 8 MiB are always accepted, as the format's specification asks of a decoder.
const MIN_WINDOW_LOG: u32 = 23;
/// 128 MiB: the largest window of level 22, the highest that Kafka allows.
const MAX_WINDOW_LOG: u32 = 27;

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), ErrorKind> {
    let failed = |reason| ErrorKind::Decompression {
        compression: Compression::Zstd,
        reason,
    };
    let mut decoder = Decoder::new().map_err(|_| failed("no context"))?;
    // The decoder allocates a frame's window before any output appears, so a window much larger
    // than the output may be is refused.
    let window = limit.checked_ilog2().unwrap_or(0) + 1;
    let window = window.clamp(MIN_WINDOW_LOG, MAX_WINDOW_LOG);
    let parameter = DParameter::WindowLogMax(window);
    decoder
        .set_parameter(parameter)
        .map_err(|_| failed("no window limit"))?;

    let mut output = Output::new(out, limit);
    let mut rest = input;
    loop {
        let spare = output.spare();
        let len = spare.len();
        let status = decoder
            .run_on_buffers(rest, spare)
            .map_err(|_| failed("corrupt stream"))?;
        output.advance(status.bytes_written)?;
        rest = rest.get(status.bytes_read..).unwrap_or_default();
        if rest.is_empty() {
            if status.remaining == 0 {
                break;
            }
            // All input is in. A spare slice left unfilled says that all output is out, too.
            if status.bytes_written < len {
                return Err(failed("stream ends early"));
            }
        } else if status.bytes_read == 0 && status.bytes_written == 0 {
            return Err(failed("no progress"));
        }
    }
    output.finish();
    Ok(())
}

pub(super) fn compress(
    input: &[u8],
    level: Option<i32>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    let failed = |reason| ErrorKind::CompressionFailed {
        compression: Compression::Zstd,
        reason,
    };
    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
    if !zstd::compression_level_range().contains(&level) {
        return Err(failed("there is no such level"));
    }
    let mut compressor = zstd::bulk::Compressor::new(level).map_err(|_| failed("no context"))?;
    let start = out.len();
    let bound = zstd::zstd_safe::compress_bound(input.len());
    out.resize(start + bound, 0);
    let target = out.get_mut(start..).unwrap_or_default();
    let len = compressor
        .compress_to_buffer(input, target)
        .map_err(|_| failed("the encoder failed"))?;
    out.truncate(start + len);
    Ok(())
}
