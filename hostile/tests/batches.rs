//! Record batches of every magic and compression, damaged at every byte.

use kwire_hostile::cost::{self, Bound, Cost, Worst};
use kwire_hostile::damage::Random;
use kwire_hostile::fixtures::{lines, unhex};
use kwire_protocol::records::control::ControlRecord;
use kwire_protocol::records::framing::{CoordinatorKey, CoordinatorValue, MetadataFrame};
use kwire_protocol::records::{Batches, Limits};

/// So that a damaged batch may come to much more than it was, and not be the whole test.
const LIMITS: Limits = Limits {
    max_decompressed_len: 1 << 16,
    max_record_len: 1 << 16,
};

/// Batches that are not compressed cost nothing, whatever they say.
const NOTHING: Bound = Bound {
    total: 0,
    peak: 0,
    constant: 0,
};

/// Compressed ones cost the decoder, and twice the limit while the buffer grows.
const DECOMPRESSED: Bound = Bound {
    total: 0,
    peak: 0,
    constant: 4 * (1 << 16) + (64 << 10),
};

/// Reads all that there is to read, checksums aside.
fn read(bytes: &[u8], validate: bool) {
    for batch in Batches::new(bytes).flatten() {
        let mut scratch = Vec::new();
        let records = match validate {
            true => batch.validated_records(&mut scratch, &LIMITS),
            false => batch.records(&mut scratch, &LIMITS),
        };
        for record in records.into_iter().flatten().flatten() {
            let _ = ControlRecord::read(&record);
            assert_eq!(record.headers.iter().count(), record.headers.len());
        }
    }
}

/// One batch after another costs what each does, so that the bound is for one.
fn see(bytes: &[u8], worst: &mut [Worst; 2], what: &str) {
    let batches: Vec<_> = Batches::new(bytes).flatten().collect();
    let plain = batches
        .iter()
        .all(|batch| batch.compression().map_or(true, |c| c.code() == 0));
    let count = batches.len().max(1) as u64;
    let cost = cost::of(|| read(bytes, false));
    let each = Cost {
        total: cost.total / count,
        ..cost
    };
    let (worst, bound) = match plain {
        true => (&mut worst[0], NOTHING),
        false => (&mut worst[1], DECOMPRESSED),
    };
    worst.see(each, bytes.len(), &bound, || what.to_owned());
}

fn print(title: &str, worst: &[Worst; 2]) {
    println!(
        "{title}: {} not compressed, {} compressed",
        worst[0].inputs, worst[1].inputs
    );
}

/// The batches of Kafka's classes, of every magic and compression.
fn batches() -> Vec<(String, Vec<u8>)> {
    let lines = lines("java/records-4.4.0.jsonl.gz").filter(|line| line["hex"].is_string());
    let all = lines.map(|line| {
        let name = line["name"].as_str().unwrap_or_default().to_owned();
        (name, unhex(line["hex"].as_str().unwrap()))
    });
    all.filter(|(_, bytes)| bytes.len() < 20_000).collect()
}

/// Every field of a header and every length in front of what it measures is somewhere.
#[test]
fn every_byte_replaced() {
    let mut worst = <[Worst; 2]>::default();
    for (name, bytes) in batches() {
        see(&bytes, &mut worst, &name);
        for at in 0..bytes.len().min(160) {
            let mut inputs = Vec::new();
            for value in [0, 1, -1, -2, i32::MAX, i32::MIN, 1 << 20] {
                inputs.push(overwritten(&bytes, at, &i32::to_be_bytes(value)));
            }
            for byte in [0, 1, 2, 3, 4, 7, 0x7f, 0x80, 0xff] {
                inputs.push(overwritten(&bytes, at, &[byte]));
            }
            // Varints of records: the largest, the least, one that is too long.
            for varint in [
                &b"\xfe\xff\xff\xff\x0f"[..],
                b"\xff\xff\xff\xff\x0f",
                &[0x80; 11],
            ] {
                inputs.push(overwritten(&bytes, at, varint));
                inputs.push([&bytes[..at], varint, &bytes[at + 1..]].concat());
            }
            for input in inputs {
                see(&input, &mut worst, &name);
            }
        }
    }
    print("replaced", &worst);
    assert!(worst[0].inputs > 10_000 && worst[1].inputs > 100_000);
}

fn overwritten(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let end = out.len().min(at + with.len());
    out[at..end].copy_from_slice(&with[..end - at]);
    out
}

#[test]
fn every_truncation_and_bit_flips() {
    let mut worst = <[Worst; 2]>::default();
    let mut random = Random::new(20_260_105);
    for (name, bytes) in batches() {
        for len in 0..bytes.len().min(400) {
            see(&bytes[..len], &mut worst, &name);
            // Cut short, with a length that says so.
            if len > 12 {
                let mut short = bytes[..len].to_vec();
                short[8..12].copy_from_slice(&(len as i32 - 12).to_be_bytes());
                see(&short, &mut worst, &name);
            }
        }
        for _ in 0..200 {
            let input = random.flipped(&bytes);
            see(&input, &mut worst, &name);
            read(&input, true);
        }
    }
    print("truncated and flipped", &worst);
    assert!(worst[0].inputs > 5_000 && worst[1].inputs > 20_000);
}

/// A batch of a million records costs no more than one of ten.
#[test]
fn records_are_read_without_allocating() {
    let (_, batch) = batches().swap_remove(0);
    let record = &batch[61..];
    for count in [10, 100_000] {
        let mut bytes = batch[..61].to_vec();
        bytes.extend(record.repeat(count));
        let len = bytes.len() as i32 - 12;
        bytes[8..12].copy_from_slice(&len.to_be_bytes());
        bytes[57..61].copy_from_slice(&(count as i32).to_be_bytes());
        let mut read = 0;
        let cost = cost::of(|| {
            let batch = Batches::new(&bytes).next().unwrap().unwrap();
            let mut scratch = Vec::new();
            read = batch
                .records(&mut scratch, &Limits::default())
                .unwrap()
                .flatten()
                .count();
        });
        assert_eq!((read, cost), (count, Cost::default()));
    }
}

/// What comes before the message in records of internal topics.
#[test]
fn framings() {
    let mut random = Random::new(20_260_107);
    let mut taken = 0;
    for round in 0..50_000 {
        let len = round % 14;
        let odd = [0, 1, 2, 3, 0x7f, 0x80, 0xff];
        let bytes: Vec<u8> = (0..len).map(|_| odd[random.below(odd.len())]).collect();
        let cost = cost::of(|| {
            taken += usize::from(MetadataFrame::read(&bytes).is_ok());
            taken += usize::from(CoordinatorKey::read(&bytes).is_ok());
            taken += usize::from(CoordinatorValue::read(&bytes).is_ok());
        });
        assert!(cost.total == 0, "{bytes:x?}: {cost:?}");
    }
    println!("150000 framings, {taken} taken");
    assert!(taken > 10_000);
}
