//! What holds of any bytes and any records.
#![cfg(feature = "records")]

use crate::common::{RECORD, batch_of, plain};
use kwire_protocol::records::control::ControlRecord;
use kwire_protocol::records::{
    Append, Batch, BatchBuilder, BatchOptions, Batches, Compression, Header, Limits, NewRecord,
    TimestampType,
};
use proptest::prelude::*;

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
