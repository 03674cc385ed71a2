//! Messages of magic 0 and 1: those that hold others, and sets that cannot be written.
#![cfg(feature = "gzip")]

use crate::common::{read, refusal};
use kwire_protocol::records::{
    Append, Batches, Compression, Error, ErrorKind, Header, Limits, MessageSetBuilder,
    MessageSetOptions, NewRecord,
};

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
