use std::io::{ErrorKind as IoErrorKind, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::Compression;
use super::output::Output;
use crate::records::error::ErrorKind;

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), ErrorKind> {
    let mut output = Output::new(out, limit);
    let mut decoder = MultiGzDecoder::new(input);
    loop {
        match decoder.read(output.spare()) {
            Ok(0) => break,
            Ok(len) => output.advance(len)?,
            Err(error) if error.kind() == IoErrorKind::Interrupted => {}
            Err(error) => {
                let reason = match error.kind() {
                    IoErrorKind::UnexpectedEof => "stream ends early",
                    _ => "corrupt stream",
                };
                return Err(ErrorKind::Decompression {
                    compression: Compression::Gzip,
                    reason,
                });
            }
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
