//! The codecs of the records section.
//!
//! No codec believes a declared length: the output grows as bytes appear, and reading stops at
//! [`Limits::max_decompressed_len`]. Concatenated streams are read as one, as Java does; anything
//! else after the end of the stream is an error.

use std::fmt;

use super::Limits;
use super::error::{Error, ErrorKind};

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(any(
    feature = "gzip",
    feature = "lz4",
    feature = "snappy",
    feature = "zstd"
))]
mod output;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

/// The compression of a batch's records section.
///
/// Every variant exists in every build, so that a batch can be forwarded whose codec is not
/// compiled in; reading its records is then [`ErrorKind::CodecNotCompiledIn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// Gzip (code 1).
    Gzip,
    /// Snappy (code 2), in the framing of Java's snappy streams when writing.
    Snappy,
    /// LZ4 frames (code 3).
    Lz4,
    /// Zstandard (code 4); magic 2 only.
    Zstd,
}

impl Compression {
    /// Every codec, in the order of their codes.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    pub(crate) fn from_code(code: u8) -> Result<Self, ErrorKind> {
        let found = Self::ALL.get(usize::from(code)).copied();
        found.ok_or(ErrorKind::UnknownCompression(code))
    }

    /// The code in the attributes of a batch.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name in Kafka's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Whether this build of the crate can read and write it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::None => true,
            Self::Gzip => cfg!(feature = "gzip"),
            Self::Snappy => cfg!(feature = "snappy"),
            Self::Lz4 => cfg!(feature = "lz4"),
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }

    /// Appends the decompressed form of `input` to `out`. What that takes in memory is said at
    /// [`Limits::max_decompressed_len`].
    ///
    /// # Errors
    /// [`ErrorKind::DecompressedTooLong`], [`ErrorKind::Decompression`] or
    /// [`ErrorKind::CodecNotCompiledIn`]; `out` is then as before.
    pub fn decompress(self, input: &[u8], out: &mut Vec<u8>, limits: &Limits) -> Result<(), Error> {
        Ok(decompress(
            self,
            Lz4Checksum::Standard,
            input,
            out,
            limits.max_decompressed_len,
        )?)
    }

    /// Appends the compressed form of `input` to `out`, at `level` if the codec has levels (gzip 0
    /// to 9, zstd -131072 to 22; 6 and 3 if there is none).
    ///
    /// # Errors
    /// [`ErrorKind::CodecNotCompiledIn`] or [`ErrorKind::CompressionFailed`]; `out` is then as
    /// before.
    pub fn compress(
        self,
        input: &[u8],
        level: Option<i32>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        Ok(compress(self, Lz4Checksum::Standard, input, level, out)?)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the header checksum of an LZ4 frame is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lz4Checksum {
    /// As in the specification.
    Standard,
    /// The first clients, which wrote magic 0, took the frame's magic number into it: it is
    /// written so for them, and not checked.
    Magic0,
}

pub(crate) fn decompress(
    compression: Compression,
    checksum: Lz4Checksum,
    input: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), ErrorKind> {
    let start = out.len();
    let done = decompress_inner(compression, checksum, input, out, limit);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

#[cfg_attr(
    not(feature = "lz4"),
    expect(unused_variables, reason = "only lz4 needs it")
)]
fn decompress_inner(
    compression: Compression,
    checksum: Lz4Checksum,
    input: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), ErrorKind> {
    match compression {
        Compression::None if input.len() > limit => Err(ErrorKind::DecompressedTooLong { limit }),
        Compression::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        #[cfg(feature = "gzip")]
        Compression::Gzip => gzip::decompress(input, out, limit),
        #[cfg(feature = "snappy")]
        Compression::Snappy => snappy::decompress(input, out, limit),
        #[cfg(feature = "lz4")]
        Compression::Lz4 => lz4::decompress(input, checksum, out, limit),
        #[cfg(feature = "zstd")]
        Compression::Zstd => zstd::decompress(input, out, limit),
        #[allow(
            unreachable_patterns,
            reason = "reached when a codec is not compiled in"
        )]
        other => Err(ErrorKind::CodecNotCompiledIn(other)),
    }
}

pub(crate) fn compress(
    compression: Compression,
    checksum: Lz4Checksum,
    input: &[u8],
    level: Option<i32>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    let start = out.len();
    let done = compress_inner(compression, checksum, input, level, out);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

#[allow(unused_variables, reason = "not every codec has levels or a checksum")]
fn compress_inner(
    compression: Compression,
    checksum: Lz4Checksum,
    input: &[u8],
    level: Option<i32>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    match compression {
        Compression::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        #[cfg(feature = "gzip")]
        Compression::Gzip => gzip::compress(input, level, out),
        #[cfg(feature = "snappy")]
        Compression::Snappy => snappy::compress(input, out),
        #[cfg(feature = "lz4")]
        Compression::Lz4 => lz4::compress(input, checksum, out),
        #[cfg(feature = "zstd")]
        Compression::Zstd => zstd::compress(input, level, out),
        #[allow(
            unreachable_patterns,
            reason = "reached when a codec is not compiled in"
        )]
        other => Err(ErrorKind::CodecNotCompiledIn(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Vec<Vec<u8>> {
        let mut noise = 1_u64;
        let mut random = |_| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (noise >> 56) as u8
        };
        vec![
            vec![],
            vec![7],
            b"abc".repeat(10),
            (0..300_000).map(&mut random).collect(),
            (0..300_000).map(|at| (at % 251) as u8).collect(),
            vec![0; 200_000],
        ]
    }

    #[test]
    #[cfg_attr(miri, ignore = "interpreted, its hundreds of kilobytes take hours")]
    fn what_is_compressed_comes_back_and_stops_at_the_limit() {
        for compression in Compression::ALL {
            if !compression.is_available() {
                continue;
            }
            for input in inputs() {
                let mut small = b"before".to_vec();
                compression.compress(&input, None, &mut small).unwrap();
                let mut back = b"kept".to_vec();
                let exact = Limits {
                    max_decompressed_len: input.len(),
                    ..Limits::default()
                };
                compression
                    .decompress(&small[6..], &mut back, &exact)
                    .unwrap();
                assert_eq!(&back[..4], b"kept", "{compression}");
                assert!(back[4..] == input, "{compression}, {} bytes", input.len());

                if input.is_empty() {
                    continue;
                }
                let limit = input.len() - 1;
                let less = Limits {
                    max_decompressed_len: limit,
                    ..Limits::default()
                };
                let mut back = b"kept".to_vec();
                let error = compression
                    .decompress(&small[6..], &mut back, &less)
                    .unwrap_err();
                assert_eq!(
                    error.kind(),
                    ErrorKind::DecompressedTooLong { limit },
                    "{compression}"
                );
                assert_eq!(back, b"kept");
            }
        }
    }

    #[test]
    fn every_truncation_and_trailing_garbage_is_refused() {
        for compression in &Compression::ALL[1..] {
            if !compression.is_available() {
                continue;
            }
            let input = b"some words, then some words, and some more words".repeat(20);
            let mut small = Vec::new();
            compression.compress(&input, None, &mut small).unwrap();
            let mut back = Vec::new();
            let mut refused = |bytes: &[u8]| {
                let result = compression.decompress(bytes, &mut back, &Limits::default());
                match result.map_err(|error| error.kind()) {
                    Err(ErrorKind::Decompression {
                        compression: of, ..
                    }) => of == *compression,
                    _ => false,
                }
            };
            // The framing of snappy has no end mark: cut between its chunks, nothing is amiss.
            let first = if *compression == Compression::Snappy {
                17
            } else {
                1
            };
            for end in first..small.len() {
                assert!(refused(&small[..end]), "{compression} cut at {end}");
            }
            small.extend_from_slice(b"\x01\x02\x03");
            assert!(refused(&small), "{compression} with garbage");
        }
    }

    #[test]
    fn concatenated_streams_are_one() {
        for compression in Compression::ALL {
            if !compression.is_available() {
                continue;
            }
            let mut small = Vec::new();
            compression.compress(b"one, ", None, &mut small).unwrap();
            compression.compress(b"two", None, &mut small).unwrap();
            let mut back = Vec::new();
            compression
                .decompress(&small, &mut back, &Limits::default())
                .unwrap();
            assert_eq!(back, b"one, two", "{compression}");
        }
    }

    #[test]
    fn a_codec_that_is_not_compiled_in_says_so() {
        for compression in Compression::ALL {
            let mut out = Vec::new();
            let written = compression.compress(b"x", None, &mut out);
            let missing = written
                .is_err_and(|error| error.kind() == ErrorKind::CodecNotCompiledIn(compression));
            assert_eq!(missing, !compression.is_available(), "{compression}");
        }
    }
}
