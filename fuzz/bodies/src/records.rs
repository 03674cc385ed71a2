//! Record batches of every magic and codec: read, written again, and built.

use kwire_protocol::records::control::{ControlMessage, ControlRecord};
use kwire_protocol::records::framing::{CoordinatorKey, CoordinatorValue, MetadataFrame};
use kwire_protocol::records::{
    Append, Batch, BatchBuilder, BatchHeader, BatchOptions, Batches, Compression, Error, ErrorKind,
    Header, Limits, MessageSetBuilder, MessageSetOptions, NewRecord, Record, TimestampType,
    set_base_offset, set_partition_leader_epoch,
};

use crate::fixtures::{bytes, lines};
use crate::input::Input;

/// Small, so that what unpacks to a lot is refused soon.
const LIMITS: Limits = Limits {
    max_decompressed_len: 1 << 20,
    max_record_len: 1 << 19,
};

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// What the first byte chooses, with the others.
pub fn records(data: &[u8]) {
    let mut input = Input::new(data);
    match input.u8() % 8 {
        0..3 => read(input.rest()),
        3 => {
            let mut bytes = input.rest().to_vec();
            mend_checksums(&mut bytes);
            read(&bytes);
        }
        4 => build(&mut input),
        5 => build_legacy(&mut input),
        6 => codec(&mut input),
        _ => framing(input.rest()),
    }
}

/// Gives the batches of magic 2 at the beginning of a buffer the checksums that they should have,
/// which no fuzzer finds by chance.
pub(crate) fn mend_checksums(bytes: &mut [u8]) {
    let mut found = Vec::new();
    for batch in Batches::new(bytes).map_while(Result::ok) {
        if let Some(header) = batch.header() {
            let again = written(header, &batch);
            found.push((batch.position() + CRC.start, again[CRC].to_vec()));
        }
    }
    for (at, crc) in found {
        bytes[at..at + crc.len()].copy_from_slice(&crc);
    }
}

/// Where the checksum of a batch of magic 2 is, and where its records begin.
const CRC: std::ops::Range<usize> = 17..21;
const SECTION: usize = 61;

/// The batch out of its header and its records as they are.
fn written(header: &BatchHeader, batch: &Batch<'_>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    header
        .write_batch(&batch.bytes()[SECTION..], &mut out)
        .expect("it was as long before");
    out.split_off(6)
}

fn read(bytes: &[u8]) {
    let mut batches = Batches::new(bytes);
    let mut validated = Batches::validated(bytes);
    let mut is_valid = true;
    let mut at = 0;
    let mut scratch = Vec::new();
    while let Some(batch) = batches.next() {
        let Ok(batch) = batch else {
            assert!(batches.next().is_none());
            break;
        };
        assert_eq!(batch.position(), at);
        assert!(bytes[at..].starts_with(batch.bytes()));
        at += batch.bytes().len();
        assert_eq!(
            (batches.position(), batches.remainder()),
            (at, bytes.len() - at)
        );
        // Those with the right checksum are given up to the first with a wrong one.
        let crc = batch.verify_crc();
        if is_valid {
            let same = validated.next().expect("as many");
            is_valid = crc.is_ok();
            assert_eq!(same.map(|same| same.bytes()).err(), crc.err());
        }
        one(&batch, &mut scratch);
    }
}

fn one(batch: &Batch<'_>, scratch: &mut Vec<u8>) {
    let crc = batch.verify_crc();
    if let Some(header) = batch.header() {
        let mut again = written(header, batch);
        if crc.is_err() {
            again[CRC].copy_from_slice(&batch.bytes()[CRC]);
        }
        assert_eq!(again, batch.bytes(), "a batch is not written as it was");
        set_partition_leader_epoch(&mut again, 7).expect("a batch");
        set_base_offset(&mut again, 7).expect("a batch");
        let moved = Batches::new(&again)
            .next()
            .expect("a batch")
            .expect("a batch");
        assert_eq!(moved.verify_crc().is_ok(), crc.is_ok());
    }
    let section = batch.records_section(scratch, &LIMITS).map(<[u8]>::to_vec);
    assert!(scratch.capacity() <= 4 * LIMITS.max_decompressed_len);
    let checked = batch.validated_records(scratch, &LIMITS);
    let checked: Result<Vec<_>, Error> = match checked {
        Ok(records) => records.map(|record| record.map(|r| r.offset)).collect(),
        Err(error) => Err(error),
    };
    let mut records = match batch.records(scratch, &LIMITS) {
        Ok(records) => records,
        Err(error) => {
            assert!(checked.is_err());
            assert!(section.is_err() || !error.to_string().is_empty());
            return;
        }
    };
    assert!(section.is_ok());
    let mut all = Vec::new();
    let failed = loop {
        match records.next() {
            Some(Ok(record)) => all.push(record),
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert!(records.next().is_none() && records.size_hint() == (0, Some(0)));
    if let Ok(offsets) = &checked {
        assert!(crc.is_ok() && failed.is_none());
        assert!(
            offsets
                .iter()
                .copied()
                .eq(all.iter().map(|record| record.offset))
        );
    }
    for record in &all {
        about(record);
    }
    if failed.is_none() {
        rebuild(batch, &all);
    }
}

fn about(record: &Record<'_>) {
    assert_eq!(record.headers.iter().count(), record.headers.len());
    if let Ok(control) = ControlRecord::read(record) {
        let message = ControlMessage::read(record);
        if let Ok(message) = message {
            assert_eq!(message.record_type(), control.record_type);
            let mut value = Vec::new();
            let _ = message.write_value(&mut value);
        }
    }
    framing(record.value.unwrap_or_default());
    framing(record.key.unwrap_or_default());
}

/// What stands before the messages of Kafka's own topics, taken off and put back.
fn framing(bytes: &[u8]) {
    let mut out = Vec::new();
    if let Ok(key) = CoordinatorKey::read(bytes) {
        key.write(&mut out);
        assert_eq!(out, bytes);
    }
    out.clear();
    if let Ok(value) = CoordinatorValue::read(bytes) {
        value.write(&mut out);
        assert_eq!(out, bytes);
    }
    out.clear();
    if let Ok(frame) = MetadataFrame::read(bytes) {
        frame.write(&mut out).expect("it was read");
        // Varints may be longer than they need to be.
        assert!(out.len() <= bytes.len());
        assert_eq!(MetadataFrame::read(&out), Ok(frame));
    }
}

/// A value to compare that borrows nothing: offset, timestamp, key, value and headers.
type Plain = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<PlainHeader>);
type PlainHeader = (Vec<u8>, Option<Vec<u8>>);

fn plain(record: &Record<'_>) -> Plain {
    let headers = record.headers.iter();
    (
        record.offset,
        record.timestamp,
        record.key.map(<[u8]>::to_vec),
        record.value.map(<[u8]>::to_vec),
        headers
            .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    )
}

/// Reads a batch that was just built, in which everything has to be right.
fn built(bytes: &[u8]) -> Vec<Plain> {
    let mut all = Vec::new();
    let mut scratch = Vec::new();
    let limits = Limits::default();
    for batch in Batches::validated(bytes) {
        let batch = batch.expect("a batch");
        let records = batch
            .validated_records(&mut scratch, &limits)
            .expect("records");
        for record in records {
            all.push(plain(&record.expect("a record")));
        }
    }
    all
}

/// Builds a batch with the same records, if there can be one, and reads the same out of it.
fn rebuild(batch: &Batch<'_>, records: &[Record<'_>]) {
    let Some(header) = batch.header() else {
        return rebuild_legacy(batch, records);
    };
    let Ok(compression) = batch.compression() else {
        return;
    };
    let attributes = header.attributes;
    let is_append_time = attributes.timestamp_type() == TimestampType::LogAppendTime;
    let options = BatchOptions {
        base_offset: header.base_offset,
        compression,
        log_append_time: is_append_time.then_some(header.max_timestamp),
        partition_leader_epoch: header.partition_leader_epoch,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: attributes.is_transactional(),
        control: attributes.is_control(),
        delete_horizon_ms: header.delete_horizon_ms(),
        ..BatchOptions::default()
    };
    let Ok(mut builder) = BatchBuilder::new(options) else {
        return;
    };
    for record in records {
        let headers: Vec<Header<'_>> = record.headers.iter().collect();
        let new = NewRecord {
            timestamp: record.stored_timestamp,
            key: record.key,
            value: record.value,
            headers: &headers,
        };
        if !matches!(
            builder.try_append_at(record.offset, &new),
            Ok(Append::Done { .. })
        ) {
            return;
        }
    }
    match builder.finish() {
        Ok(bytes) => assert!(built(&bytes).into_iter().eq(records.iter().map(plain))),
        Err(_) => assert!(records.is_empty()),
    }
}

fn rebuild_legacy(batch: &Batch<'_>, records: &[Record<'_>]) {
    let Some(first) = records.first() else { return };
    let Ok(compression) = batch.compression() else {
        return;
    };
    let is_append_time = batch.timestamp_type() == TimestampType::LogAppendTime;
    let options = MessageSetOptions {
        magic: batch.magic(),
        base_offset: first.offset,
        compression,
        log_append_time: is_append_time.then_some(batch.max_timestamp()),
        ..MessageSetOptions::default()
    };
    let Ok(mut builder) = MessageSetBuilder::new(options) else {
        return;
    };
    for record in records {
        let new = NewRecord {
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: &[],
        };
        if !matches!(
            builder.try_append_at(record.offset, &new),
            Ok(Append::Done { .. })
        ) {
            return;
        }
    }
    let bytes = builder.finish().expect("there is a record");
    assert!(built(&bytes).into_iter().eq(records.iter().map(plain)));
}

/// Builds a batch as the input says, and reads it.
fn build(input: &mut Input<'_>) {
    let flags = input.u8();
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let compression = CODECS[usize::from(input.u8()) % CODECS.len()];
    let options = BatchOptions {
        base_offset: input.i64(),
        compression,
        compression_level: flag(0).then(|| i32::from(input.u8() % 12) - 2),
        log_append_time: flag(1).then(|| input.i64()),
        partition_leader_epoch: if flag(2) { input.i32() } else { -1 },
        producer_id: if flag(3) { input.i64() } else { -1 },
        producer_epoch: if flag(3) { input.i16() } else { -1 },
        base_sequence: if flag(3) { input.i32() } else { -1 },
        transactional: flag(4),
        control: flag(5),
        delete_horizon_ms: flag(6).then(|| input.i64()),
        max_size: if flag(7) {
            usize::from(input.u16())
        } else {
            i32::MAX as usize
        },
    };
    let Ok(mut builder) = BatchBuilder::append_to(b"before".to_vec(), options) else {
        return;
    };
    let mut expected = Vec::new();
    while !input.is_empty() {
        let shape = input.u8();
        let timestamp = if shape & 1 == 0 {
            i64::from(input.u8())
        } else {
            input.i64()
        };
        let (key, value) = (input.nullable_bytes(), input.nullable_bytes());
        let mut headers = Vec::new();
        for _ in 0..shape >> 6 {
            let key = input.bytes();
            headers.push(Header {
                key,
                value: input.nullable_bytes(),
            });
        }
        let record = NewRecord {
            timestamp,
            key,
            value,
            headers: &headers,
        };
        let before = (builder.size(), builder.record_count());
        let appended = if shape & 2 == 0 {
            builder.try_append(&record)
        } else {
            let next = builder.next_offset().unwrap_or(i64::MAX);
            builder.try_append_at(next.saturating_add(input.i16().into()), &record)
        };
        match appended {
            Ok(Append::Done { offset }) => {
                let headers = headers.iter();
                let headers = headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec)));
                expected.push((
                    offset,
                    options.log_append_time.unwrap_or(timestamp),
                    key.map(<[u8]>::to_vec),
                    value.map(<[u8]>::to_vec),
                    headers.collect(),
                ));
                assert!(builder.size() <= options.max_size);
            }
            Ok(Append::Full) => {
                assert!(!expected.is_empty());
                assert_eq!((builder.size(), builder.record_count()), before);
            }
            Err(_) => assert_eq!((builder.size(), builder.record_count()), before),
        }
    }
    match builder.finish() {
        Ok(bytes) => {
            assert!(bytes.starts_with(b"before"));
            assert_eq!(built(&bytes[6..]), expected);
            read(&bytes[6..]);
        }
        // Not every codec has every level.
        Err(error) if options.compression_level.is_some() => {
            let kind = error.kind();
            assert!(expected.is_empty() || matches!(kind, ErrorKind::CompressionFailed { .. }));
        }
        Err(_) => assert!(expected.is_empty()),
    }
}

/// Builds a set of messages of magic 0 or 1 as the input says, and reads it.
fn build_legacy(input: &mut Input<'_>) {
    let flags = input.u8();
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let options = MessageSetOptions {
        magic: (flags & 1).cast_signed(),
        base_offset: input.i64(),
        compression: CODECS[usize::from(input.u8()) % CODECS.len()],
        compression_level: None,
        log_append_time: flag(1).then(|| input.i64()),
        max_size: if flag(2) {
            usize::from(input.u16())
        } else {
            i32::MAX as usize
        },
    };
    let Ok(mut builder) = MessageSetBuilder::new(options) else {
        return;
    };
    let mut expected = Vec::new();
    while !input.is_empty() {
        let shape = input.u8();
        let timestamp = if shape & 1 == 0 {
            i64::from(input.u8())
        } else {
            input.i64()
        };
        let (key, value) = (input.nullable_bytes(), input.nullable_bytes());
        let record = NewRecord {
            timestamp,
            key,
            value,
            headers: &[],
        };
        if let Ok(Append::Done { offset }) = builder.try_append(&record) {
            let timestamp = match options.magic {
                0 => -1,
                _ => options.log_append_time.unwrap_or(timestamp),
            };
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            expected.push((offset, timestamp, owned(key), owned(value), Vec::new()));
        }
    }
    match builder.finish() {
        Ok(bytes) => {
            assert_eq!(built(&bytes), expected);
            read(&bytes);
        }
        Err(_) => assert!(expected.is_empty()),
    }
}

/// A codec on any bytes, and on what it made itself.
fn codec(input: &mut Input<'_>) {
    let codec = CODECS[usize::from(input.u8()) % CODECS.len()];
    // The highest levels of zstd take tables of many megabytes, and with them all the time.
    let level = input.u8();
    let level = (level < 64).then(|| i32::from(level % 14) - 2);
    let mut out = b"before".to_vec();
    let unpacked = codec.decompress(input.rest(), &mut out, &LIMITS);
    assert!(out.starts_with(b"before") && (unpacked.is_ok() || out.len() == 6));
    assert!(out.len() <= 6 + LIMITS.max_decompressed_len);
    let mut packed = Vec::new();
    if codec.compress(input.rest(), level, &mut packed).is_err() {
        return;
    }
    out.clear();
    codec
        .decompress(&packed, &mut out, &LIMITS)
        .unwrap_or_else(|error| panic!("{codec}: {error}"));
    assert_eq!(out, input.rest());
}

/// What Java's record classes wrote, in each form that reads, and a few batches to build.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for line in lines("java/records-4.4.0.jsonl.gz") {
        let bytes = bytes(&line).expect("records");
        for form in [0, 3] {
            seeds.push([&[form], &bytes[..]].concat());
        }
    }
    for form in [4, 5] {
        for codec in 0..5 {
            for flags in [0, 0b1, 0b10, 0b1_1000, 0b1000_0100] {
                let record = b"\x40\x05\x03key\x05value\x01h\xff\x00\x06\xff\x03abc";
                let start = [form, flags, 0, 0, 0, 0, 0, 0, 0, 0, codec];
                let start = if form == 4 {
                    [form, flags, codec, 0, 0, 0, 0, 0, 0, 0, 9]
                } else {
                    start
                };
                seeds.push([&start[..], &[0; 8], &record.repeat(3)].concat());
            }
        }
    }
    for codec in 0..5 {
        for text in [&b""[..], b"abcabcabcabc", &[7; 300]] {
            seeds.push([&[6, codec, 5], text].concat());
            let mut packed = Vec::new();
            let done = CODECS[usize::from(codec)].compress(text, None, &mut packed);
            done.expect("it packs");
            seeds.push([&[6, codec, 5], &packed[..]].concat());
        }
    }
    seeds.push(b"\x07\x01\x19\x03rest".to_vec());
    seeds
}
