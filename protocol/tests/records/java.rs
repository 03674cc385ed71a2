//! Record batches against those that Kafka's own classes wrote.
#![cfg(feature = "records")]

use std::io::Read;

use kwire_protocol::records::control::{ControlRecord, ControlRecordType, EndTxnMarker};
use kwire_protocol::records::{
    Append, Batch, BatchBuilder, BatchHeader, BatchOptions, Batches, Compression, ErrorKind,
    Header, Limits, MessageSetBuilder, MessageSetOptions, NewRecord, Record, TimestampType,
};
use serde_json::{Value, json};

struct Line {
    name: String,
    bytes: Vec<u8>,
    json: Value,
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines of the fixture, without those whose codec this build does not have.
fn lines() -> Vec<Line> {
    let packed = include_bytes!("../fixtures/java/records-4.4.0.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .unwrap();
    let lines: Vec<Line> = text
        .lines()
        .map(|line| {
            let json: Value = serde_json::from_str(line).unwrap();
            let name = json["name"].as_str().unwrap().to_owned();
            Line {
                name,
                bytes: unhex(json["hex"].as_str().unwrap()),
                json,
            }
        })
        .collect();
    assert_eq!(lines.len(), 179);
    let missing = |line: &Line| {
        let batches = line.json["batches"].as_array();
        batches.into_iter().flatten().any(|batch| {
            Compression::ALL
                .iter()
                .any(|codec| batch["compression"] == codec.name() && !codec.is_available())
        })
    };
    lines.into_iter().filter(|line| !missing(line)).collect()
}

fn good_lines() -> Vec<Line> {
    let (corrupt, good) = lines().into_iter().partition::<Vec<_>, _>(is_corrupt);
    assert_eq!(corrupt.len(), 5);
    let (mut legacy, mut all) = (0, 0);
    for codec in Compression::ALL[1..]
        .iter()
        .filter(|codec| codec.is_available())
    {
        all += 1;
        legacy += if *codec == Compression::Zstd { 0 } else { 1 };
    }
    // Two lines of several batches have zstd among them.
    assert_eq!(good.len(), 52 + 12 * all + 24 * legacy + 2 * (all - legacy));
    good
}

fn is_corrupt(line: &Line) -> bool {
    line.json.get("error").is_some()
}

fn batches(bytes: &[u8]) -> Vec<Batch<'_>> {
    Batches::validated(bytes).collect::<Result<_, _>>().unwrap()
}

/// What the fixture says of a batch, said of ours.
fn describe(batch: &Batch<'_>) -> Value {
    let mut scratch = Vec::new();
    let limits = Limits::default();
    let compression = batch.compression().unwrap();
    let control = batch
        .header()
        .is_some_and(|header| header.attributes.is_control());
    let records = batch.validated_records(&mut scratch, &limits).unwrap();
    let records: Vec<Value> = records
        .map(|record| describe_record(batch, control, &record.unwrap()))
        .collect();
    // Only the records inside a compressed message of magic 0 and 1 tell its base offset.
    let base_offset = batch.base_offset().unwrap_or_else(|| {
        assert!(batch.magic() < 2);
        records[0]["offset"].as_i64().unwrap()
    });
    let mut out = json!({
        "magic": batch.magic(),
        "compression": compression.name(),
        "timestampType": match batch.timestamp_type() {
            TimestampType::None => "NO_TIMESTAMP_TYPE",
            TimestampType::CreateTime => "CREATE_TIME",
            TimestampType::LogAppendTime => "LOG_APPEND_TIME",
        },
        "baseOffset": base_offset,
        "lastOffset": batch.last_offset(),
        "maxTimestamp": batch.max_timestamp(),
        "sizeInBytes": batch.bytes().len(),
        "crc": -1,
        "records": records,
    });
    if let Some(header) = batch.header() {
        out["crc"] = batch.crc().into();
        out["baseTimestamp"] = header.base_timestamp.into();
        out["partitionLeaderEpoch"] = header.partition_leader_epoch.into();
        out["producerId"] = header.producer_id.into();
        out["producerEpoch"] = header.producer_epoch.into();
        out["baseSequence"] = header.base_sequence.into();
        out["lastSequence"] = header.last_sequence().into();
        out["transactional"] = header.attributes.is_transactional().into();
        out["control"] = control.into();
        out["countOrNull"] = header.record_count.into();
        out["deleteHorizonMs"] = header.delete_horizon_ms().into();
        if compression != Compression::None {
            let section = batch.records_section(&mut scratch, &limits).unwrap();
            out["recordsHex"] = hex(section).into();
        }
    }
    out
}

fn describe_record(batch: &Batch<'_>, control: bool, record: &Record<'_>) -> Value {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|header| json!([header.key_str().unwrap(), header.value.map(hex)]))
        .collect();
    let mut out = json!({
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": record.key.map(hex),
        "value": record.value.map(hex),
        "headers": headers,
    });
    if batch.magic() >= 2 {
        out["sequence"] = record.sequence.into();
    }
    if control {
        let name = match ControlRecord::read(record).unwrap().record_type {
            ControlRecordType::Abort => "ABORT",
            ControlRecordType::Commit => "COMMIT",
            ControlRecordType::LeaderChange => "LEADER_CHANGE",
            ControlRecordType::SnapshotHeader => "SNAPSHOT_HEADER",
            ControlRecordType::SnapshotFooter => "SNAPSHOT_FOOTER",
            ControlRecordType::KRaftVersion => "KRAFT_VERSION",
            ControlRecordType::KRaftVoters => "KRAFT_VOTERS",
            ControlRecordType::Unknown(_) => "UNKNOWN",
        };
        out["controlType"] = name.into();
    }
    out
}

#[test]
fn every_field_is_as_java_reads_it() {
    for Line { name, bytes, json } in good_lines() {
        let ours: Vec<Value> = batches(&bytes).iter().map(describe).collect();
        let theirs = json["batches"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            // Key by key, for a message one can read; then all, for keys only one side has.
            for (key, value) in theirs.as_object().unwrap() {
                assert_eq!(&ours[key], value, "{name}: {key}");
            }
            assert_eq!(ours, theirs, "{name}");
        }
        let mut all = Batches::new(&bytes);
        let read: usize = all.by_ref().map(|batch| batch.unwrap().bytes().len()).sum();
        let partial = if name == "multi/two and a partial" {
            30
        } else {
            0
        };
        assert_eq!((all.remainder(), all.position()), (partial, read), "{name}");
        assert_eq!(read + partial, bytes.len());
    }
}

/// The same records, written anew with the options of the batch.
fn rebuild(batch: &Batch<'_>, header: &BatchHeader) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: header.base_offset,
        compression: batch.compression().unwrap(),
        compression_level: None,
        log_append_time: (batch.timestamp_type() == TimestampType::LogAppendTime)
            .then_some(header.max_timestamp),
        partition_leader_epoch: header.partition_leader_epoch,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.attributes.is_transactional(),
        control: header.attributes.is_control(),
        delete_horizon_ms: header.delete_horizon_ms(),
        max_size: i32::MAX as usize,
    })
    .unwrap();
    let mut scratch = Vec::new();
    for record in batch.records(&mut scratch, &Limits::default()).unwrap() {
        let record = record.unwrap();
        let headers: Vec<Header<'_>> = record.headers.iter().collect();
        let appended = builder.try_append_at(
            record.offset,
            &NewRecord {
                timestamp: record.stored_timestamp,
                key: record.key,
                value: record.value,
                headers: &headers,
            },
        );
        assert_eq!(
            appended,
            Ok(Append::Done {
                offset: record.offset
            })
        );
    }
    builder.finish().unwrap()
}

#[test]
fn batches_of_magic_2_come_out_of_the_builder_as_they_went_in() {
    let (mut same, mut compressed, mut empty) = (0, 0, 0);
    for Line { name, bytes, .. } in good_lines() {
        for batch in batches(&bytes) {
            let Some(header) = batch.header() else {
                continue;
            };
            if header.record_count == 0 {
                let mut written = Vec::new();
                header.write_batch(b"", &mut written).unwrap();
                assert_eq!(written, batch.bytes(), "{name}");
                empty += 1;
                continue;
            }
            let written = rebuild(&batch, header);
            if batch.compression().unwrap() == Compression::None {
                assert_eq!(hex(&written), hex(batch.bytes()), "{name}");
                same += 1;
                continue;
            }
            let again = batches(&written);
            let [again] = again[..] else { panic!("{name}") };
            let expected = BatchHeader {
                crc: again.crc(),
                batch_length: again.bytes().len() as i32 - 12,
                ..*header
            };
            assert_eq!(again.header(), Some(&expected), "{name}");
            let (mut one, mut other) = (Vec::new(), Vec::new());
            let limits = Limits::default();
            let section = again.records_section(&mut one, &limits).unwrap();
            assert!(
                section == batch.records_section(&mut other, &limits).unwrap(),
                "{name}"
            );
            compressed += 1;
        }
    }
    let zstd = Compression::Zstd.is_available();
    assert_eq!((same, empty), (if zstd { 22 } else { 20 }, 8));
    let codecs = Compression::ALL[1..]
        .iter()
        .filter(|codec| codec.is_available())
        .count();
    // Twelve of each codec; the two lines of several batches have one of zstd each.
    let expected = 12 * codecs
        + if Compression::Zstd.is_available() {
            2
        } else {
            0
        };
    assert_eq!(compressed, expected);
}

#[test]
fn messages_of_magic_0_and_1_come_out_of_the_builder_as_they_went_in() {
    let mut rebuilt = 0;
    for Line { name, bytes, .. } in good_lines() {
        let all = batches(&bytes);
        let first = all[0];
        if first.magic() == 2 {
            continue;
        }
        let compression = first.compression().unwrap();
        let mut builder = MessageSetBuilder::new(MessageSetOptions {
            magic: first.magic(),
            base_offset: 50,
            compression,
            log_append_time: (first.timestamp_type() == TimestampType::LogAppendTime)
                .then_some(first.max_timestamp()),
            ..Default::default()
        })
        .unwrap();
        let mut scratch = Vec::new();
        for batch in &all {
            for record in batch
                .validated_records(&mut scratch, &Limits::default())
                .unwrap()
            {
                let Record {
                    offset,
                    stored_timestamp: timestamp,
                    key,
                    value,
                    ..
                } = record.unwrap();
                let record = NewRecord {
                    timestamp,
                    key,
                    value,
                    headers: &[],
                };
                let appended = builder.try_append_at(offset, &record);
                assert_eq!(appended, Ok(Append::Done { offset }), "{name}");
            }
        }
        let written = builder.finish().unwrap();
        rebuilt += 1;
        if compression == Compression::None {
            assert_eq!(hex(&written), hex(&bytes), "{name}");
            continue;
        }
        // All before the checksum and after it up to the compressed value but for the length.
        let value_at = if first.magic() == 0 { 22 } else { 30 };
        assert_eq!(written[..8], bytes[..8], "{name}");
        assert_eq!(written[16..value_at], bytes[16..value_at], "{name}");
        let again = batches(&written);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let limits = Limits::default();
        let section = again[0].records_section(&mut one, &limits).unwrap();
        assert!(
            section == first.records_section(&mut other, &limits).unwrap(),
            "{name}"
        );
    }
    let codecs = Compression::ALL[..4]
        .iter()
        .filter(|codec| codec.is_available())
        .count();
    assert_eq!(rebuilt, 24 * codecs);
}

#[test]
fn what_java_refuses_is_refused_for_the_same_reason() {
    let mut refused = 0;
    for Line { name, bytes, json } in lines().into_iter().filter(is_corrupt) {
        let error = Batches::validated(&bytes).next().unwrap().unwrap_err();
        let ErrorKind::CrcMismatch { stored, computed } = error.kind() else {
            panic!("{name}: {error}")
        };
        let said = format!("Record is corrupt (stored crc = {stored}, computed crc = {computed})");
        assert_eq!(json["message"], said.as_str(), "{name}");
        assert_eq!(error.place().unwrap().base_offset, Some(0));

        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        assert_eq!(batch.verify_crc(), Err(error));
        let mut scratch = Vec::new();
        let records = batch.validated_records(&mut scratch, &Limits::default());
        assert_eq!(records.map(|_| ()), Err(error), "{name}");
        refused += 1;
    }
    assert_eq!(refused, 5);
}

#[test]
fn markers_of_transactions() {
    for (name, expected) in [
        ("control/COMMIT", ControlRecordType::Commit),
        ("control/ABORT", ControlRecordType::Abort),
    ] {
        let line = good_lines()
            .into_iter()
            .find(|line| line.name == name)
            .unwrap();
        let batch = batches(&line.bytes)[0];
        let mut scratch = Vec::new();
        let mut records = batch.records(&mut scratch, &Limits::default()).unwrap();
        let control = ControlRecord::read(&records.next().unwrap().unwrap()).unwrap();
        assert_eq!((control.key_version, control.record_type), (0, expected));
        let marker = EndTxnMarker::read(control.value.unwrap()).unwrap();
        assert_eq!(
            marker,
            EndTxnMarker {
                coordinator_epoch: 31
            }
        );

        let header = batch.header().unwrap();
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: 77,
            partition_leader_epoch: 4,
            producer_id: 1_234_567_890_123,
            producer_epoch: 9,
            transactional: true,
            control: true,
            ..Default::default()
        })
        .unwrap();
        let appended =
            builder.try_append_control(header.max_timestamp, expected, &marker.to_bytes());
        assert_eq!(appended, Ok(Append::Done { offset: 77 }));
        assert_eq!(hex(&builder.finish().unwrap()), hex(&line.bytes));
    }
}

#[test]
fn scratch_is_used_again_and_plain_batches_do_not_touch_it() {
    let mut scratch = Vec::new();
    for Line { name, bytes, .. } in good_lines() {
        for batch in batches(&bytes) {
            if batch.compression().unwrap() != Compression::None {
                continue;
            }
            let inside = batch.bytes().as_ptr_range();
            for record in batch.records(&mut scratch, &Limits::default()).unwrap() {
                let value = record.unwrap().value.unwrap_or(batch.bytes());
                assert!(
                    inside.contains(&value.as_ptr()) || value.is_empty(),
                    "{name}"
                );
            }
            assert_eq!(scratch.capacity(), 0, "{name}");
        }
    }
}

#[test]
fn every_truncation_gives_whole_batches_and_the_rest() {
    for Line { name, bytes, .. } in good_lines() {
        if bytes.len() > 5000 {
            continue;
        }
        let ends: Vec<usize> = batches(&bytes)
            .iter()
            .map(|batch| batch.position() + batch.bytes().len())
            .collect();
        for end in 0..bytes.len() {
            let mut cut = Batches::validated(&bytes[..end]);
            let read: Vec<usize> = cut
                .by_ref()
                .map(|batch| batch.unwrap_or_else(|e| panic!("{name} cut at {end}: {e}")))
                .map(|batch| batch.position() + batch.bytes().len())
                .collect();
            let whole: Vec<usize> = ends.iter().copied().filter(|&at| at <= end).collect();
            assert_eq!(read, whole, "{name} cut at {end}");
            assert_eq!(
                cut.remainder(),
                end - whole.last().copied().unwrap_or(0),
                "{name}"
            );
        }
    }
}

/// Cuts the records section, under a header that is in order again.
#[test]
fn every_truncated_section_is_refused_after_the_records_before_it() {
    let mut cuts = 0;
    for Line { name, bytes, .. } in good_lines() {
        if bytes.len() > 2500 {
            continue;
        }
        for batch in batches(&bytes) {
            let Some(header) = batch.header() else {
                continue;
            };
            let (mut scratch, mut cut_scratch) = (Vec::new(), Vec::new());
            let limits = Limits::default();
            let whole: Vec<Record<'_>> = batch
                .records(&mut scratch, &limits)
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let section = &batch.bytes()[61..];
            for end in 0..section.len() {
                let mut cut = Vec::new();
                header.write_batch(&section[..end], &mut cut).unwrap();
                let [batch] = batches(&cut)[..] else {
                    panic!("{name} cut at {end}")
                };
                cuts += 1;
                let Ok(mut records) = batch.records(&mut cut_scratch, &limits) else {
                    continue;
                };
                let mut read = Vec::new();
                let error = loop {
                    match records.next() {
                        Some(Ok(record)) => read.push(record),
                        Some(Err(error)) => break Some(error),
                        None => break None,
                    }
                };
                assert!(error.is_some(), "{name} cut at {end}");
                assert!(records.next().is_none());
                assert!(whole.starts_with(&read), "{name} cut at {end}");
            }
        }
    }
    assert!(cuts > 500, "{cuts}");
}

#[test]
fn every_flipped_bit_under_the_checksum_is_noticed() {
    for name in ["v2/none/headers", "v1/none/one", "v0/none/one"] {
        let line = good_lines()
            .into_iter()
            .find(|line| line.name == name)
            .unwrap();
        let from = if name.starts_with("v2") { 17 } else { 12 };
        for at in from..line.bytes.len() {
            for bit in 0..8 {
                let mut bytes = line.bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(
                    Batches::validated(&bytes).any(|batch| batch.is_err()),
                    "{name}: {at}"
                );
            }
        }
    }
}
