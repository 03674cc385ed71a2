//! ProduceRequest v11.

use super::wire::*;

pub struct ProduceRequest<'a> {
    pub transactional_id: Option<&'a str>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<Topic<'a>>,
}

pub struct Topic<'a> {
    pub name: &'a str,
    pub partitions: Vec<Partition<'a>>,
}

pub struct Partition<'a> {
    pub index: i32,
    pub records: Option<&'a [u8]>,
}

pub fn decode(frame: &[u8]) -> Result<ProduceRequest<'_>> {
    let mut r = Reader::new(frame);
    let transactional_id = r.nullable_str()?;
    let head: &[u8; 6] = r.run()?;
    let topics = r.array(3, |r| {
        let name = r.str()?;
        let partitions = r.array(6, |r| {
            let index = i32(r.run::<4>()?, 0);
            let records = r.nullable_bytes()?;
            r.end()?;
            Ok(Partition { index, records })
        })?;
        r.end()?;
        Ok(Topic { name, partitions })
    })?;
    r.end()?;
    r.finish()?;
    Ok(ProduceRequest {
        transactional_id,
        acks: i16(head, 0),
        timeout_ms: i32(head, 2),
        topics,
    })
}

impl ProduceRequest<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        put_nullable_str(out, self.transactional_id);
        put_run!(
            out,
            6,
            self.acks.to_be_bytes(),
            self.timeout_ms.to_be_bytes()
        );
        put_array(out, &self.topics, |out, topic| {
            put_str(out, topic.name);
            put_array(out, &topic.partitions, |out, partition| {
                out.extend_from_slice(&partition.index.to_be_bytes());
                put_nullable_bytes(out, partition.records);
                out.push(0);
            });
            out.push(0);
        });
        out.push(0);
    }

    pub fn len(&self) -> usize {
        let partition = |p: &Partition<'_>| 5 + nullable_bytes_len(p.records);
        let topic = |t: &Topic<'_>| str_len(t.name) + array_len(&t.partitions, partition) + 1;
        nullable_str_len(self.transactional_id) + 6 + array_len(&self.topics, topic) + 1
    }
}
