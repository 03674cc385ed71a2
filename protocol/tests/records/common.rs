//! What several tests share: batches made by hand, and reading one.

use kwire_protocol::records::{
    Attributes, BatchHeader, Batches, Compression, Error, ErrorKind, Limits,
};

/// A batch of magic 2 with a valid length and checksum.
pub fn batch_of(compression: Compression, record_count: i32, section: &[u8]) -> Vec<u8> {
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
pub fn read(bytes: &[u8], limits: &Limits) -> Result<usize, Error> {
    let batch = Batches::validated(bytes).next().expect("a batch")?;
    let mut scratch = Vec::new();
    let mut count = 0;
    for record in batch.validated_records(&mut scratch, limits)? {
        record?;
        count += 1;
    }
    Ok(count)
}

pub fn refusal(bytes: &[u8]) -> ErrorKind {
    read(bytes, &Limits::default())
        .expect_err("it is to be refused")
        .kind()
}

pub fn plain(record_count: i32, section: &[u8]) -> Vec<u8> {
    batch_of(Compression::None, record_count, section)
}

/// A record of one byte of value: length, attributes, deltas, no key, the value, no headers.
pub const RECORD: &[u8] = b"\x0e\0\0\0\x01\x02v\0";
