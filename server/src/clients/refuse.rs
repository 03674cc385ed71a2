//! Requests that are not served: an answer that says so, where the API has one.

use std::io;

use kwire_protocol::frame;
use kwire_protocol::messages::*;
use kwire_protocol::schema::{DefaultValue, FieldSchema, FieldType, Schema};
use kwire_protocol::{ApiKey, ErrorCode, Message};

use super::{Answer, Head};

/// The responses of all APIs.
static RESPONSES: &[&Schema] = &[
    AddOffsetsToTxnResponse::SCHEMA,
    AddPartitionsToTxnResponse::SCHEMA,
    AddRaftVoterResponse::SCHEMA,
    AllocateProducerIdsResponse::SCHEMA,
    AlterClientQuotasResponse::SCHEMA,
    AlterConfigsResponse::SCHEMA,
    AlterPartitionResponse::SCHEMA,
    AlterPartitionReassignmentsResponse::SCHEMA,
    AlterReplicaLogDirsResponse::SCHEMA,
    AlterShareGroupOffsetsResponse::SCHEMA,
    AlterUserScramCredentialsResponse::SCHEMA,
    ApiVersionsResponse::SCHEMA,
    AssignReplicasToDirsResponse::SCHEMA,
    BeginQuorumEpochResponse::SCHEMA,
    BrokerHeartbeatResponse::SCHEMA,
    BrokerRegistrationResponse::SCHEMA,
    ConsumerGroupDescribeResponse::SCHEMA,
    ConsumerGroupHeartbeatResponse::SCHEMA,
    ControlledShutdownResponse::SCHEMA,
    ControllerRegistrationResponse::SCHEMA,
    CreateAclsResponse::SCHEMA,
    CreateDelegationTokenResponse::SCHEMA,
    CreatePartitionsResponse::SCHEMA,
    CreateTopicsResponse::SCHEMA,
    DeleteAclsResponse::SCHEMA,
    DeleteGroupsResponse::SCHEMA,
    DeleteRecordsResponse::SCHEMA,
    DeleteShareGroupOffsetsResponse::SCHEMA,
    DeleteShareGroupStateResponse::SCHEMA,
    DeleteTopicsResponse::SCHEMA,
    DescribeAclsResponse::SCHEMA,
    DescribeClientQuotasResponse::SCHEMA,
    DescribeClusterResponse::SCHEMA,
    DescribeConfigsResponse::SCHEMA,
    DescribeDelegationTokenResponse::SCHEMA,
    DescribeGroupsResponse::SCHEMA,
    DescribeLogDirsResponse::SCHEMA,
    DescribeProducersResponse::SCHEMA,
    DescribeQuorumResponse::SCHEMA,
    DescribeShareGroupOffsetsResponse::SCHEMA,
    DescribeTopicPartitionsResponse::SCHEMA,
    DescribeTransactionsResponse::SCHEMA,
    DescribeUserScramCredentialsResponse::SCHEMA,
    ElectLeadersResponse::SCHEMA,
    EndQuorumEpochResponse::SCHEMA,
    EndTxnResponse::SCHEMA,
    EnvelopeResponse::SCHEMA,
    ExpireDelegationTokenResponse::SCHEMA,
    FetchResponse::SCHEMA,
    FetchSnapshotResponse::SCHEMA,
    FindCoordinatorResponse::SCHEMA,
    GetTelemetrySubscriptionsResponse::SCHEMA,
    HeartbeatResponse::SCHEMA,
    IncrementalAlterConfigsResponse::SCHEMA,
    InitProducerIdResponse::SCHEMA,
    InitializeShareGroupStateResponse::SCHEMA,
    JoinGroupResponse::SCHEMA,
    LeaderAndIsrResponse::SCHEMA,
    LeaveGroupResponse::SCHEMA,
    ListConfigResourcesResponse::SCHEMA,
    ListGroupsResponse::SCHEMA,
    ListOffsetsResponse::SCHEMA,
    ListPartitionReassignmentsResponse::SCHEMA,
    ListTransactionsResponse::SCHEMA,
    MetadataResponse::SCHEMA,
    OffsetCommitResponse::SCHEMA,
    OffsetDeleteResponse::SCHEMA,
    OffsetFetchResponse::SCHEMA,
    OffsetForLeaderEpochResponse::SCHEMA,
    ProduceResponse::SCHEMA,
    PushTelemetryResponse::SCHEMA,
    ReadShareGroupStateResponse::SCHEMA,
    ReadShareGroupStateSummaryResponse::SCHEMA,
    RemoveRaftVoterResponse::SCHEMA,
    RenewDelegationTokenResponse::SCHEMA,
    SaslAuthenticateResponse::SCHEMA,
    SaslHandshakeResponse::SCHEMA,
    ShareAcknowledgeResponse::SCHEMA,
    ShareFetchResponse::SCHEMA,
    ShareGroupDescribeResponse::SCHEMA,
    ShareGroupHeartbeatResponse::SCHEMA,
    StopReplicaResponse::SCHEMA,
    StreamsGroupDescribeResponse::SCHEMA,
    StreamsGroupHeartbeatResponse::SCHEMA,
    StreamsGroupTopologyDescriptionUpdateResponse::SCHEMA,
    SyncGroupResponse::SCHEMA,
    TxnOffsetCommitResponse::SCHEMA,
    UnregisterBrokerResponse::SCHEMA,
    UnregisterControllerResponse::SCHEMA,
    UpdateFeaturesResponse::SCHEMA,
    UpdateMetadataResponse::SCHEMA,
    UpdateRaftVoterResponse::SCHEMA,
    VoteResponse::SCHEMA,
    WriteShareGroupStateResponse::SCHEMA,
    WriteTxnMarkersResponse::SCHEMA,
];

/// Refuses a request of an API or version that is not served.
///
/// # Errors
/// When there is no such answer: of a version that nobody knows, or without a place for an error.
/// Then the connection has to be closed, which is what Kafka does in all of these cases.
pub(super) fn unsupported(head: &Head) -> io::Result<Answer> {
    let unanswerable = || {
        let what = format!("{} version {} is not supported", head.api_key, head.version);
        io::Error::new(io::ErrorKind::Unsupported, what)
    };
    let body = schema(head.api_key)
        .and_then(|schema| refusal(schema, head.version, ErrorCode::UNSUPPORTED_VERSION))
        .ok_or_else(unanswerable)?;
    let header = ResponseHeader {
        correlation_id: head.correlation_id,
        ..Default::default()
    };
    let mut out = Vec::new();
    frame::write_frame(&mut out, |out| {
        frame::encode_response_header(head.api_key, head.version, &header, out)?;
        out.extend_from_slice(&body);
        Ok(())
    })
    .map_err(io::Error::other)?;
    Ok(Answer::Frame(out.into()))
}

fn schema(api_key: ApiKey) -> Option<&'static Schema> {
    let mut all = RESPONSES.iter().copied();
    all.find(|schema| schema.api_key == Some(api_key.0))
}

/// A response with nothing but an error; `None` if it has no place for one.
fn refusal(schema: &'static Schema, version: i16, error: ErrorCode) -> Option<Vec<u8>> {
    if !schema.versions.contains(version) {
        return None;
    }
    let mut out = Vec::new();
    let mut writer = Writer {
        schema,
        version,
        error,
        has_error: false,
        out: &mut out,
    };
    writer.write_struct(0)?;
    writer.has_error.then_some(out)
}

/// Writes default values along the field table.
struct Writer<'o> {
    schema: &'static Schema,
    version: i16,
    error: ErrorCode,
    has_error: bool,
    out: &'o mut Vec<u8>,
}

impl Writer<'_> {
    fn write_struct(&mut self, index: usize) -> Option<()> {
        let fields = self.schema.structs.get(index)?.fields;
        for field in fields {
            let is_there = field.versions.contains(self.version);
            if !is_there || field.tagged.contains(self.version) {
                continue;
            }
            let is_error = index == 0 && field.name == "errorCode";
            if is_error && field.ty == FieldType::Int16 {
                self.out.extend_from_slice(&self.error.0.to_be_bytes());
                self.has_error = true;
            } else {
                self.write_default(field)?;
            }
        }
        if self.schema.flexible.contains(self.version) {
            // No tagged fields.
            self.out.push(0);
        }
        Some(())
    }

    fn write_default(&mut self, field: &FieldSchema) -> Option<()> {
        let number = match field.default {
            DefaultValue::Int(number) => number,
            DefaultValue::True => 1,
            _ => 0,
        };
        let bytes = number.to_be_bytes();
        let last = |len: usize| bytes.get(bytes.len() - len..).unwrap_or_default();
        match field.ty {
            FieldType::Bool | FieldType::Int8 => self.out.extend_from_slice(last(1)),
            FieldType::Int16 | FieldType::Uint16 => self.out.extend_from_slice(last(2)),
            FieldType::Int32 | FieldType::Uint32 => self.out.extend_from_slice(last(4)),
            FieldType::Int64 => self.out.extend_from_slice(last(8)),
            FieldType::Float64 => self.out.extend_from_slice(&[0; 8]),
            FieldType::Uuid => self.out.extend_from_slice(&[0; 16]),
            FieldType::String => self.write_empty(field, 2),
            FieldType::Bytes | FieldType::Records | FieldType::Array(_) => {
                self.write_empty(field, 4);
            }
            FieldType::Struct(index) => {
                if field.nullable.contains(self.version) {
                    self.out.push(0xff);
                } else {
                    self.write_struct(index)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Null or empty, behind a length of so many bytes, unless that is compact.
    fn write_empty(&mut self, field: &FieldSchema, len: usize) {
        let is_null = field.default == DefaultValue::Null && field.nullable.contains(self.version);
        let is_compact =
            self.schema.flexible.contains(self.version) && field.flexible.contains(self.version);
        match (is_compact, is_null) {
            (true, is_null) => self.out.push(u8::from(!is_null)),
            (false, true) => self.out.extend(std::iter::repeat_n(0xff, len)),
            (false, false) => self.out.extend(std::iter::repeat_n(0, len)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use kwire_protocol::Limits;
    use kwire_protocol::api::{APIS, AnyResponse};

    use super::*;

    #[test]
    fn every_refusal_is_a_response() {
        let mut refused = 0;
        let mut silent = Vec::new();
        for info in APIS {
            let schema = schema(info.key).expect("every API has a response");
            for version in info.versions.lowest..=info.versions.highest {
                let Some(body) = refusal(schema, version, ErrorCode::UNSUPPORTED_VERSION) else {
                    silent.push(info.name);
                    continue;
                };
                let read = AnyResponse::decode(info.key, version, &body, &Limits::DEFAULT);
                assert!(read.is_ok(), "{} v{version}: {read:?}", info.name);
                refused += 1;
            }
        }
        silent.dedup();
        assert!(refused > 200, "{refused}");
        // They have an error for each item only.
        assert!(
            silent.contains(&"CreateTopics") && silent.len() < 40,
            "{silent:?}"
        );
    }

    #[test]
    fn the_error_is_where_clients_look_for_it() {
        let head = Head {
            api_key: ApiKey::DESCRIBE_ACLS,
            version: 3,
            correlation_id: 9,
            client_id: String::new(),
        };
        let Ok(Answer::Frame(mut answer)) = unsupported(&head) else {
            panic!("it has a place for an error");
        };
        let answer = answer.copy_to_bytes(answer.remaining());
        let parts = frame::decode_response_header(head.api_key, 3, &answer[4..]).expect("a header");
        assert_eq!(parts.header.correlation_id, 9);
        let response = DescribeAclsResponse::decode(parts.body, 3).expect("a response");
        assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION.0);
        assert!(
            unsupported(&Head {
                version: 99,
                ..head
            })
            .is_err()
        );
    }
}
