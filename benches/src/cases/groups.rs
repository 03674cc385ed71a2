//! What the members of a consumer group say and hear.

use kwire_protocol::messages::{
    JoinGroupResponse, ListOffsetsRequest, OffsetCommitRequest, join_group_response,
    list_offsets_request, offset_commit_request,
};
use kwire_protocol::{Blob, Str};

use super::{id, mix, name};

fn member(index: u64) -> Str<'static> {
    format!("consumer-{index}-{}", id(index)).into()
}

/// The ends of partitions, asked for.
pub fn list_offsets() -> ListOffsetsRequest<'static> {
    ListOffsetsRequest {
        isolation_level: 1,
        topics: (0..10)
            .map(|topic| list_offsets_request::ListOffsetsTopic {
                name: name(topic),
                partitions: (0..10)
                    .map(
                        |partition_index| list_offsets_request::ListOffsetsPartition {
                            partition_index,
                            current_leader_epoch: 5,
                            timestamp: -1,
                            ..Default::default()
                        },
                    )
                    .collect(),
                ..Default::default()
            })
            .collect(),
        replica_id: -1,
        ..Default::default()
    }
}

/// The offsets that a consumer has reached.
pub fn offset_commit() -> OffsetCommitRequest<'static> {
    OffsetCommitRequest {
        group_id: "billing".into(),
        generation_id_or_member_epoch: 17,
        member_id: member(0),
        topics: (0..50)
            .map(|topic| offset_commit_request::OffsetCommitRequestTopic {
                name: name(topic),
                partitions: (0..4)
                    .map(
                        |partition_index| offset_commit_request::OffsetCommitRequestPartition {
                            partition_index,
                            committed_offset: 1_000_000 + i64::from(partition_index),
                            committed_leader_epoch: 5,
                            committed_metadata: Some("".into()),
                            ..Default::default()
                        },
                    )
                    .collect(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

/// What the leader of a group hears of its members.
pub fn join_group() -> JoinGroupResponse<'static> {
    let metadata = |index: u64| -> Vec<u8> {
        (0..16)
            .flat_map(|word| mix(index * 16 + word).to_be_bytes())
            .collect()
    };
    JoinGroupResponse {
        generation_id: 17,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("cooperative-sticky".into()),
        leader: member(0),
        member_id: member(0),
        members: (0..50)
            .map(|index| join_group_response::JoinGroupResponseMember {
                member_id: member(index),
                metadata: Blob::from(metadata(index)),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}
