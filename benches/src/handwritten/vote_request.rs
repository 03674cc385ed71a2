//! VoteRequest v2.

use super::wire::*;

pub struct VoteRequest<'a> {
    pub cluster_id: Option<&'a str>,
    pub voter_id: i32,
    pub topics: Vec<Topic<'a>>,
}

pub struct Topic<'a> {
    pub name: &'a str,
    pub partitions: Vec<Partition>,
}

pub struct Partition {
    pub index: i32,
    pub epoch: i32,
    pub replica_id: i32,
    pub replica_directory_id: [u8; 16],
    pub voter_directory_id: [u8; 16],
    pub last_offset_epoch: i32,
    pub last_offset: i64,
    pub pre_vote: bool,
}

pub fn decode(frame: &[u8]) -> Result<VoteRequest<'_>> {
    let mut r = Reader::new(frame);
    let cluster_id = r.nullable_str()?;
    let voter_id = i32(r.run::<4>()?, 0);
    let topics = r.array(3, |r| {
        let name = r.str()?;
        let partitions = r.array(58, |r| {
            let run: &[u8; 57] = r.run()?;
            r.end()?;
            Ok(Partition {
                index: i32(run, 0),
                epoch: i32(run, 4),
                replica_id: i32(run, 8),
                replica_directory_id: uuid(run, 12),
                voter_directory_id: uuid(run, 28),
                last_offset_epoch: i32(run, 44),
                last_offset: i64(run, 48),
                pre_vote: run[56] != 0,
            })
        })?;
        r.end()?;
        Ok(Topic { name, partitions })
    })?;
    r.end()?;
    r.finish()?;
    Ok(VoteRequest {
        cluster_id,
        voter_id,
        topics,
    })
}

impl VoteRequest<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        put_nullable_str(out, self.cluster_id);
        out.extend_from_slice(&self.voter_id.to_be_bytes());
        put_array(out, &self.topics, |out, topic| {
            put_str(out, topic.name);
            put_array(out, &topic.partitions, |out, p| {
                put_run!(
                    out,
                    58,
                    p.index.to_be_bytes(),
                    p.epoch.to_be_bytes(),
                    p.replica_id.to_be_bytes(),
                    p.replica_directory_id,
                    p.voter_directory_id,
                    p.last_offset_epoch.to_be_bytes(),
                    p.last_offset.to_be_bytes(),
                    [u8::from(p.pre_vote), 0],
                );
            });
            out.push(0);
        });
        out.push(0);
    }

    pub fn len(&self) -> usize {
        let topic = |t: &Topic<'_>| str_len(t.name) + array_len(&t.partitions, |_| 58) + 1;
        nullable_str_len(self.cluster_id) + 4 + array_len(&self.topics, topic) + 1
    }
}
