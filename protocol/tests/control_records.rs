//! Control batches that Java wrote: read into their messages, and written again.

use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;
use kwire_protocol::records::control::{ControlMessage, ControlRecordType};
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, Batches, Limits};
use serde_json::Value;

#[test]
fn every_type_reads_and_writes_as_in_java() {
    let fixture = include_bytes!("fixtures/java/records-4.4.0.jsonl.gz");
    let mut seen = Vec::new();
    for line in BufReader::new(GzDecoder::new(&fixture[..])).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let name = line["name"].as_str().unwrap();
        if !name.starts_with("control/") {
            continue;
        }
        let hex = line["hex"].as_str().unwrap();
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let mut scratch = Vec::new();
        for batch in Batches::validated(&bytes) {
            let batch = batch.unwrap();
            let header = batch.header().unwrap();
            let mut builder = BatchBuilder::new(BatchOptions {
                base_offset: header.base_offset,
                partition_leader_epoch: header.partition_leader_epoch,
                producer_id: header.producer_id,
                producer_epoch: header.producer_epoch,
                base_sequence: header.base_sequence,
                transactional: header.attributes.is_transactional(),
                control: true,
                ..BatchOptions::default()
            })
            .unwrap();
            for record in batch.records(&mut scratch, &Limits::default()).unwrap() {
                let record = record.unwrap();
                let message =
                    ControlMessage::read(&record).unwrap_or_else(|e| panic!("{name}: {e}"));
                check(name, &message);
                seen.push(message.record_type());
                let mut value = Vec::new();
                message.write_value(&mut value).unwrap();
                let appended = builder
                    .try_append_control(record.timestamp, message.record_type(), &value)
                    .unwrap();
                assert_eq!(
                    appended,
                    Append::Done {
                        offset: record.offset
                    },
                    "{name}"
                );
            }
            assert_eq!(builder.finish().unwrap(), bytes, "{name}");
        }
    }
    for code in 0..=6 {
        let wanted = ControlRecordType::from_code(code);
        assert!(seen.contains(&wanted), "no {wanted:?} in the fixture");
    }
}

/// What the fixture's writer put into the messages.
fn check(name: &str, message: &ControlMessage<'_>) {
    match message {
        ControlMessage::Abort(marker) | ControlMessage::Commit(marker) => {
            assert_eq!(marker.coordinator_epoch, 31, "{name}");
        }
        ControlMessage::LeaderChange(change) => {
            assert_eq!(change.leader_id, 2, "{name}");
            assert_eq!(change.voters.len(), 3, "{name}");
            assert_eq!(change.granting_voters[1].voter_id, 3, "{name}");
        }
        ControlMessage::SnapshotHeader(header) => {
            assert_eq!(
                header.last_contained_log_timestamp, 1_699_999_999_999,
                "{name}"
            );
        }
        ControlMessage::SnapshotFooter(footer) => assert_eq!(footer.version, 0, "{name}"),
        ControlMessage::KRaftVersion(version) => assert_eq!(version.kraft_version, 1, "{name}"),
        ControlMessage::KRaftVoters(voters) => {
            assert_eq!(voters.voters.len(), 3, "{name}");
            assert_eq!(voters.voters[2].endpoints[1].host, "höst", "{name}");
            assert_eq!(voters.voters[2].endpoints[1].port, 65535, "{name}");
        }
        other => panic!("{name}: {other:?}"),
    }
}
