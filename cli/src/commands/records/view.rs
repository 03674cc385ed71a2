//! What is shown of a batch and of a record, for text and JSON alike.

use kwire_protocol::records::control::{ControlRecord, ControlRecordType, EndTxnMarker};
use kwire_protocol::records::framing::MetadataFrame;
use kwire_protocol::records::{self, Batch, Record, TimestampType};
use kwire_server::producers::Span;
use kwire_server::state::Entry;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::messages;
use crate::output;

/// What of the batches is wanted.
#[derive(Clone, Copy)]
pub(crate) struct What {
    /// The records, not only the batches.
    pub(crate) records: bool,
    /// Records hold messages of the KRaft metadata log.
    pub(crate) metadata: bool,
    /// Records may hold what this program's own servers know, as those of their snapshots do.
    pub(crate) state: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchView {
    pub(crate) position: usize,
    pub(crate) size: usize,
    pub(crate) magic: i8,
    /// Not at hand for compressed messages of magic 0 and 1.
    pub(crate) base_offset: Option<i64>,
    pub(crate) last_offset: i64,
    pub(crate) compression: String,
    pub(crate) crc: u32,
    pub(crate) crc_ok: bool,
    pub(crate) timestamp_type: &'static str,
    pub(crate) max_timestamp: i64,
    #[serde(flatten)]
    pub(crate) header: Option<HeaderView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<Vec<RecordView>>,
    /// Why records are missing, or some of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// What only magic 2 has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeaderView {
    pub(crate) record_count: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) partition_leader_epoch: i32,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) transactional: bool,
    pub(crate) control: bool,
    pub(crate) delete_horizon: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordView {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Content,
    pub(crate) value: Content,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) headers: Vec<(Content, Content)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<MessageView>,
}

/// The message that a record holds.
#[derive(Serialize)]
pub(crate) struct MessageView {
    #[serde(rename = "type")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
    /// Why there is no data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A key or a value. In JSON it is null, a string, or `{"hex": ...}`.
pub(crate) enum Content {
    Null,
    Text(String),
    Bytes(Vec<u8>),
}

impl Content {
    /// How many bytes it has; `None` for null.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Content::Null => None,
            Content::Text(text) => Some(text.len()),
            Content::Bytes(bytes) => Some(bytes.len()),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Null => to.serialize_none(),
            Content::Text(text) => to.serialize_str(text),
            Content::Bytes(bytes) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("hex", &output::hex(bytes))?;
                map.end()
            }
        }
    }
}

impl From<Option<&[u8]>> for Content {
    fn from(bytes: Option<&[u8]>) -> Content {
        let Some(bytes) = bytes else {
            return Content::Null;
        };
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => Content::Text(text.to_owned()),
            _ => Content::Bytes(bytes.to_vec()),
        }
    }
}

impl BatchView {
    /// The batch at `position` of the input.
    pub(crate) fn new(
        batch: &Batch<'_>,
        position: usize,
        what: What,
        scratch: &mut Vec<u8>,
    ) -> BatchView {
        let crc = batch.verify_crc();
        let mut view = BatchView {
            position,
            size: batch.bytes().len(),
            magic: batch.magic(),
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
            compression: batch
                .compression()
                .map_or_else(|error| error.kind().to_string(), |c| c.name().to_owned()),
            crc: batch.crc(),
            crc_ok: crc.is_ok(),
            timestamp_type: match batch.timestamp_type() {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
                TimestampType::None => "none",
            },
            max_timestamp: batch.max_timestamp(),
            header: batch.header().map(|header| HeaderView {
                record_count: header.record_count,
                base_timestamp: header.base_timestamp,
                partition_leader_epoch: header.partition_leader_epoch,
                producer_id: header.producer_id,
                producer_epoch: header.producer_epoch,
                base_sequence: header.base_sequence,
                transactional: header.attributes.is_transactional(),
                control: header.attributes.is_control(),
                delete_horizon: header.delete_horizon_ms(),
            }),
            records: None,
            error: crc.err().map(|error| error.kind().to_string()),
        };
        if what.records && view.crc_ok {
            view.read(batch, what, scratch);
        }
        view
    }

    fn read(&mut self, batch: &Batch<'_>, what: What, scratch: &mut Vec<u8>) {
        let control = self.header.as_ref().is_some_and(|header| header.control);
        let mut views = Vec::new();
        match batch.validated_records(scratch, &records::Limits::default()) {
            Ok(records) => {
                for record in records {
                    match record {
                        Ok(record) => views.push(RecordView::new(&record, control, what)),
                        Err(error) => self.error = Some(error.kind().to_string()),
                    }
                }
            }
            Err(error) => self.error = Some(error.kind().to_string()),
        }
        self.records = Some(views);
    }
}

impl RecordView {
    fn new(record: &Record<'_>, control: bool, what: What) -> RecordView {
        let state = record.value.filter(|_| what.state && !control);
        let message = match record.value {
            _ if control => Some(MessageView::control(record)),
            Some(value) if what.metadata => Some(MessageView::metadata(value)),
            _ => None,
        };
        let message = state.and_then(MessageView::state).or(message);
        let header = |header: records::Header<'_>| {
            (Content::from(Some(header.key)), Content::from(header.value))
        };
        RecordView {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.into(),
            value: record.value.into(),
            headers: record.headers.iter().map(header).collect(),
            message,
        }
    }
}

impl MessageView {
    fn bad(name: &str, error: String) -> MessageView {
        MessageView {
            name: name.to_owned(),
            version: None,
            data: None,
            error: Some(error),
        }
    }

    fn control(record: &Record<'_>) -> MessageView {
        let control = match ControlRecord::read(record) {
            Ok(control) => control,
            Err(error) => return MessageView::bad("control record", error.kind().to_string()),
        };
        let value = control.value.unwrap_or_default();
        let (name, schema) = match control.record_type {
            ControlRecordType::Abort => return MessageView::marker("Abort", value),
            ControlRecordType::Commit => return MessageView::marker("Commit", value),
            ControlRecordType::LeaderChange => ("LeaderChange", "LeaderChangeMessage"),
            ControlRecordType::SnapshotHeader => ("SnapshotHeader", "SnapshotHeaderRecord"),
            ControlRecordType::SnapshotFooter => ("SnapshotFooter", "SnapshotFooterRecord"),
            ControlRecordType::KRaftVersion => ("KRaftVersion", "KRaftVersionRecord"),
            ControlRecordType::KRaftVoters => ("KRaftVoters", "VotersRecord"),
            ControlRecordType::Unknown(code) => {
                let name = format!("control record type {code}");
                return MessageView::bad(&name, "the type is not known".to_owned());
            }
        };
        let Ok((codec, version)) = messages::message(schema, messages::Version::Number(0)) else {
            return MessageView::bad(name, format!("there is no {schema}"));
        };
        match codec.to_json(value, version, &messages::LIMITS) {
            Ok((data, _)) => MessageView {
                name: name.to_owned(),
                version: Some(version),
                data: Some(data),
                error: None,
            },
            Err(error) => MessageView::bad(name, error.to_string()),
        }
    }

    fn marker(name: &str, value: &[u8]) -> MessageView {
        match EndTxnMarker::read(value) {
            Ok(marker) => MessageView {
                name: name.to_owned(),
                version: None,
                data: Some(json!({"coordinatorEpoch": marker.coordinator_epoch})),
                error: None,
            },
            Err(error) => MessageView::bad(name, error.kind().to_string()),
        }
    }

    /// What a server of ours keeps in its snapshots; `None` if it is of somebody else.
    fn state(value: &[u8]) -> Option<MessageView> {
        let (name, data) = match Entry::read(value).transpose()? {
            Err(error) => return Some(MessageView::bad("KwireState", error.to_string())),
            Ok(Entry::Head {
                has_forgotten,
                is_whole,
                breaks,
                producers,
                epochs,
            }) => {
                let data = json!({
                    "producers": producers,
                    "epochs": epochs,
                    "forgotten": has_forgotten,
                    "whole": is_whole,
                    "breaks": breaks,
                });
                ("KwireState", data)
            }
            Ok(Entry::Producer(id, producer)) => {
                let batch = |span: &Span| {
                    json!({
                        "firstSequence": span.first,
                        "lastSequence": span.last,
                        "firstOffset": span.base,
                        "lastOffset": span.end,
                    })
                };
                let batches: Vec<Value> = producer.spans().iter().map(batch).collect();
                let data = json!({
                    "producerId": id,
                    "producerEpoch": producer.epoch,
                    "batches": batches,
                });
                ("KwireProducer", data)
            }
            Ok(Entry::Epoch(epoch, next)) => {
                let data = json!({"epoch": epoch, "nextNumber": next});
                ("KwireEpoch", data)
            }
            Ok(_) => return None,
        };
        Some(MessageView {
            name: name.to_owned(),
            version: None,
            data: Some(data),
            error: None,
        })
    }

    fn metadata(value: &[u8]) -> MessageView {
        let frame = match MetadataFrame::read(value) {
            Ok(frame) => frame,
            Err(error) => return MessageView::bad("metadata record", error.kind().to_string()),
        };
        let Some(codec) = messages::metadata_record(frame.api_key) else {
            let name = format!("metadata record type {}", frame.api_key);
            return MessageView::bad(&name, "the type is not known".to_owned());
        };
        let name = codec.schema.name;
        match codec.to_json(frame.message, frame.version, &messages::LIMITS) {
            Ok((data, _)) => MessageView {
                name: name.to_owned(),
                version: Some(frame.version),
                data: Some(data),
                error: None,
            },
            Err(error) => MessageView::bad(name, error.to_string()),
        }
    }
}
