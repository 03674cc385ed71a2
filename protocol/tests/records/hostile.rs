//! Record batches that nobody means well with: their checksums are right, what they say is not.
#![cfg(feature = "records")]

use kwire_protocol::records::control::ControlRecord;
use kwire_protocol::records::{
    Append, Attributes, Batch, BatchBuilder, BatchHeader, BatchOptions, Batches, Compression,
    Error, ErrorKind, Header, Limits, MessageSetBuilder, MessageSetOptions, NewRecord,
    TimestampType,
};
use proptest::prelude::*;

/// A batch of magic 2 with a valid length and checksum.
fn batch_of(compression: Compression, record_count: i32, section: &[u8]) -> Vec<u8> {
    let header = BatchHeader {
        base_offset: 100,
        batch_length: 0,
        partition_leader_epoch: 0,
        crc: 0,
        attributes: Attributes(compression.code().into()),
        last_offset_delta: 0,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count,
    };
    let mut out = Vec::new();
    header.write_batch(section, &mut out).unwrap();
    out
}

/// Reads all records of the first batch, all checks on.
fn read(bytes: &[u8], limits: &Limits) -> Result<usize, Error> {
    let batch = Batches::validated(bytes).next().expect("a batch")?;
    let mut scratch = Vec::new();
    let mut count = 0;
    for record in batch.validated_records(&mut scratch, limits)? {
        record?;
        count += 1;
    }
    Ok(count)
}

fn refusal(bytes: &[u8]) -> ErrorKind {
    read(bytes, &Limits::default())
        .expect_err("it is to be refused")
        .kind()
}

fn plain(record_count: i32, section: &[u8]) -> Vec<u8> {
    batch_of(Compression::None, record_count, section)
}

/// A record of one byte of value: length, attributes, deltas, no key, the value, no headers.
const RECORD: &[u8] = b"\x0e\0\0\0\x01\x02v\0";

#[test]
fn record_counts() {
    assert_eq!(read(&plain(1, RECORD), &Limits::default()), Ok(1));
    let max = refusal(&plain(i32::MAX, &RECORD[1..]));
    assert_eq!(
        max,
        ErrorKind::MissingRecords {
            declared: i32::MAX,
            found: 1
        }
    );
    assert_eq!(
        refusal(&plain(-1, RECORD)),
        ErrorKind::NegativeRecordCount(-1)
    );
    assert_eq!(refusal(&plain(0, RECORD)), ErrorKind::BytesAfterRecords(8));
    assert_eq!(
        refusal(&plain(1, &RECORD.repeat(2))),
        ErrorKind::BytesAfterRecords(8)
    );
    // 56 bytes hold 8 records at most, so 9 are refused before the first is read.
    let nine = plain(9, &RECORD.repeat(7));
    let batch = Batches::new(&nine).next().unwrap().unwrap();
    let mut scratch = Vec::new();
    let error = batch
        .records(&mut scratch, &Limits::default())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::MissingRecords {
            declared: 9,
            found: 8
        }
    );
    // As many as the bytes might hold, were they shorter.
    let some = refusal(&plain(8, &RECORD.repeat(7)));
    assert_eq!(
        some,
        ErrorKind::MissingRecords {
            declared: 8,
            found: 7
        }
    );
}

#[test]
fn header_counts() {
    let with = |count: &[u8]| {
        let body = [b"\0\0\0\x01\x01", count].concat();
        plain(1, &[&[(body.len() * 2) as u8], &body[..]].concat())
    };
    assert_eq!(read(&with(b"\0"), &Limits::default()), Ok(1));
    assert_eq!(read(&with(b"\x02\x02k\x01"), &Limits::default()), Ok(1));
    let declared = i32::MAX;
    let max = refusal(&with(b"\xfe\xff\xff\xff\x0f"));
    assert_eq!(
        max,
        ErrorKind::TooManyHeaders {
            declared,
            remaining: 0
        }
    );
    let two = refusal(&with(b"\x04\0\x01\x01"));
    assert_eq!(
        two,
        ErrorKind::TooManyHeaders {
            declared: 2,
            remaining: 3
        }
    );
    let negative = refusal(&with(b"\x01"));
    assert_eq!(
        negative,
        ErrorKind::NegativeLength {
            field: "header count",
            len: -1
        }
    );
    let no_key = refusal(&with(b"\x02\x01\x01"));
    assert_eq!(
        no_key,
        ErrorKind::NegativeLength {
            field: "header key length",
            len: -1
        }
    );
    let key = refusal(&with(b"\x02\x06k\x01"));
    assert_eq!(
        key,
        ErrorKind::NotEnoughBytes {
            needed: 3,
            remaining: 2
        }
    );
    let fewer = refusal(&with(b"\x02\x02k\x01\x01"));
    assert_eq!(
        fewer,
        ErrorKind::RecordLengthMismatch {
            declared: 10,
            used: 9
        }
    );
}

#[test]
fn lengths() {
    let max = refusal(&plain(1, b"\x16\0\0\0\x01\xfe\xff\xff\xff\x0f\0\0"));
    assert_eq!(
        max,
        ErrorKind::NotEnoughBytes {
            needed: i32::MAX as usize,
            remaining: 2
        }
    );
    let record = refusal(&plain(1, b"\xfe\xff\xff\xff\x0f\0\0\0"));
    let limit = Limits::default().max_record_len;
    assert_eq!(
        record,
        ErrorKind::RecordTooLong {
            len: i32::MAX as usize,
            limit
        }
    );
    let negative = refusal(&plain(1, b"\x01\0\0\0\x01\x02v\0"));
    assert_eq!(
        negative,
        ErrorKind::NegativeLength {
            field: "record length",
            len: -1
        }
    );
    assert_eq!(
        refusal(&plain(1, b"\x80\x80\x80\x80\x80\0\0\0")),
        ErrorKind::VarintTooLong
    );
    // Any negative length of key and value is null.
    assert_eq!(
        read(&plain(1, b"\x0c\0\0\0\x03\x05\0"), &Limits::default()),
        Ok(1)
    );

    let small = Limits {
        max_record_len: 6,
        ..Limits::default()
    };
    let error = read(&plain(1, RECORD), &small).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLong { len: 7, limit: 6 });
}

#[test]
fn deltas_wrap_around() {
    // The largest timestamp delta, on a base of 0, and the least offset delta, on one of 100.
    let largest = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let least = b"\xff\xff\xff\xff\x0f";
    let body = [&b"\0"[..], largest, least, b"\x01\x01\0"].concat();
    let bytes = plain(1, &[&[(body.len() * 2) as u8], &body[..]].concat());
    let batch = Batches::validated(&bytes).next().unwrap().unwrap();
    let mut scratch = Vec::new();
    let mut records = batch.records(&mut scratch, &Limits::default()).unwrap();
    let record = records.next().unwrap().unwrap();
    assert_eq!(
        (record.offset, record.timestamp),
        (100 + i64::from(i32::MIN), i64::MAX)
    );
    assert!(records.next().is_none());
}

#[test]
fn errors_say_where() {
    // Two batches; the second one's second record has too long a value.
    let mut bytes = plain(1, RECORD);
    let start = bytes.len();
    bytes.extend(plain(2, &[RECORD, b"\x0e\0\0\0\x01\x04v\0\0\0"].concat()));
    let batch = Batches::validated(&bytes).nth(1).unwrap().unwrap();
    let mut scratch = Vec::new();
    let error = batch
        .records(&mut scratch, &Limits::default())
        .unwrap()
        .nth(1)
        .unwrap();
    let error = error.unwrap_err();
    let place = error.place().unwrap();
    // Header, first record, then length to header count: the value took the count's byte.
    assert_eq!(
        (place.position, place.decompressed),
        (start + 61 + 8 + 8, false)
    );
    assert_eq!(place.base_offset, Some(100));
    assert!(
        error.to_string().contains("in the batch at offset 100"),
        "{error}"
    );
}

#[test]
fn batch_lengths_and_magic() {
    let whole = plain(1, RECORD);
    let with = |at: usize, field: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + field.len()].copy_from_slice(field);
        Batches::new(&bytes)
            .next()
            .map(|batch| batch.map(|_| ()).map_err(|e| e.kind()))
    };
    for (length, min) in [(-1, 14), (i32::MIN, 14), (13, 14), (14, 49), (48, 49)] {
        let error = ErrorKind::BatchTooSmall {
            declared: length,
            min,
        };
        assert_eq!(with(8, &length.to_be_bytes()), Some(Err(error)));
    }
    // More than there is: a partial batch.
    assert_eq!(with(8, &i32::MAX.to_be_bytes()), None);
    assert_eq!(with(16, &[3]), Some(Err(ErrorKind::UnknownMagic(3))));
    assert_eq!(with(16, &[0xff]), Some(Err(ErrorKind::UnknownMagic(-1))));
    // A good batch and then a bad one: the good one comes, and after the error nothing.
    let mut two = [whole.clone(), whole.clone()].concat();
    two[whole.len() + 16] = 9;
    let read: Vec<bool> = Batches::new(&two).map(|batch| batch.is_ok()).collect();
    assert_eq!(read, [true, false]);
}

#[test]
fn unknown_codecs() {
    let mut header = *Batches::new(&plain(1, RECORD))
        .next()
        .unwrap()
        .unwrap()
        .header()
        .unwrap();
    for code in 5..=7 {
        header.attributes = Attributes(code);
        let mut bytes = Vec::new();
        header.write_batch(RECORD, &mut bytes).unwrap();
        assert_eq!(refusal(&bytes), ErrorKind::UnknownCompression(code as u8));
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        let place = batch.compression().unwrap_err().place();
        assert_eq!(place.unwrap().base_offset, Some(100));
    }
    for compression in Compression::ALL {
        if !compression.is_available() {
            let bytes = batch_of(compression, 1, RECORD);
            assert_eq!(refusal(&bytes), ErrorKind::CodecNotCompiledIn(compression));
        }
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let limit = 1 << 20;
    let limits = Limits {
        max_decompressed_len: limit,
        ..Limits::default()
    };
    let zeros = vec![0; 64 << 20];
    for compression in &Compression::ALL[1..] {
        if !compression.is_available() {
            continue;
        }
        let mut small = Vec::new();
        compression.compress(&zeros, None, &mut small).unwrap();
        let bytes = batch_of(*compression, 1, &small);
        let batch = Batches::validated(&bytes).next().unwrap().unwrap();
        let mut scratch = Vec::new();
        let error = batch
            .records(&mut scratch, &limits)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::DecompressedTooLong { limit },
            "{compression}"
        );
        assert!(
            scratch.capacity() <= 2 * limit,
            "{compression}: {}",
            scratch.capacity()
        );
    }
}

#[test]
#[cfg(feature = "zstd")]
fn a_zstd_window_is_not_allocated_because_a_header_asks_for_it() {
    // A frame without content size and a window of 2 GiB; then one of 16 MiB, over what a limit
    // of 1 MiB grants. One block of one literal byte follows.
    let limits = Limits {
        max_decompressed_len: 1 << 20,
        ..Limits::default()
    };
    for (exponent, limits) in [(31, Limits::default()), (24, limits)] {
        let window = (exponent - 10) << 3;
        let section = [b"\x28\xb5\x2f\xfd\x00", &[window][..], b"\x09\0\0v"].concat();
        let error = read(&batch_of(Compression::Zstd, 1, &section), &limits)
            .unwrap_err()
            .kind();
        let refused = matches!(
            error,
            ErrorKind::Decompression {
                compression: Compression::Zstd,
                reason: "corrupt stream"
            }
        );
        assert!(refused, "{error:?}");
        let mut out = Vec::new();
        let granted = Limits::default();
        let read = Compression::Zstd.decompress(&section, &mut out, &granted);
        assert_eq!(read.is_ok(), exponent == 24);
    }
}

/// A section in the framing of Java's snappy streams with one chunk of the declared length.
#[cfg(feature = "snappy")]
fn xerial_chunk(len: i32) -> Vec<u8> {
    let head = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
    batch_of(
        Compression::Snappy,
        1,
        &[&head[..], &len.to_be_bytes(), b"\x08\x0crecords"].concat(),
    )
}

#[test]
#[cfg(feature = "snappy")]
fn cve_2023_34455_negative_xerial_chunk_length() {
    let reason = "negative chunk length";
    let expected = ErrorKind::Decompression {
        compression: Compression::Snappy,
        reason,
    };
    assert_eq!(refusal(&xerial_chunk(-1)), expected);
    assert_eq!(refusal(&xerial_chunk(i32::MIN)), expected);
}

#[test]
#[cfg(feature = "snappy")]
fn cve_2023_43642_huge_xerial_chunk_length() {
    let reason = "chunk is longer than the input";
    let expected = ErrorKind::Decompression {
        compression: Compression::Snappy,
        reason,
    };
    assert_eq!(refusal(&xerial_chunk(i32::MAX)), expected);
    assert_eq!(refusal(&xerial_chunk(10)), expected);
}

#[test]
fn control_keys() {
    for (key, valid) in [
        (Some(&b"\0\0\0\x01"[..]), true),
        (Some(b"\0\x09\0\x63later"), true),
        (Some(b"\xff\xff\0\x01"), false),
        (Some(b"\0\0\0"), false),
        (Some(b""), false),
        (None, false),
    ] {
        let mut builder = BatchBuilder::new(BatchOptions {
            control: true,
            ..Default::default()
        })
        .unwrap();
        assert!(
            builder
                .try_append(&NewRecord {
                    key,
                    ..Default::default()
                })
                .is_ok()
        );
        let bytes = builder.finish().unwrap();
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        let mut scratch = Vec::new();
        let mut records = batch.records(&mut scratch, &Limits::default()).unwrap();
        let control = ControlRecord::read(&records.next().unwrap().unwrap());
        match control {
            Ok(_) => assert!(valid, "{key:?}"),
            Err(error) => {
                assert!(!valid, "{key:?}");
                assert_eq!(error.kind(), ErrorKind::InvalidControlRecord);
            }
        }
    }
}

/// Messages of magic 0 and 1 that hold others.
#[cfg(feature = "gzip")]
mod wrappers {
    use super::*;

    /// A message of magic 1 by itself.
    fn message(offset: i64, attributes: i8, timestamp: i64, value: Option<&[u8]>) -> Vec<u8> {
        let mut body = vec![1, attributes.cast_unsigned()];
        body.extend_from_slice(&timestamp.to_be_bytes());
        body.extend_from_slice(&(-1_i32).to_be_bytes());
        body.extend_from_slice(&value.map_or(-1, |value| value.len() as i32).to_be_bytes());
        body.extend_from_slice(value.unwrap_or_default());
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        let mut out = offset.to_be_bytes().to_vec();
        out.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        out.extend_from_slice(&crc.sum().to_be_bytes());
        out.extend(body);
        out
    }

    const GZIP: i8 = 1;
    const LOG_APPEND_TIME: i8 = 8;

    fn wrap(offset: i64, attributes: i8, set: &[u8]) -> Vec<u8> {
        let mut value = Vec::new();
        Compression::Gzip.compress(set, None, &mut value).unwrap();
        message(offset, attributes, 999, Some(&value))
    }

    fn inner() -> Vec<u8> {
        [message(0, 0, 5, Some(b"a")), message(3, 0, 6, None)].concat()
    }

    fn offsets_and_times(bytes: &[u8]) -> Vec<(i64, i64)> {
        let batch = Batches::validated(bytes).next().unwrap().unwrap();
        let mut scratch = Vec::new();
        let records = batch
            .validated_records(&mut scratch, &Limits::default())
            .unwrap();
        records
            .map(|record| record.unwrap())
            .map(|r| (r.offset, r.timestamp))
            .collect()
    }

    #[test]
    fn offsets_are_relative_to_the_wrapper() {
        assert_eq!(
            offsets_and_times(&wrap(53, GZIP, &inner())),
            [(50, 5), (53, 6)]
        );
        // What versions of librdkafka sent.
        assert_eq!(
            offsets_and_times(&wrap(0, GZIP, &inner())),
            [(0, 5), (3, 6)]
        );
        let append = wrap(53, GZIP | LOG_APPEND_TIME, &inner());
        assert_eq!(offsets_and_times(&append), [(50, 999), (53, 999)]);
        let error = ErrorKind::WrapperOffset {
            wrapper: 2,
            inner: 3,
        };
        assert_eq!(refusal(&wrap(2, GZIP, &inner())), error);
    }

    #[test]
    fn sets_that_are_none() {
        assert_eq!(
            refusal(&message(1, GZIP, 0, None)),
            ErrorKind::NullMessageSet
        );
        assert_eq!(refusal(&wrap(1, GZIP, b"")), ErrorKind::EmptyMessageSet);
        let nested = wrap(1, GZIP, &wrap(1, GZIP, &inner()));
        assert_eq!(refusal(&nested), ErrorKind::NestedCompression);
        let zstd = ErrorKind::CompressionNotInMagic {
            compression: Compression::Zstd,
            magic: 1,
        };
        assert_eq!(refusal(&message(1, 4, 0, Some(b""))), zstd);
        let mut small = inner();
        small[8..12].copy_from_slice(&13_i32.to_be_bytes());
        let error = ErrorKind::BatchTooSmall {
            declared: 13,
            min: 14,
        };
        assert_eq!(refusal(&wrap(1, GZIP, &small)), error);
        let limits = Limits {
            max_record_len: 34,
            ..Limits::default()
        };
        let error = read(&wrap(9, GZIP, &inner()), &limits).unwrap_err().kind();
        assert_eq!(error, ErrorKind::RecordTooLong { len: 35, limit: 34 });
    }

    #[test]
    fn every_truncated_set_is_refused() {
        let set = inner();
        for end in 0..set.len() {
            // Between the messages there is nothing to notice.
            if end != 35 {
                refusal(&wrap(53, GZIP, &set[..end]));
            }
        }
        assert_eq!(read(&wrap(53, GZIP, &set[..35]), &Limits::default()), Ok(1));
    }

    #[test]
    fn validating_looks_at_the_checksums_inside() {
        let mut set = inner();
        set[34] ^= 1;
        let bytes = wrap(53, GZIP, &set);
        assert!(matches!(refusal(&bytes), ErrorKind::CrcMismatch { .. }));
        let batch = Batches::validated(&bytes).next().unwrap().unwrap();
        let mut scratch = Vec::new();
        let records = batch.records(&mut scratch, &Limits::default()).unwrap();
        assert_eq!(records.filter(Result::is_ok).count(), 2);
    }

    #[test]
    fn lengths_of_keys_and_values() {
        let mut bytes = message(1, 0, 0, Some(b"value"));
        let at = bytes.len() - 9;
        for (len, refused) in [
            (5_i32, false),
            (6, true),
            (4, true),
            (i32::MAX, true),
            (-1, true),
        ] {
            bytes[at..at + 4].copy_from_slice(&len.to_be_bytes());
            let mut crc = flate2::Crc::new();
            crc.update(&bytes[16..]);
            bytes[12..16].copy_from_slice(&crc.sum().to_be_bytes());
            let kind = read(&bytes, &Limits::default()).map_err(|error| error.kind());
            let typed = matches!(
                kind,
                Err(ErrorKind::NotEnoughBytes { .. } | ErrorKind::RecordLengthMismatch { .. })
            );
            assert_eq!(typed, refused, "{len}: {kind:?}");
        }
    }
}

#[test]
fn message_sets_that_cannot_be_written() {
    let new = |options| {
        MessageSetBuilder::new(options)
            .map(|_| ())
            .map_err(|e: Error| e.kind())
    };
    let plain = MessageSetOptions::default();
    assert_eq!(
        new(MessageSetOptions { magic: 2, ..plain }),
        Err(ErrorKind::UnknownMagic(2))
    );
    let compression = Compression::Zstd;
    let zstd = ErrorKind::CompressionNotInMagic {
        compression,
        magic: 1,
    };
    assert_eq!(
        new(MessageSetOptions {
            compression,
            ..plain
        }),
        Err(zstd)
    );
    let append = MessageSetOptions {
        magic: 0,
        log_append_time: Some(1),
        ..plain
    };
    assert_eq!(
        new(append),
        Err(ErrorKind::NotInMagic {
            what: "timestamp",
            magic: 0
        })
    );

    let header = [Header {
        key: b"k",
        value: None,
    }];
    let options = MessageSetOptions {
        max_size: 40,
        ..plain
    };
    let mut builder = MessageSetBuilder::new(options).unwrap();
    let headers = NewRecord {
        headers: &header,
        ..Default::default()
    };
    let error = builder.try_append(&headers).unwrap_err().kind();
    assert_eq!(
        error,
        ErrorKind::NotInMagic {
            what: "headers",
            magic: 1
        }
    );
    let long = NewRecord {
        value: Some(&[0; 7]),
        ..Default::default()
    };
    let error = builder.try_append(&long).unwrap_err().kind();
    assert_eq!(error, ErrorKind::RecordTooLong { len: 41, limit: 40 });
    assert_eq!(
        builder.try_append(&NewRecord::default()),
        Ok(Append::Done { offset: 0 })
    );
    assert_eq!(builder.try_append(&NewRecord::default()), Ok(Append::Full));
    assert_eq!(builder.finish().unwrap().len(), 34);
    let empty = MessageSetBuilder::new(plain)
        .unwrap()
        .finish()
        .unwrap_err()
        .kind();
    assert_eq!(empty, ErrorKind::EmptyBatch);
}

/// Uses everything there is to a batch; the result does not matter, that there is one does.
fn exercise(batch: &Batch<'_>) -> usize {
    let limits = Limits {
        max_decompressed_len: 1 << 16,
        max_record_len: 1 << 16,
    };
    let mut scratch = Vec::new();
    let _ = (
        batch.base_offset(),
        batch.last_offset(),
        batch.max_timestamp(),
        batch.crc(),
    );
    if let Some(header) = batch.header() {
        let _ = (header.last_sequence(), header.delete_horizon_ms());
    }
    let mut seen = 0;
    for validated in [false, true] {
        let records = match validated {
            true => batch.validated_records(&mut scratch, &limits),
            false => batch.records(&mut scratch, &limits),
        };
        for record in records.into_iter().flatten().flatten() {
            let _ = ControlRecord::read(&record);
            assert_eq!(record.headers.iter().count(), record.headers.len());
            seen += 1;
        }
    }
    seen
}

type OwnedRecord = (
    u32,
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

fn bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..len)
}

fn records() -> impl Strategy<Value = Vec<OwnedRecord>> {
    let header = (bytes(6), prop::option::of(bytes(200)));
    let headers = prop::collection::vec(header, 0..4);
    let time = prop_oneof![Just(-1), 0..i64::MAX];
    let record = (
        1..1000_u32,
        time,
        prop::option::of(bytes(80)),
        prop::option::of(bytes(9000)),
        headers,
    );
    prop::collection::vec(record, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Arbitrary bytes as the records of a batch whose header is in order.
    #[test]
    fn any_section_has_an_answer(section in bytes(300), count in -2..40_i32, code in 0..5_usize) {
        let whole = batch_of(Compression::ALL[code], count, &section);
        let all: Vec<_> = Batches::validated(&whole).collect();
        prop_assert_eq!(all.len(), 1);
        let seen = exercise(all[0].as_ref().unwrap());
        prop_assert!(seen <= 2 * usize::try_from(count).unwrap_or(0));
    }

    /// Arbitrary changes to a good batch, and arbitrary bytes.
    #[test]
    fn any_bytes_have_an_answer(
        mut noise in bytes(200),
        changes in prop::collection::vec((0..100_usize, any::<u8>()), 0..4),
        magic in 0..4_u8,
    ) {
        let mut whole = plain(3, &RECORD.repeat(3));
        for (at, byte) in changes {
            let at = at % whole.len();
            whole[at] = byte;
        }
        if let Some(byte) = noise.get_mut(16) {
            *byte = magic;
        }
        for buffer in [&whole, &noise, &[whole.clone(), noise.clone()].concat()] {
            let mut all = Batches::new(buffer);
            let read: usize = all
                .by_ref()
                .flatten()
                .map(|batch| {
                    exercise(&batch);
                    batch.bytes().len()
                })
                .sum();
            prop_assert_eq!(all.remainder(), buffer.len() - read);
        }
    }

    /// What the builder writes, the reader reads.
    #[test]
    fn records_come_back(
        records in records(),
        code in 0..5_usize,
        base_offset in 0..1_000_000_i64,
        append_time in prop::option::of(0..i64::MAX),
    ) {
        let compression = match Compression::ALL[code] {
            compression if compression.is_available() => compression,
            _ => Compression::None,
        };
        let options = BatchOptions {
            base_offset,
            compression,
            log_append_time: append_time,
            producer_id: 7,
            producer_epoch: 0,
            base_sequence: i32::MAX,
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options).unwrap();
        let mut offset = base_offset - 1;
        let mut expected = Vec::new();
        for (gap, timestamp, key, value, headers) in &records {
            offset += i64::from(*gap);
            let headers: Vec<Header<'_>> =
                headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
            let record = NewRecord {
                timestamp: *timestamp,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &headers,
            };
            prop_assert_eq!(builder.try_append_at(offset, &record), Ok(Append::Done { offset }));
            expected.push((offset, *timestamp, key.as_deref(), value.as_deref(), headers));
        }
        let size = builder.size();
        let written = builder.finish().unwrap();
        let batch = Batches::validated(&written).next().unwrap().unwrap();
        prop_assert_eq!(batch.bytes().len(), written.len());
        if compression == Compression::None {
            prop_assert_eq!(written.len(), size);
        }
        prop_assert_eq!((batch.base_offset(), batch.last_offset()), (Some(base_offset), offset));
        let latest = records.iter().map(|record| record.1).max();
        prop_assert_eq!(Some(batch.max_timestamp()), append_time.or(latest));
        let append = batch.timestamp_type() == TimestampType::LogAppendTime;
        prop_assert_eq!(append, append_time.is_some());
        let mut scratch = Vec::new();
        let mut read = Vec::new();
        for record in batch.records(&mut scratch, &Limits::default()).unwrap() {
            let record = record.unwrap();
            prop_assert_eq!(record.timestamp, append_time.unwrap_or(record.stored_timestamp));
            // The first may be sequence 2147483647; after it comes 0.
            let delta = (record.offset - base_offset) as i32;
            prop_assert_eq!(record.sequence, if delta == 0 { i32::MAX } else { delta - 1 });
            let headers: Vec<Header<'_>> = record.headers.iter().collect();
            read.push((record.offset, record.stored_timestamp, record.key, record.value, headers));
        }
        prop_assert_eq!(read, expected);
    }
}
