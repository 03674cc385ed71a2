//! The faults of other implementations that have a name, tried on this one.
//!
//! `docs/hostile.md` has the table, with those that need no test.

use bytes::BytesMut;
use kwire_hostile::cost;
use kwire_hostile::damage::{replaced, varint};
use kwire_hostile::fixtures::seeds;
use kwire_hostile::layout::{self, What};
use kwire_protocol::messages::{
    ApiVersionsResponse, FetchRequest, FindCoordinatorRequest, MetadataRequest, ProduceRequest,
    PushTelemetryRequest, SaslAuthenticateRequest, produce_request,
};
use kwire_protocol::records::{BatchHeader, Batches, Compression, ErrorKind, HEADER_LEN};
use kwire_protocol::{Blob, DecodeErrorKind, IntoOwned, Limits, Message, frame, records};

#[path = "advisories/floors.rs"]
mod floors;

const LIMITS: Limits = Limits::DEFAULT;

/// A count of elements, however high, is not what memory is taken for.
#[test]
fn cve_2026_111108_array_allocation() {
    // Eight MiB that claim a million topics, each of which takes a hundred times its bytes in
    // memory or more; and that claim more than a million.
    for (count, refused) in [
        (1_000_000_u32, false),
        (1_000_001, true),
        (i32::MAX as u32, true),
    ] {
        let mut bytes = FetchRequest::default().encode_to_vec(12).unwrap();
        // Behind the topics: forgotten topics, rack id and tagged fields.
        bytes.truncate(bytes.len() - 4);
        bytes.extend(varint(count.wrapping_add(1)));
        bytes.resize(8 << 20, 0xff);
        let cost = cost::of(|| {
            let error = FetchRequest::decode(&bytes, 12).unwrap_err();
            let over = matches!(
                error.kind(),
                DecodeErrorKind::ArrayOverLimit { .. } | DecodeErrorKind::ArrayTooLong { .. }
            );
            assert!(over || !refused, "{error}");
        });
        let most = if refused { 2048 } else { 128 << 20 };
        assert!(cost.peak <= most, "{count}: {cost:?}");
        let limits = Limits {
            max_allocated_bytes: 1 << 20,
            ..LIMITS
        };
        let cost = cost::of(|| FetchRequest::decode_with(&bytes, 12, &limits).map(drop));
        assert!(cost.total <= (1 << 20) + 2048, "{count}: {cost:?}");
    }
}

/// The request header of a frame of 40 MB, with twenty million tagged fields of two bytes.
#[test]
fn cve_2026_111115_tags_of_the_request_header() {
    let mut bytes = b"\0\x12\0\x03\0\0\0\x07\xff\xff".to_vec();
    bytes.extend(varint(20_000_000));
    bytes.extend(b"\x7f\0".repeat(20_000_000));
    let cost = cost::of(|| {
        let error = frame::decode_request_header(&bytes).unwrap_err();
        let expected = DecodeErrorKind::TagsOverLimit {
            count: 20_000_000,
            limit: 10_000,
        };
        assert_eq!(error.kind(), &expected);
        assert_eq!(error.prefix().unwrap().correlation_id, 7);
    });
    assert!(cost.total < 2048, "{cost:?}");
}

/// Lengths of 2 GiB in the requests that come before authentication.
#[test]
fn cve_2022_34917_lengths_before_authentication() {
    let huge = i32::MAX.to_be_bytes();
    let sasl = cost::of(|| {
        let error = SaslAuthenticateRequest::decode(&huge, 0).unwrap_err();
        assert!(
            matches!(error.kind(), DecodeErrorKind::Truncated { .. }),
            "{error}"
        );
    });
    let metadata = cost::of(|| {
        let error = MetadataRequest::decode(&huge, 0).unwrap_err();
        assert!(
            matches!(error.kind(), DecodeErrorKind::ArrayTooLong { .. }),
            "{error}"
        );
    });
    let flexible = cost::of(|| {
        let error = SaslAuthenticateRequest::decode(&varint(1 << 31), 2).unwrap_err();
        assert!(
            matches!(error.kind(), DecodeErrorKind::Truncated { .. }),
            "{error}"
        );
    });
    for cost in [sasl, metadata, flexible] {
        assert!(cost.total < 1024, "{cost:?}");
    }
}

/// The metrics are bytes to the message; whoever decompresses them has a limit.
#[test]
fn cve_2026_111073_push_telemetry() {
    for compression in &Compression::ALL[1..] {
        let mut bomb = Vec::new();
        compression
            .compress(&vec![0; 16 << 20], None, &mut bomb)
            .unwrap();
        let request = PushTelemetryRequest {
            compression_type: compression.code() as i8,
            metrics: bomb.as_slice().into(),
            ..Default::default()
        };
        let bytes = request.encode_to_vec(0).unwrap();
        let cost = cost::of(|| {
            let request = PushTelemetryRequest::decode(&bytes, 0).unwrap();
            let limits = records::Limits {
                max_decompressed_len: 1 << 20,
                ..Default::default()
            };
            let mut out = Vec::new();
            let error = compression
                .decompress(&request.metrics, &mut out, &limits)
                .unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::DecompressedTooLong { limit: 1 << 20 }
            );
        });
        assert!(
            cost.peak <= (2 << 20) + (64 << 10),
            "{compression}: {cost:?}"
        );
    }
}

/// A frame is not longer than what was agreed on, whatever its length says.
#[test]
fn cve_2026_10142_frame_length() {
    for len in [i32::MAX, frame::DEFAULT_MAX_LEN as i32 + 1, -1, i32::MIN] {
        let bytes = [&len.to_be_bytes()[..], b"whatever"].concat();
        let cost = cost::of(|| {
            let error = frame::split_frame(&bytes, frame::DEFAULT_MAX_LEN).unwrap_err();
            assert!(
                matches!(error.kind(), DecodeErrorKind::FrameLength { .. }),
                "{error}"
            );
        });
        assert!(cost.total < 200, "{cost:?}");
    }
    // Within the limit nothing is set aside for it: more bytes are waited for.
    let bytes = (frame::DEFAULT_MAX_LEN as i32).to_be_bytes();
    let cost =
        cost::of(|| assert_eq!(frame::split_frame(&bytes, frame::DEFAULT_MAX_LEN), Ok(None)));
    assert_eq!(cost.total, 0);
}

/// Reads the records of a batch whose section is `section`.
fn read_section(compression: Compression, section: &[u8]) -> Result<usize, ErrorKind> {
    let batch = batch(compression, 1, section);
    let batch = Batches::validated(&batch).next().unwrap().unwrap();
    let mut scratch = Vec::new();
    let records = batch.records(&mut scratch, &records::Limits::default());
    let mut count = 0;
    for record in records.map_err(|error| error.kind())? {
        record.map_err(|error| error.kind())?;
        count += 1;
    }
    Ok(count)
}

fn batch(compression: Compression, record_count: i32, section: &[u8]) -> Vec<u8> {
    let mut empty = vec![0; HEADER_LEN];
    empty[8..12].copy_from_slice(&(HEADER_LEN as i32 - 12).to_be_bytes());
    empty[16] = 2;
    empty[22] = compression.code();
    let batch = Batches::new(&empty).next().unwrap().unwrap();
    let header = BatchHeader {
        record_count,
        ..*batch.header().unwrap()
    };
    let mut out = Vec::new();
    header.write_batch(section, &mut out).unwrap();
    out
}

/// A stream of snappy-java with one chunk of the declared length.
fn xerial_chunk(len: i32) -> Result<usize, ErrorKind> {
    let head = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
    let section = [&head[..], &len.to_be_bytes(), b"\x08\x0crecords"].concat();
    read_section(Compression::Snappy, &section)
}

fn corrupt(compression: Compression, reason: &'static str) -> Result<usize, ErrorKind> {
    Err(ErrorKind::Decompression {
        compression,
        reason,
    })
}

#[test]
fn cve_2023_34455_negative_xerial_chunk_length() {
    let expected = corrupt(Compression::Snappy, "negative chunk length");
    assert_eq!(xerial_chunk(-1), expected);
    assert_eq!(xerial_chunk(i32::MIN), expected);
}

#[test]
fn cve_2023_43642_huge_xerial_chunk_length() {
    let expected = corrupt(Compression::Snappy, "chunk is longer than the input");
    let cost = cost::of(|| assert_eq!(xerial_chunk(i32::MAX), expected));
    assert!(cost.total < 2048, "{cost:?}");
    assert_eq!(xerial_chunk(10), expected);
}

/// A frame of LZ4 with one block of at most 64 KiB, which is linked to what came before it or not.
fn lz4_frame(linked: bool, blocks: &[&[u8]]) -> Vec<u8> {
    let flags = if linked { 0x40 } else { 0x60 };
    let mut frame = vec![4, 0x22, 0x4d, 0x18, flags, 0x40];
    frame.push((twox_hash::XxHash32::oneshot(0, &frame[4..]) >> 8) as u8);
    for block in blocks {
        frame.extend((block.len() as u32).to_le_bytes());
        frame.extend(*block);
    }
    frame.extend([0; 4]);
    frame
}

/// Blocks whose literals or matches go beyond the input, the output or what came before.
#[test]
fn cve_2025_12183_lz4_out_of_bounds() {
    let blocks: [&[u8]; 8] = [
        b"\xf0",
        b"\xf0\xff\xff\xff\xff",
        b"\x80abc",
        b"\x10a",
        b"\x10a\x01",
        // A match behind the start, far behind it, and without an end.
        b"\x14a\x02\x00\x50vwxyz",
        b"\x14a\xff\xff\x50vwxyz",
        b"\x1fa\x01\x00\xff\xff\xff\xff\xff\xff",
    ];
    for block in blocks {
        for linked in [false, true] {
            let error = read_section(Compression::Lz4, &lz4_frame(linked, &[block]));
            // Some end with literals and are good streams, of what is no record.
            assert!(error.is_err(), "{block:x?}: {error:?}");
        }
    }
    let beyond = [&b"\x1fa\x01\x00"[..], &[0xff; 300], b"\x00\x50vwxyz"].concat();
    let error = read_section(Compression::Lz4, &lz4_frame(false, &[&beyond]));
    assert_eq!(error, corrupt(Compression::Lz4, "corrupt block"));
}

/// What was in the buffer before never comes out, whatever a block refers to.
fn nothing_leaks() {
    let secret = b"SECRET".repeat(20_000);
    let blocks: [&[u8]; 5] = [
        // A match at distance 0, in which decoders without a check leave the output as it was.
        b"\x1fa\x00\x00\x20\x50vwxyz",
        b"\x04\x00\x00\x50vwxyz",
        b"\x1fa\x02\x00\x20\x50vwxyz",
        b"\x1fa\x00\x10\x20\x50vwxyz",
        b"\x1fa\xff\xff\x20\x50vwxyz",
    ];
    for block in blocks {
        for (linked, more) in [(false, false), (true, false), (true, true)] {
            let all: &[&[u8]] = if more {
                &[b"\x50abcde", block]
            } else {
                &[block]
            };
            let mut scratch = secret.clone();
            scratch.clear();
            let bytes = lz4_frame(linked, all);
            let result = Compression::Lz4.decompress(&bytes, &mut scratch, &Default::default());
            let seen = String::from_utf8_lossy(&scratch).into_owned();
            assert!(
                !seen.contains(['S', 'E', 'C', 'R', 'T']),
                "{block:x?}: {seen}"
            );
            assert!(result.is_err() || scratch.iter().all(|b| b"abcdevwxyz\0".contains(b)));
        }
    }
}

#[test]
fn cve_2025_66566_lz4_leaks_nothing() {
    nothing_leaks();
}

/// The same fault in the crate that is used here, below the versions that `floors` asks for.
#[test]
fn rustsec_2026_0041_lz4_flex() {
    nothing_leaks();
    floors::at_least("lz4_flex", "0.12.1");
}

/// The decoder in Rust that had a bomb is not used; that of C is, through `zstd`.
#[test]
fn rustsec_2026_0344_ruzstd() {
    floors::absent_or_at_least("ruzstd", "0.9.1");
}

#[test]
fn rustsec_2026_0403_zstd_safe() {
    floors::at_least("zstd-safe", "8.2.0");
}

#[test]
fn rustsec_2026_0392_zstd() {
    floors::at_least("zstd", "0.8.0");
}

/// A producer's buffer went back to the pool while a request was still made of it, and records of
/// one topic went to another. Here whoever shares a frame keeps it from being written again.
#[test]
fn cve_2026_35554_buffers_used_again() {
    let request = |topic: &'static str, records: &'static [u8]| ProduceRequest {
        topic_data: vec![produce_request::TopicProduceData {
            name: topic.into(),
            partition_data: vec![produce_request::PartitionProduceData {
                records: Some(records.into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let (first, second) = (request("a", b"records of a"), request("b", b"records of b"));
    let mut buffer = BytesMut::with_capacity(1 << 10);
    buffer.extend_from_slice(&first.encode_to_vec(11).unwrap());
    let frame = buffer.split().freeze();
    let kept = ProduceRequest::decode_shared(&frame, 11, &LIMITS)
        .unwrap()
        .into_owned();
    drop(frame);
    // All of the connection's buffer again, as often as it takes to come around.
    for _ in 0..100 {
        buffer.clear();
        buffer.reserve(1 << 10);
        buffer.extend_from_slice(&second.encode_to_vec(11).unwrap());
        let frame = buffer.split().freeze();
        let other = ProduceRequest::decode_shared(&frame, 11, &LIMITS)
            .unwrap()
            .into_owned();
        assert_eq!(other, second);
        assert_eq!(kept, first);
    }
    let records = kept.topic_data[0].partition_data[0].records.clone();
    assert!(matches!(&records, Some(Blob::Shared(_))), "{records:?}");
    drop((kept, buffer));
    assert_eq!(records.as_deref(), Some(&b"records of a"[..]));
}

/// Null for every array that there is, in particular those of an ApiVersions response: null where
/// the version allows it, and else an error that says so.
#[test]
fn librdkafka_5577_null_arrays() {
    let (mut null, mut refused) = (0, 0);
    for seeds in seeds(2000) {
        for bytes in &seeds.bytes {
            let Some(sites) = layout::sites(seeds.codec.schema, seeds.version, bytes) else {
                panic!("{}", seeds.codec.schema.name);
            };
            for site in sites.iter().filter(|site| site.what == What::Count) {
                let with = if site.varint { &[0][..] } else { &[0xff; 4] };
                // The array's elements are still there, and may be read as something else.
                let input = replaced(bytes, site, with);
                let result = (seeds.codec.borrowed)(&input, seeds.version, &LIMITS);
                match result.map_err(|error| error.kind().clone()) {
                    Err(DecodeErrorKind::UnexpectedNull) => refused += 1,
                    _ => null += 1,
                }
            }
        }
    }
    println!("{null} arrays null or damaged, {refused} refused");
    assert!(null > 500 && refused > 1000);
    // Error code, null for the array of APIs, throttle time, no tagged fields.
    let error = ApiVersionsResponse::decode(b"\0\0\0\0\0\0\0\0", 3).unwrap_err();
    assert_eq!(
        (error.kind(), error.path()),
        (&DecodeErrorKind::UnexpectedNull, "apiKeys")
    );
    let topics = MetadataRequest::decode(b"\0\0\0\0\0", 9).unwrap().topics;
    assert_eq!(topics, None);
    assert!(FindCoordinatorRequest::decode(b"\0\0\0", 4).is_err());
}

/// A Metadata request of version 0 that claims 54 million topics in five bytes.
#[test]
fn kafka_protocol_rs_152_array_length() {
    let cost = cost::of(|| {
        let error = MetadataRequest::decode(b"\x03\x3c\x0c\0\xb6", 0).unwrap_err();
        let expected = DecodeErrorKind::ArrayTooLong {
            len: 54_266_880,
            left: 1,
        };
        assert_eq!(error.kind(), &expected);
    });
    assert!(cost.total < 1024, "{cost:?}");
}

/// Eight bytes are the least that a request can have. A frame of those, or of fewer, or with an
/// impossible array behind them, costs nothing, whatever the API.
#[test]
fn kafka_protocol_rs_200_frame_of_eight_bytes() {
    let arrays = [
        &b"\x7f\xff\xff\xff"[..],
        b"\xff\xff\xff\xff\x07\0",
        b"\0\xff\xff\xff\xff\x07",
    ];
    for api_key in 0..130_i16 {
        for version in 0..20_i16 {
            let prefix = [api_key.to_be_bytes(), version.to_be_bytes(), [0; 2], [7; 2]].concat();
            for len in 0..=prefix.len() {
                let cost = cost::of(|| {
                    if let Ok((_, request)) = frame::decode_request(&prefix[..len], &LIMITS) {
                        panic!("{api_key}, {len}: {request:?}");
                    }
                });
                assert!(cost.total < 1024, "{cost:?}");
            }
            for array in arrays {
                let bytes = [&prefix[..], b"\xff\xff", array].concat();
                let cost = cost::of(|| frame::decode_request(&bytes, &LIMITS).map(drop));
                assert!(cost.total < 2048, "{api_key} v{version}: {cost:?}");
            }
        }
    }
}

/// A batch that declares two thousand million records and has none.
#[test]
fn kafka_protocol_rs_156_record_count() {
    for (count, section) in [
        (i32::MAX, &b""[..]),
        (i32::MAX, b"\x0e\0\0\0\x01\x02v\0"),
        (-1, b""),
    ] {
        let bytes = batch(Compression::None, count, section);
        let cost = cost::of(|| {
            let batch = Batches::validated(&bytes).next().unwrap().unwrap();
            let mut scratch = Vec::new();
            let error = batch
                .records(&mut scratch, &Default::default())
                .map(drop)
                .unwrap_err();
            let expected = matches!(
                error.kind(),
                ErrorKind::MissingRecords { .. } | ErrorKind::NegativeRecordCount(-1)
            );
            assert!(expected, "{error}");
        });
        assert!(cost.total < 1024, "{cost:?}");
    }
}
