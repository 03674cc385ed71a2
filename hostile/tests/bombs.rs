//! A few bytes that decompress to a gibibyte, in every codec and every framing.

use kwire_hostile::cost::{self, Cost};
use kwire_protocol::records::{Batches, Compression, ErrorKind, Limits};

const GIB: usize = 1 << 30;

/// What a codec allocates besides the output. That of zstd is on the heap of C, which the counting
/// allocator does not see: `the_window_of_zstd` looks at it.
const DECODER: u64 = 64 << 10;

fn limits(max_decompressed_len: usize) -> Limits {
    Limits {
        max_decompressed_len,
        ..Limits::default()
    }
}

/// A chunk of zeros, compressed as `compression` does.
fn chunk(compression: Compression, len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    compression.compress(&vec![0; len], None, &mut out).unwrap();
    out
}

/// Many members, frames or streams of 4 MiB each, one behind the other.
fn concatenated(compression: Compression) -> Vec<u8> {
    const CHUNK: usize = 4 << 20;
    chunk(compression, CHUNK).repeat(GIB / CHUNK)
}

/// One member whose deflate stream has no end.
fn one_gzip_member() -> Vec<u8> {
    const CHUNK: usize = 4 << 20;
    let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
    let mut block = Vec::with_capacity(64 << 10);
    deflate
        .compress_vec(&vec![0; CHUNK], &mut block, flate2::FlushCompress::Full)
        .unwrap();
    [
        &b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..],
        &block.repeat(GIB / CHUNK),
    ]
    .concat()
}

/// One block without framing: a literal, then copies of 64 bytes, which take three each.
fn raw_snappy() -> Vec<u8> {
    let mut out = Vec::new();
    let mut len = 1 + GIB / 64 * 64;
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.extend([len as u8, 0, 0]);
    out.extend([0xfe, 1, 0].repeat(GIB / 64));
    out
}

/// One frame of blocks of 4 MiB.
fn one_lz4_frame() -> Vec<u8> {
    const BLOCK: usize = 4 << 20;
    let mut block = vec![0x1f, 0, 1, 0];
    block.extend(vec![0xff; BLOCK / 255 - 1]);
    block.extend([100, 0x50, 0, 0, 0, 0, 0]);
    let mut out = vec![4, 0x22, 0x4d, 0x18, 0x60, 0x70];
    out.push((twox_hash::XxHash32::oneshot(0, &out[4..]) >> 8) as u8);
    let sized = [&(block.len() as u32).to_le_bytes()[..], &block].concat();
    out.extend(sized.repeat(GIB / BLOCK + 1));
    out
}

/// One frame of blocks that repeat one byte 128 Ki times, in a window of 1 MiB.
fn one_zstd_frame() -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (20 - 10) << 3];
    let block = BLOCK << 3 | 1 << 1;
    let repeated = [&block.to_le_bytes()[..3], &[0]].concat();
    out.extend(repeated.repeat(GIB / BLOCK as usize));
    out
}

fn bombs() -> Vec<(&'static str, Compression, Vec<u8>)> {
    vec![
        ("gzip, one member", Compression::Gzip, one_gzip_member()),
        (
            "gzip, many members",
            Compression::Gzip,
            concatenated(Compression::Gzip),
        ),
        ("snappy, one block", Compression::Snappy, raw_snappy()),
        (
            "snappy, xerial chunks",
            Compression::Snappy,
            concatenated(Compression::Snappy),
        ),
        ("lz4, one frame", Compression::Lz4, one_lz4_frame()),
        (
            "lz4, many frames",
            Compression::Lz4,
            concatenated(Compression::Lz4),
        ),
        ("zstd, one frame", Compression::Zstd, one_zstd_frame()),
        (
            "zstd, many frames",
            Compression::Zstd,
            concatenated(Compression::Zstd),
        ),
    ]
}

/// What a bomb costs, which has to be refused for its length and nothing else.
fn refused(name: &str, compression: Compression, bomb: &[u8], limits: &Limits) -> Cost {
    let limit = limits.max_decompressed_len;
    let mut result = Ok(());
    let cost = cost::of(|| {
        let mut out = Vec::new();
        result = compression.decompress(bomb, &mut out, limits);
        assert!(out.is_empty(), "{name}");
        out
    });
    let error = result.expect_err(name).kind();
    assert_eq!(error, ErrorKind::DecompressedTooLong { limit }, "{name}");
    cost
}

#[test]
fn a_gibibyte_costs_what_the_limit_says() {
    for (name, compression, bomb) in bombs() {
        for limit in [
            0,
            1,
            4096,
            100_000,
            1 << 20,
            Limits::default().max_decompressed_len,
        ] {
            let cost = refused(name, compression, &bomb, &limits(limit));
            // While the buffer grows, both the old and the new are there.
            let held = 2 * limit as u64 + DECODER;
            assert!(cost.peak <= held, "{name}, {limit}: {cost:?}");
            // It grows by doubling: all that was ever allocated is as much again.
            assert!(cost.total <= 2 * held, "{name}, {limit}: {cost:?}");
            if limit >= 1 << 20 {
                let times = cost.peak as f64 / limit as f64;
                println!(
                    "{name}, {} bytes, limit {limit}: {times:.2} times the limit",
                    bomb.len()
                );
            }
        }
    }
}

/// The bombs are what they say: as long as their limit allows, they are read.
#[test]
fn bombs_are_good_streams() {
    for (compression, bytes) in [
        (
            Compression::Gzip,
            chunk(Compression::Gzip, 4 << 20).repeat(3),
        ),
        (
            Compression::Snappy,
            chunk(Compression::Snappy, 4 << 20).repeat(3),
        ),
        (Compression::Lz4, chunk(Compression::Lz4, 4 << 20).repeat(3)),
        (
            Compression::Zstd,
            chunk(Compression::Zstd, 4 << 20).repeat(3),
        ),
    ] {
        let mut out = Vec::new();
        compression
            .decompress(&bytes, &mut out, &limits(12 << 20))
            .unwrap();
        assert_eq!(out.len(), 12 << 20);
    }
}

/// A buffer that is used again does not grow by one bomb after another.
#[test]
fn a_buffer_used_again_stays_as_it_is() {
    for (name, compression, bomb) in bombs() {
        let limits = limits(1 << 20);
        let mut out = Vec::new();
        let cost = cost::of(|| {
            for _ in 0..5 {
                compression
                    .decompress(&bomb, &mut out, &limits)
                    .unwrap_err();
            }
        });
        assert!(out.capacity() <= 2 << 20, "{name}: {}", out.capacity());
        assert!(cost.peak <= (2 << 20) + DECODER, "{name}: {cost:?}");
    }
}

/// A frame that wants a window larger than the limit grants is refused before it is allocated; one
/// that is granted takes the window and less than a MiB besides.
#[test]
fn the_window_of_zstd() {
    use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};
    for (limit, granted) in [
        (0, 23),
        (1 << 20, 23),
        (16 << 20, 25),
        (128 << 20, 27),
        (1 << 40, 27),
    ] {
        for exponent in 10..=31_u8 {
            // A block of one byte, in a window of 2 to the power of the exponent.
            let stream = [
                b"\x28\xb5\x2f\xfd\x00",
                &[(exponent - 10) << 3][..],
                b"\x09\0\0v",
            ]
            .concat();
            let mut out = Vec::new();
            let result = Compression::Zstd.decompress(&stream, &mut out, &limits(limit.max(1)));
            assert_eq!(
                result.is_ok(),
                exponent <= granted,
                "{limit}, {exponent}: {result:?}"
            );

            let mut context = DCtx::create();
            context
                .set_parameter(DParameter::WindowLogMax(granted.into()))
                .unwrap();
            let mut byte = [0; 1];
            let mut output = OutBuffer::around(&mut byte[..]);
            let _ = context.decompress_stream(&mut output, &mut InBuffer::around(&stream));
            let window = if exponent <= granted {
                1 << exponent
            } else {
                0
            };
            let held = context.sizeof();
            assert!(held <= window + (1 << 20), "{exponent}: {held}");
        }
    }
}

/// Blocks that claim more than their frame allows, and frames of every size of block.
#[test]
fn blocks_of_lz4() {
    for code in 4..=7_u8 {
        let max_block = 1_u32 << (8 + 2 * code);
        for claimed in [
            max_block + 1,
            0x7fff_ffff,
            1 << 31 | (max_block + 1),
            u32::MAX,
        ] {
            let mut frame = vec![4, 0x22, 0x4d, 0x18, 0x60, code << 4];
            frame.push((twox_hash::XxHash32::oneshot(0, &frame[4..]) >> 8) as u8);
            frame.extend(claimed.to_le_bytes());
            frame.extend([0; 100]);
            let cost = cost::of(|| {
                let error = Compression::Lz4.decompress(&frame, &mut Vec::new(), &limits(1 << 30));
                assert!(matches!(
                    error.unwrap_err().kind(),
                    ErrorKind::Decompression { .. }
                ));
            });
            assert!(cost.total < 1024, "{cost:?}");
        }
    }
}

/// A block might become 255 times as long as it is, and room is made for that; each of these asks
/// for a little more than the one before, and becomes no longer than it is.
#[test]
fn blocks_of_lz4_that_fill_little_of_their_room() {
    for limit in [100_000, 1 << 20, 4 << 20, 8 << 20] {
        let mut frame = vec![4, 0x22, 0x4d, 0x18, 0x60, 0x70];
        frame.push((twox_hash::XxHash32::oneshot(0, &frame[4..]) >> 8) as u8);
        let mut literals = 15;
        while 255 * literals < limit.min(4 << 20) {
            let extra = literals - 15;
            let mut block = vec![0xf0];
            block.extend(vec![0xff; extra / 255]);
            block.push((extra % 255) as u8);
            block.extend(vec![7; literals]);
            frame.extend((block.len() as u32).to_le_bytes());
            frame.extend(block);
            literals += literals / 16 + 1;
        }
        frame.extend([0; 4]);
        let cost = cost::of(|| {
            let mut out = Vec::new();
            let result = Compression::Lz4.decompress(&frame, &mut out, &limits(limit));
            result.unwrap();
            assert!(out.len() < frame.len());
        });
        let held = 2 * limit as u64 + DECODER;
        assert!(cost.peak <= held, "{limit}: {cost:?}");
        assert!(cost.total <= 2 * held, "{limit}: {cost:?}");
    }
}

/// The header of a member may have a name, a comment and extra bytes, which nobody wants.
#[test]
fn members_of_gzip_that_are_nearly_all_header() {
    let mut header = vec![0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 0xff];
    header.extend([0xff; 2]);
    header.extend(vec![1; 0xffff]);
    for text in [b'n', b'c'] {
        header.extend(vec![text; 65_000]);
        header.push(0);
    }
    let empty = [&header[..], &[3, 0], &[0; 8]].concat();
    for members in [1, 20] {
        let bytes = empty.repeat(members);
        let cost = cost::of(|| {
            let result = Compression::Gzip.decompress(&bytes, &mut Vec::new(), &limits(1000));
            result.unwrap();
        });
        assert!(cost.total <= 2 * 1000 + DECODER, "{members}: {cost:?}");
    }
}

/// Through a batch: the limit is that of each, and of each record.
#[test]
fn a_batch_with_a_bomb() {
    for (name, compression, bomb) in bombs() {
        let header = [&[0; 8][..], &(bomb.len() as i32 + 49).to_be_bytes()].concat();
        let mut batch = [
            &header[..],
            &[0, 0, 0, 0, 2, 0, 0, 0, 0, 0, compression.code()],
        ]
        .concat();
        batch.resize(57, 0);
        batch.extend(1_i32.to_be_bytes());
        batch.extend(&bomb);
        let limits = limits(1 << 20);
        let cost = cost::of(|| {
            let batch = Batches::new(&batch).next().unwrap().unwrap();
            let mut scratch = Vec::new();
            let error = batch.records(&mut scratch, &limits).map(drop).unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::DecompressedTooLong { limit: 1 << 20 }
            );
        });
        assert!(cost.peak <= (2 << 20) + DECODER, "{name}: {cost:?}");
    }
}

/// A message of magic 0 or 1 by itself.
fn message(magic: u8, attributes: u8, value: &[u8]) -> Vec<u8> {
    let mut body = vec![magic, attributes];
    body.extend(&[0; 8][..8 * usize::from(magic)]);
    body.extend((-1_i32).to_be_bytes());
    body.extend((value.len() as i32).to_be_bytes());
    body.extend(value);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &body) as u32;
    let len = body.len() as i32 + 4;
    [&[0; 8][..], &len.to_be_bytes(), &crc.to_be_bytes(), &body].concat()
}

/// The older formats hold compressed messages in a compressed message, but no deeper.
#[test]
fn wrappers_in_wrappers() {
    for magic in [0, 1] {
        for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
            let wrap = |set: &[u8]| {
                let mut value = Vec::new();
                compression.compress(set, None, &mut value).unwrap();
                message(magic, compression.code(), &value)
            };
            let mut nested = message(magic, 0, b"inside");
            for depth in 1..=5 {
                nested = wrap(&nested);
                let cost = cost::of(|| {
                    let batch = Batches::validated(&nested).next().unwrap().unwrap();
                    let mut scratch = Vec::new();
                    let limits = limits(1 << 20);
                    // The frames of magic 0 have a checksum of their own, which is not written here.
                    let records = batch.validated_records(&mut scratch, &limits).unwrap();
                    let results: Vec<_> =
                        records.map(|r| r.map(drop).map_err(|e| e.kind())).collect();
                    let expected = match depth {
                        1 => Ok(()),
                        _ => Err(ErrorKind::NestedCompression),
                    };
                    assert_eq!(
                        results,
                        [expected],
                        "{compression} in magic {magic}, {depth} deep"
                    );
                });
                assert!(cost.peak < 3 * DECODER, "{cost:?}");
            }
            // A bomb in the wrapper is a bomb like any other.
            let bomb = message(magic, compression.code(), &concatenated(compression));
            let cost = cost::of(|| {
                let batch = Batches::new(&bomb).next().unwrap().unwrap();
                let mut scratch = Vec::new();
                let error = batch
                    .records(&mut scratch, &limits(1 << 20))
                    .map(drop)
                    .unwrap_err();
                assert_eq!(
                    error.kind(),
                    ErrorKind::DecompressedTooLong { limit: 1 << 20 }
                );
            });
            assert!(cost.peak <= (2 << 20) + DECODER, "{cost:?}");
        }
    }
}
