//! ListOffsetsRequest v8.

use super::wire::*;

pub struct ListOffsetsRequest<'a> {
    pub replica_id: i32,
    pub isolation_level: u8,
    pub topics: Vec<Topic<'a>>,
}

pub struct Topic<'a> {
    pub name: &'a str,
    pub partitions: Vec<Partition>,
}

pub struct Partition {
    pub index: i32,
    pub leader_epoch: i32,
    pub timestamp: i64,
}

pub fn decode(frame: &[u8]) -> Result<ListOffsetsRequest<'_>> {
    let mut r = Reader::new(frame);
    let head: &[u8; 5] = r.run()?;
    let topics = r.array(3, |r| {
        let name = r.str()?;
        let partitions = r.array(17, |r| {
            let run: &[u8; 16] = r.run()?;
            r.end()?;
            Ok(Partition {
                index: i32(run, 0),
                leader_epoch: i32(run, 4),
                timestamp: i64(run, 8),
            })
        })?;
        r.end()?;
        Ok(Topic { name, partitions })
    })?;
    r.end()?;
    r.finish()?;
    Ok(ListOffsetsRequest {
        replica_id: i32(head, 0),
        isolation_level: head[4],
        topics,
    })
}

impl ListOffsetsRequest<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        put_run!(
            out,
            5,
            self.replica_id.to_be_bytes(),
            [self.isolation_level]
        );
        put_array(out, &self.topics, |out, topic| {
            put_str(out, topic.name);
            put_array(out, &topic.partitions, |out, p| {
                put_run!(
                    out,
                    17,
                    p.index.to_be_bytes(),
                    p.leader_epoch.to_be_bytes(),
                    p.timestamp.to_be_bytes(),
                    [0],
                );
            });
            out.push(0);
        });
        out.push(0);
    }

    pub fn len(&self) -> usize {
        let topic = |t: &Topic<'_>| str_len(t.name) + array_len(&t.partitions, |_| 17) + 1;
        5 + array_len(&self.topics, topic) + 1
    }
}
