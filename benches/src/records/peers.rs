//! The peers' record batches.

use std::hint::black_box;

use bytes::BytesMut;
use kafka_protocol::records::{RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions};
use krabka_protocol::records::{self as krabka_records, validate_one_v2_batch};
use kwire_protocol::records::Compression;

use super::Batch;
use crate::cases::record_values;
use crate::handwritten::record_batch;
use crate::peers::keep;
use crate::timing::{Entry, Operation};

/// The bare loop, over records that are not compressed.
pub fn by_hand(batch: &Batch) -> Vec<Entry<'_>> {
    if batch.compression != Compression::None {
        return Vec::new();
    }
    let frame = &batch.bytes;
    let mut values = Vec::new();
    record_batch::visit(frame, |record| values.push(record.value.expect("a value")))
        .expect("decodes");
    assert!(values.concat() == record_values().concat());
    assert!(record_batch::visit(&frame[..frame.len() - 1], |_| ()).is_err());
    let look = move || {
        record_batch::visit(black_box(frame), |record| {
            black_box(record);
        })
    };
    vec![Entry::new(Operation::BatchIterate, "by hand", look)]
}

/// Shares the batch's bytes, or those that were decompressed.
pub fn kafka_protocol(batch: &Batch) -> Vec<Entry<'_>> {
    const NAME: &str = "kafka-protocol";
    let frame = &batch.bytes;
    let decode = move || RecordBatchDecoder::decode(&mut black_box(frame).clone());
    let options = keep(RecordEncodeOptions {
        version: 2,
        compression: match batch.compression {
            Compression::None => kafka_protocol::records::Compression::None,
            Compression::Gzip => kafka_protocol::records::Compression::Gzip,
            Compression::Snappy => kafka_protocol::records::Compression::Snappy,
            Compression::Lz4 => kafka_protocol::records::Compression::Lz4,
            Compression::Zstd => kafka_protocol::records::Compression::Zstd,
        },
    });
    let records = keep(decode().expect("the peer decodes").records);
    let mut out = BytesMut::new();
    let encode = move || {
        out.clear();
        let done = RecordBatchEncoder::encode(&mut out, black_box(records), options);
        black_box(&out);
        done.map(|()| out.len())
    };
    let mut written = BytesMut::new();
    RecordBatchEncoder::encode(&mut written, records, options).expect("the peer encodes");
    batch.check(NAME, &written);
    vec![
        Entry::new(Operation::BatchEncode, NAME, encode),
        Entry::new(Operation::BatchDecode, NAME, decode),
    ]
}

/// Shares the bytes in its owned form; visits the records in its borrowed one.
pub fn krabka(batch: &Batch) -> Vec<Entry<'_>> {
    const NAME: &str = "krabka-protocol";
    let frame = &batch.bytes;
    let decode = move || krabka_records::RecordBatch::decode_batch(&mut black_box(frame).clone());
    let value = keep(decode().expect("the peer decodes"));
    batch.check(NAME, &value.encode_to_bytes().expect("the peer encodes"));
    let mut out = BytesMut::new();
    vec![
        Entry::new(Operation::BatchEncode, NAME, move || {
            out.clear();
            let done = black_box(value).encode_batch(&mut out);
            black_box(&out);
            done
        }),
        Entry::new(Operation::BatchEncode, NAME, move || {
            black_box(value).encode_to_bytes()
        }),
        Entry::new(Operation::BatchDecode, NAME, decode),
        Entry::new(Operation::BatchIterate, NAME, move || {
            validate_one_v2_batch(black_box(frame)).and_then(|batch| {
                batch.validate_record_summaries_with(Default::default(), |record| {
                    black_box(record);
                })
            })
        }),
        Entry::new(Operation::BatchIterate, NAME, move || {
            validate_one_v2_batch(black_box(frame)).and_then(|batch| {
                batch.validate_records_with(Default::default(), |record| {
                    black_box(record);
                })
            })
        }),
    ]
}

/// Shares the batch's bytes, or those that were decompressed.
pub fn kacrab(batch: &Batch) -> Vec<Entry<'_>> {
    const NAME: &str = "kacrab-protocol";
    let frame = &batch.bytes;
    let decode =
        move || kacrab_protocol::record::RecordBatch::decode(&mut black_box(frame).clone());
    let value = keep(decode().expect("the peer decodes"));
    let mut out = BytesMut::new();
    value.encode(&mut out).expect("the peer encodes");
    batch.check(NAME, &out);
    vec![
        Entry::new(Operation::BatchEncode, NAME, move || {
            out.clear();
            let done = black_box(value).encode(&mut out);
            black_box(&out);
            done
        }),
        Entry::new(Operation::BatchDecode, NAME, decode),
    ]
}
