//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup.

use std::io;

use bytes::Bytes;
use kwire_protocol::messages::join_group_response::JoinGroupResponseMember;
use kwire_protocol::messages::leave_group_request::MemberIdentity;
use kwire_protocol::messages::leave_group_response::MemberResponse;
use kwire_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kwire_protocol::{ErrorCode, Str};

use super::super::{Answer, Caller, Clients, Head, check_count};
use crate::groups::{Identity, Join, Joined, Reply, Sync, Synced};

/// Versions that have a member ask again with the id that it is given (KIP-394).
const IDS_REQUIRED_SINCE: i16 = 4;
/// Versions that may leave the protocol null.
const NO_PROTOCOL_SINCE: i16 = 7;
/// Versions of LeaveGroup with several members (KIP-345).
const SEVERAL_SINCE: i16 = 3;

fn owned(text: Option<Str<'static>>) -> Option<String> {
    text.map(Str::into_owned)
}

fn millis(ms: i32) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

impl Clients {
    pub(super) async fn join_group(
        &self,
        caller: Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        let request: JoinGroupRequest<'static> = head.decode(body)?;
        let session_timeout_ms = millis(request.session_timeout_ms);
        let asked = request.member_id.clone();
        let protocols = request.protocols.into_iter();
        let join = Join {
            group: request.group_id.into_owned(),
            member_id: request.member_id.into_owned(),
            instance_id: owned(request.group_instance_id),
            client_id: head.client_id.clone(),
            client_host: format!("/{}", caller.peer.ip()),
            session_timeout_ms,
            // Version 0 has one timeout for both.
            rebalance_timeout_ms: match head.version {
                0 => session_timeout_ms,
                _ => millis(request.rebalance_timeout_ms),
            },
            protocol_type: request.protocol_type.into_owned(),
            // Kept for longer than the frame that they are part of.
            protocols: protocols
                .map(|p| (p.name.into_owned(), Bytes::copy_from_slice(&p.metadata)))
                .collect(),
            needs_id: head.version >= IDS_REQUIRED_SINCE,
        };
        let reply = self.wait_for_groups(|groups, now, ticket| groups.join(now, ticket, join));
        let joined = match reply.await {
            Ok(Reply::Joined(joined)) => joined,
            Ok(Reply::Synced(_)) => refused_join(ErrorCode::UNKNOWN_SERVER_ERROR, &asked),
            Err(error) => refused_join(error, &asked),
        };
        head.answer(&join_response(head.version, joined))
    }

    pub(super) async fn sync_group(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: SyncGroupRequest<'static> = head.decode(body)?;
        let assignments = request.assignments.into_iter();
        let sync = Sync {
            who: Identity {
                group: request.group_id.into_owned(),
                generation: request.generation_id,
                member_id: request.member_id.into_owned(),
                instance_id: owned(request.group_instance_id),
            },
            protocol_type: owned(request.protocol_type),
            protocol: owned(request.protocol_name),
            assignments: assignments
                .map(|a| {
                    (
                        a.member_id.into_owned(),
                        Bytes::copy_from_slice(&a.assignment),
                    )
                })
                .collect(),
        };
        let reply = self.wait_for_groups(|groups, now, ticket| groups.sync(now, ticket, sync));
        let synced = match reply.await {
            Ok(Reply::Synced(synced)) => synced,
            Ok(Reply::Joined(_)) => refused_sync(ErrorCode::UNKNOWN_SERVER_ERROR),
            Err(error) => refused_sync(error),
        };
        head.answer(&SyncGroupResponse {
            error_code: synced.error.0,
            protocol_type: synced.protocol_type.map(Into::into),
            protocol_name: synced.protocol.map(Into::into),
            assignment: synced.assignment.into(),
            ..Default::default()
        })
    }

    pub(super) fn heartbeat(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: HeartbeatRequest<'static> = head.decode(body)?;
        let who = Identity {
            group: request.group_id.into_owned(),
            generation: request.generation_id,
            member_id: request.member_id.into_owned(),
            instance_id: owned(request.group_instance_id),
        };
        let error = self.with_groups(|groups, now| groups.heartbeat(now, &who));
        head.answer(&HeartbeatResponse {
            error_code: error.unwrap_or_else(|error| error).0,
            ..Default::default()
        })
    }

    pub(super) fn leave_group(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: LeaveGroupRequest<'static> = head.decode(body)?;
        check_count("members", request.members.len())?;
        let group = request.group_id.into_owned();
        let mut members = request.members;
        if head.version < SEVERAL_SINCE {
            members = vec![MemberIdentity {
                member_id: request.member_id,
                ..Default::default()
            }];
        }
        let left = self.with_groups(|groups, now| {
            let leave = |member: MemberIdentity<'static>| {
                let who = Identity {
                    group: group.clone(),
                    generation: -1,
                    member_id: member.member_id.into_owned(),
                    instance_id: owned(member.group_instance_id),
                };
                (groups.leave(now, &who), who)
            };
            members.into_iter().map(leave).collect::<Vec<_>>()
        });
        let mut response = LeaveGroupResponse::default();
        match left {
            Err(error) => response.error_code = error.0,
            Ok(left) if head.version < SEVERAL_SINCE => {
                response.error_code = left.first().map_or(0, |(error, _)| error.0);
            }
            Ok(left) => {
                let left = left.into_iter().map(|(error, who)| MemberResponse {
                    member_id: who.member_id.into(),
                    group_instance_id: who.instance_id.map(Into::into),
                    error_code: error.0,
                    ..Default::default()
                });
                response.members = left.collect();
            }
        }
        head.answer(&response)
    }
}

fn refused_join(error: ErrorCode, member_id: &str) -> Joined {
    Joined {
        error,
        generation: -1,
        member_id: member_id.to_owned(),
        ..Joined::default()
    }
}

fn refused_sync(error: ErrorCode) -> Synced {
    Synced {
        error,
        ..Synced::default()
    }
}

fn join_response(version: i16, joined: Joined) -> JoinGroupResponse<'static> {
    let members = joined.members.into_iter();
    let protocol = joined.protocol.map(Into::into);
    JoinGroupResponse {
        error_code: joined.error.0,
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.map(Into::into),
        protocol_name: match version {
            NO_PROTOCOL_SINCE.. => protocol,
            _ => Some(protocol.unwrap_or_default()),
        },
        leader: joined.leader.into(),
        member_id: joined.member_id.into(),
        members: members
            .map(
                |(member_id, instance_id, metadata)| JoinGroupResponseMember {
                    member_id: member_id.into(),
                    group_instance_id: instance_id.map(Into::into),
                    metadata: metadata.into(),
                    ..Default::default()
                },
            )
            .collect(),
        ..Default::default()
    }
}
