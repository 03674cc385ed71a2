//! JoinGroupResponse v9.

use super::wire::*;

pub struct JoinGroupResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub generation_id: i32,
    pub protocol_type: Option<&'a str>,
    pub protocol_name: Option<&'a str>,
    pub leader: &'a str,
    pub skip_assignment: bool,
    pub member_id: &'a str,
    pub members: Vec<Member<'a>>,
}

pub struct Member<'a> {
    pub id: &'a str,
    pub instance_id: Option<&'a str>,
    pub metadata: &'a [u8],
}

pub fn decode(frame: &[u8]) -> Result<JoinGroupResponse<'_>> {
    let mut r = Reader::new(frame);
    let head: &[u8; 10] = r.run()?;
    let protocol_type = r.nullable_str()?;
    let protocol_name = r.nullable_str()?;
    let leader = r.str()?;
    let skip_assignment = r.run::<1>()?[0] != 0;
    let member_id = r.str()?;
    let members = r.array(4, |r| {
        let (id, instance_id, metadata) = (r.str()?, r.nullable_str()?, r.bytes()?);
        r.end()?;
        Ok(Member {
            id,
            instance_id,
            metadata,
        })
    })?;
    r.end()?;
    r.finish()?;
    Ok(JoinGroupResponse {
        throttle_time_ms: i32(head, 0),
        error_code: i16(head, 4),
        generation_id: i32(head, 6),
        protocol_type,
        protocol_name,
        leader,
        skip_assignment,
        member_id,
        members,
    })
}

impl JoinGroupResponse<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        put_run!(
            out,
            10,
            self.throttle_time_ms.to_be_bytes(),
            self.error_code.to_be_bytes(),
            self.generation_id.to_be_bytes(),
        );
        put_nullable_str(out, self.protocol_type);
        put_nullable_str(out, self.protocol_name);
        put_str(out, self.leader);
        out.push(u8::from(self.skip_assignment));
        put_str(out, self.member_id);
        put_array(out, &self.members, |out, member| {
            put_str(out, member.id);
            put_nullable_str(out, member.instance_id);
            put_bytes(out, member.metadata);
            out.push(0);
        });
        out.push(0);
    }

    pub fn len(&self) -> usize {
        let member = |m: &Member<'_>| {
            str_len(m.id) + nullable_str_len(m.instance_id) + bytes_len(m.metadata) + 1
        };
        10 + nullable_str_len(self.protocol_type)
            + nullable_str_len(self.protocol_name)
            + str_len(self.leader)
            + 1
            + str_len(self.member_id)
            + array_len(&self.members, member)
            + 1
    }
}
