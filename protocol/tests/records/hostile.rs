//! Record batches that nobody means well with: their checksums are right, what they say is not.
//!
//! The faults of other implementations that have a name, and what bytes may cost, are tested in the
//! crate `kwire-hostile`.
#![cfg(feature = "records")]

use crate::common::{RECORD, batch_of, plain, read, refusal};
use kwire_protocol::records::control::ControlRecord;
use kwire_protocol::records::{
    Attributes, BatchBuilder, BatchOptions, Batches, Compression, ErrorKind, Limits, NewRecord,
};

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
