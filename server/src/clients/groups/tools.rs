//! ListGroups, DescribeGroups and DeleteGroups.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use kwire_protocol::messages::delete_groups_response::DeletableGroupResult;
use kwire_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kwire_protocol::messages::list_groups_response::ListedGroup;
use kwire_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    ListGroupsRequest, ListGroupsResponse,
};
use kwire_protocol::{ErrorCode, Str};

use super::super::{Answer, Clients, Head, check_count};
use crate::groups::Described;

/// What such groups are called since there are others.
const TYPE: &str = "classic";
/// The first version of DescribeGroups that has an error for groups that are not there.
const NOT_FOUND_SINCE: i16 = 6;

impl Clients {
    pub(super) fn list_groups(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: ListGroupsRequest<'static> = head.decode(body)?;
        let is_wanted = |wanted: &[Str<'static>], found: &str| {
            wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(found))
        };
        let listed = self.with_groups(|groups, _| {
            let groups = groups.list().filter(|(_, state, _)| {
                is_wanted(&request.states_filter, state) && is_wanted(&request.types_filter, TYPE)
            });
            let listed = groups.map(|(name, state, protocol_type)| ListedGroup {
                group_id: name.to_owned().into(),
                protocol_type: protocol_type.to_owned().into(),
                group_state: state.into(),
                group_type: TYPE.into(),
                ..Default::default()
            });
            listed.collect::<Vec<_>>()
        });
        let mut response = ListGroupsResponse::default();
        match listed {
            Ok(groups) => response.groups = groups,
            // A node that coordinates no groups has none, which is no error: clients ask all.
            Err(ErrorCode::NOT_COORDINATOR) => {}
            Err(error) => response.error_code = error.0,
        }
        head.answer(&response)
    }

    pub(super) fn describe_groups(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: DescribeGroupsRequest<'static> = head.decode(body)?;
        check_count("groups", request.groups.len())?;
        // A group that is named twice is not described twice: its members are all in the answer.
        let names: BTreeSet<Str<'static>> = request.groups.into_iter().collect();
        let groups = names.into_iter().map(|name| {
            let found = self.with_groups(|groups, _| groups.describe(&name));
            describe(head.version, name, found)
        });
        let response = DescribeGroupsResponse {
            groups: groups.collect(),
            ..Default::default()
        };
        head.answer(&response)
    }

    pub(super) fn delete_groups(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: DeleteGroupsRequest<'static> = head.decode(body)?;
        check_count("groups", request.groups_names.len())?;
        let results = request.groups_names.into_iter().map(|name| {
            let deleted = self.with_groups(|groups, _| groups.delete(&name));
            DeletableGroupResult {
                error_code: deleted.unwrap_or_else(|error| error).0,
                group_id: name,
                ..Default::default()
            }
        });
        let response = DeleteGroupsResponse {
            results: results.collect(),
            ..Default::default()
        };
        head.answer(&response)
    }
}

fn describe(
    version: i16,
    name: Str<'static>,
    found: Result<Option<Described>, ErrorCode>,
) -> DescribedGroup<'static> {
    let mut answer = DescribedGroup {
        group_id: name,
        authorized_operations: i32::MIN,
        ..Default::default()
    };
    match found {
        Err(error) => answer.error_code = error.0,
        Ok(None) => {
            answer.group_state = "Dead".into();
            if version >= NOT_FOUND_SINCE {
                answer.error_code = ErrorCode::GROUP_ID_NOT_FOUND.0;
            }
        }
        Ok(Some(found)) => {
            let protocol = &found.protocol;
            let members = found.members.iter().map(|member| DescribedGroupMember {
                member_id: member.id.clone().into(),
                group_instance_id: member.instance_id.clone().map(Into::into),
                client_id: member.client_id.clone().into(),
                client_host: member.client_host.clone().into(),
                member_metadata: member.metadata(protocol).into(),
                member_assignment: member.assignment.clone().into(),
                ..Default::default()
            });
            answer.members = members.collect();
            answer.group_state = found.state.into();
            answer.protocol_type = found.protocol_type.into();
            answer.protocol_data = found.protocol.into();
        }
    }
    answer
}
