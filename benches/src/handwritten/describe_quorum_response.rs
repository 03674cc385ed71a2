//! DescribeQuorumResponse v2.

use super::wire::*;

pub struct DescribeQuorumResponse<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub topics: Vec<Topic<'a>>,
    pub nodes: Vec<Node<'a>>,
}

pub struct Topic<'a> {
    pub name: &'a str,
    pub partitions: Vec<Partition<'a>>,
}

pub struct Partition<'a> {
    pub index: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub voters: Vec<Replica>,
    pub observers: Vec<Replica>,
}

pub struct Replica {
    pub id: i32,
    pub directory_id: [u8; 16],
    pub log_end_offset: i64,
    pub last_fetch: i64,
    pub last_caught_up: i64,
}

pub struct Node<'a> {
    pub id: i32,
    pub listeners: Vec<Listener<'a>>,
}

pub struct Listener<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub port: u16,
}

pub fn decode(frame: &[u8]) -> Result<DescribeQuorumResponse<'_>> {
    let mut r = Reader::new(frame);
    let error_code = i16(r.run::<2>()?, 0);
    let error_message = r.nullable_str()?;
    let topics = r.array(3, |r| {
        let name = r.str()?;
        let partitions = r.array(26, partition)?;
        r.end()?;
        Ok(Topic { name, partitions })
    })?;
    let nodes = r.array(6, |r| {
        let id = i32(r.run::<4>()?, 0);
        let listeners = r.array(5, |r| {
            let (name, host) = (r.str()?, r.str()?);
            let port = u16(r.run::<2>()?, 0);
            r.end()?;
            Ok(Listener { name, host, port })
        })?;
        r.end()?;
        Ok(Node { id, listeners })
    })?;
    r.end()?;
    r.finish()?;
    Ok(DescribeQuorumResponse {
        error_code,
        error_message,
        topics,
        nodes,
    })
}

fn partition<'a>(r: &mut Reader<'a>) -> Result<Partition<'a>> {
    let head: &[u8; 6] = r.run()?;
    let error_message = r.nullable_str()?;
    let run: &[u8; 16] = r.run()?;
    let partition = Partition {
        index: i32(head, 0),
        error_code: i16(head, 4),
        error_message,
        leader_id: i32(run, 0),
        leader_epoch: i32(run, 4),
        high_watermark: i64(run, 8),
        voters: r.array(45, replica)?,
        observers: r.array(45, replica)?,
    };
    r.end()?;
    Ok(partition)
}

fn replica(r: &mut Reader<'_>) -> Result<Replica> {
    let run: &[u8; 44] = r.run()?;
    r.end()?;
    Ok(Replica {
        id: i32(run, 0),
        directory_id: uuid(run, 4),
        log_end_offset: i64(run, 20),
        last_fetch: i64(run, 28),
        last_caught_up: i64(run, 36),
    })
}

impl DescribeQuorumResponse<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        out.extend_from_slice(&self.error_code.to_be_bytes());
        put_nullable_str(out, self.error_message);
        put_array(out, &self.topics, |out, topic| {
            put_str(out, topic.name);
            put_array(out, &topic.partitions, |out, p| {
                put_run!(out, 6, p.index.to_be_bytes(), p.error_code.to_be_bytes());
                put_nullable_str(out, p.error_message);
                put_run!(
                    out,
                    16,
                    p.leader_id.to_be_bytes(),
                    p.leader_epoch.to_be_bytes(),
                    p.high_watermark.to_be_bytes(),
                );
                put_array(out, &p.voters, put_replica);
                put_array(out, &p.observers, put_replica);
                out.push(0);
            });
            out.push(0);
        });
        put_array(out, &self.nodes, |out, node| {
            out.extend_from_slice(&node.id.to_be_bytes());
            put_array(out, &node.listeners, |out, listener| {
                put_str(out, listener.name);
                put_str(out, listener.host);
                put_run!(out, 3, listener.port.to_be_bytes(), [0]);
            });
            out.push(0);
        });
        out.push(0);
    }

    pub fn len(&self) -> usize {
        let partition = |p: &Partition<'_>| {
            let replicas = array_len(&p.voters, |_| 45) + array_len(&p.observers, |_| 45);
            6 + nullable_str_len(p.error_message) + 16 + replicas + 1
        };
        let topic = |t: &Topic<'_>| str_len(t.name) + array_len(&t.partitions, partition) + 1;
        let listener = |l: &Listener<'_>| str_len(l.name) + str_len(l.host) + 3;
        let node = |n: &Node<'_>| 5 + array_len(&n.listeners, listener);
        2 + nullable_str_len(self.error_message)
            + array_len(&self.topics, topic)
            + array_len(&self.nodes, node)
            + 1
    }
}

#[inline(always)]
fn put_replica(out: &mut impl Sink, replica: &Replica) {
    put_run!(
        out,
        45,
        replica.id.to_be_bytes(),
        replica.directory_id,
        replica.log_end_offset.to_be_bytes(),
        replica.last_fetch.to_be_bytes(),
        replica.last_caught_up.to_be_bytes(),
        [0],
    );
}
