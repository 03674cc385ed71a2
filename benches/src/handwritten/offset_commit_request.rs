//! OffsetCommitRequest v9.

use super::wire::*;

pub struct OffsetCommitRequest<'a> {
    pub group_id: &'a str,
    pub generation: i32,
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub topics: Vec<Topic<'a>>,
}

pub struct Topic<'a> {
    pub name: &'a str,
    pub partitions: Vec<Partition<'a>>,
}

pub struct Partition<'a> {
    pub index: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<&'a str>,
}

pub fn decode(frame: &[u8]) -> Result<OffsetCommitRequest<'_>> {
    let mut r = Reader::new(frame);
    let group_id = r.str()?;
    let generation = i32(r.run::<4>()?, 0);
    let member_id = r.str()?;
    let group_instance_id = r.nullable_str()?;
    let topics = r.array(3, |r| {
        let name = r.str()?;
        let partitions = r.array(18, |r| {
            let run: &[u8; 16] = r.run()?;
            let metadata = r.nullable_str()?;
            r.end()?;
            Ok(Partition {
                index: i32(run, 0),
                offset: i64(run, 4),
                leader_epoch: i32(run, 12),
                metadata,
            })
        })?;
        r.end()?;
        Ok(Topic { name, partitions })
    })?;
    r.end()?;
    r.finish()?;
    Ok(OffsetCommitRequest {
        group_id,
        generation,
        member_id,
        group_instance_id,
        topics,
    })
}

impl OffsetCommitRequest<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        put_str(out, self.group_id);
        out.extend_from_slice(&self.generation.to_be_bytes());
        put_str(out, self.member_id);
        put_nullable_str(out, self.group_instance_id);
        put_array(out, &self.topics, |out, topic| {
            put_str(out, topic.name);
            put_array(out, &topic.partitions, |out, p| {
                put_run!(
                    out,
                    16,
                    p.index.to_be_bytes(),
                    p.offset.to_be_bytes(),
                    p.leader_epoch.to_be_bytes(),
                );
                put_nullable_str(out, p.metadata);
                out.push(0);
            });
            out.push(0);
        });
        out.push(0);
    }

    pub fn len(&self) -> usize {
        let partition = |p: &Partition<'_>| 17 + nullable_str_len(p.metadata);
        let topic = |t: &Topic<'_>| str_len(t.name) + array_len(&t.partitions, partition) + 1;
        str_len(self.group_id)
            + 4
            + str_len(self.member_id)
            + nullable_str_len(self.group_instance_id)
            + array_len(&self.topics, topic)
            + 1
    }
}
