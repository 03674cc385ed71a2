//! kwire's record batches.

use std::hint::black_box;

use bytes::Bytes;
use kwire_protocol::records::{
    BatchBuilder, BatchOptions, Batches, Compression, Error, Limits, NewRecord,
};

use super::Batch;
use crate::cases::{FIRST_TIMESTAMP, record_values};
use crate::timing::{Entry, Operation};

const NAME: &str = "kwire";

/// A record that shares the batch's bytes, or those that were decompressed.
#[allow(dead_code)]
pub struct Owned {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

pub fn entries(batch: &Batch) -> Vec<Entry<'_>> {
    let (frame, compression) = (&batch.bytes, batch.compression);
    let values = record_values();
    assert!(encode(Vec::new(), compression, &values).expect("encodes") == *frame);
    assert!(count(frame, &mut Vec::new()).expect("decodes") == values.len());
    let mut out = Vec::new();
    let mut scratch = Vec::new();
    vec![
        Entry::new(Operation::BatchEncode, NAME, move || {
            out.clear();
            let done = encode(std::mem::take(&mut out), compression, black_box(&values));
            done.map(|bytes| out = bytes)
        }),
        Entry::new(Operation::BatchDecode, NAME, || owned(black_box(frame))),
        Entry::new(Operation::BatchIterate, NAME, move || {
            count(black_box(frame), &mut scratch)
        }),
    ]
}

fn encode(
    out: Vec<u8>,
    compression: Compression,
    values: &[impl AsRef<[u8]>],
) -> Result<Vec<u8>, Error> {
    let options = BatchOptions {
        compression,
        ..Default::default()
    };
    let mut builder = BatchBuilder::append_to(out, options)?;
    for (timestamp, value) in (FIRST_TIMESTAMP..).zip(values) {
        let appended = builder.try_append(&NewRecord {
            timestamp,
            key: None,
            value: Some(value.as_ref()),
            headers: &[],
        })?;
        let _ = black_box(appended);
    }
    builder.finish()
}

fn count(frame: &[u8], scratch: &mut Vec<u8>) -> Result<usize, Error> {
    let mut count = 0;
    for batch in Batches::validated(frame) {
        for record in batch?.records(scratch, &Limits::default())? {
            black_box(&record?);
            count += 1;
        }
    }
    Ok(count)
}

/// The records, each value cut out of a buffer that all share.
pub fn owned(frame: &Bytes) -> Result<Vec<Owned>, Error> {
    let mut owned = Vec::new();
    for batch in Batches::validated(frame) {
        let batch = batch?;
        let count = batch.header().map_or(0, |header| header.record_count);
        // A count that lies must not cost more than the frame.
        owned.reserve(usize::try_from(count).unwrap_or_default().min(frame.len()));
        if batch.compression()? == Compression::None {
            let mut unused = Vec::new();
            let records = batch.records(&mut unused, &Limits::default())?;
            for record in records {
                let record = record?;
                owned.push(Owned {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    key: record.key.map(|key| frame.slice_ref(key)),
                    value: record.value.map(|value| frame.slice_ref(value)),
                    headers: (record.headers.iter())
                        .map(|h| (frame.slice_ref(h.key), h.value.map(|v| frame.slice_ref(v))))
                        .collect(),
                });
            }
        } else {
            decompressed(&batch, &mut owned)?;
        }
    }
    Ok(owned)
}

/// Where something lies in memory: the buffer can be shared only when nothing borrows from it.
type Place = (usize, usize);

fn decompressed(
    batch: &kwire_protocol::records::Batch<'_>,
    owned: &mut Vec<Owned>,
) -> Result<(), Error> {
    let place = |bytes: &[u8]| -> Place { (bytes.as_ptr() as usize, bytes.len()) };
    let mut scratch = Vec::new();
    let mut places: Vec<(Option<Place>, Option<Place>)> = Vec::with_capacity(owned.capacity());
    let mut header_places = Vec::new();
    for record in batch.records(&mut scratch, &Limits::default())? {
        let record = record?;
        places.push((record.key.map(place), record.value.map(place)));
        for header in record.headers.iter() {
            header_places.push((owned.len(), place(header.key), header.value.map(place)));
        }
        owned.push(Owned {
            offset: record.offset,
            timestamp: record.timestamp,
            key: None,
            value: None,
            headers: Vec::new(),
        });
    }
    let start = scratch.as_ptr() as usize;
    let shared = Bytes::from(scratch);
    let cut = |(at, len): Place| shared.slice(at - start..at - start + len);
    let first = owned.len() - places.len();
    for (record, (key, value)) in owned[first..].iter_mut().zip(places) {
        (record.key, record.value) = (key.map(cut), value.map(cut));
    }
    for (record, key, value) in header_places {
        owned[record].headers.push((cut(key), value.map(cut)));
    }
    Ok(())
}
