//! FetchResponse v17.

use super::wire::*;

pub struct FetchResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub responses: Vec<Topic<'a>>,
    pub nodes: Vec<Node<'a>>,
}

pub struct Topic<'a> {
    pub id: [u8; 16],
    pub partitions: Vec<Partition<'a>>,
}

pub struct Partition<'a> {
    pub index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub aborted: Option<Vec<(i64, i64)>>,
    pub preferred_read_replica: i32,
    pub records: Option<&'a [u8]>,
    pub diverging_epoch: Option<(i32, i64)>,
    pub current_leader: Option<(i32, i32)>,
    pub snapshot_id: Option<(i64, i32)>,
}

pub struct Node<'a> {
    pub id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
}

pub fn decode(frame: &[u8]) -> Result<FetchResponse<'_>> {
    let mut r = Reader::new(frame);
    let head: &[u8; 10] = r.run()?;
    let responses = r.array(18, |r| {
        let id = r.run::<16>()?;
        let partitions = r.array(37, partition)?;
        r.end()?;
        Ok(Topic {
            id: *id,
            partitions,
        })
    })?;
    let mut nodes = Vec::new();
    for _ in 0..r.uvarint()? {
        if r.uvarint()? != 0 {
            return Err(Malformed);
        }
        r.uvarint()?;
        nodes = r.array(11, |r| {
            let (id, host) = (i32(r.run::<4>()?, 0), r.str()?);
            let (port, rack) = (i32(r.run::<4>()?, 0), r.nullable_str()?);
            r.end()?;
            Ok(Node {
                id,
                host,
                port,
                rack,
            })
        })?;
    }
    r.finish()?;
    Ok(FetchResponse {
        throttle_time_ms: i32(head, 0),
        error_code: i16(head, 4),
        session_id: i32(head, 6),
        responses,
        nodes,
    })
}

#[inline(always)]
fn partition<'a>(r: &mut Reader<'a>) -> Result<Partition<'a>> {
    let run: &[u8; 30] = r.run()?;
    let aborted = match r.uvarint()? {
        0 => None,
        count => {
            let mut aborted = Vec::new();
            for _ in 1..count {
                let run: &[u8; 16] = r.run()?;
                r.end()?;
                aborted.push((i64(run, 0), i64(run, 8)));
            }
            Some(aborted)
        }
    };
    let preferred_read_replica = i32(r.run::<4>()?, 0);
    let records = r.nullable_bytes()?;
    let (mut diverging_epoch, mut current_leader, mut snapshot_id) = (None, None, None);
    for _ in 0..r.uvarint()? {
        let tag = r.uvarint()?;
        r.uvarint()?;
        match tag {
            0 => {
                let run: &[u8; 12] = r.run()?;
                diverging_epoch = Some((i32(run, 0), i64(run, 4)));
            }
            1 => {
                let run: &[u8; 8] = r.run()?;
                current_leader = Some((i32(run, 0), i32(run, 4)));
            }
            2 => {
                let run: &[u8; 12] = r.run()?;
                snapshot_id = Some((i64(run, 0), i32(run, 8)));
            }
            _ => return Err(Malformed),
        }
        r.end()?;
    }
    Ok(Partition {
        index: i32(run, 0),
        error_code: i16(run, 4),
        high_watermark: i64(run, 6),
        last_stable_offset: i64(run, 14),
        log_start_offset: i64(run, 22),
        aborted,
        preferred_read_replica,
        records,
        diverging_epoch,
        current_leader,
        snapshot_id,
    })
}

impl FetchResponse<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        put_run!(
            out,
            10,
            self.throttle_time_ms.to_be_bytes(),
            self.error_code.to_be_bytes(),
            self.session_id.to_be_bytes(),
        );
        put_array(out, &self.responses, |out, topic| {
            out.extend_from_slice(&topic.id);
            put_array(out, &topic.partitions, put_partition);
            out.push(0);
        });
        if self.nodes.is_empty() {
            out.push(0);
            return;
        }
        out.extend_from_slice(&[1, 0]);
        put_uvarint(out, self.nodes_len());
        put_array(out, &self.nodes, |out, node| {
            out.extend_from_slice(&node.id.to_be_bytes());
            put_str(out, node.host);
            out.extend_from_slice(&node.port.to_be_bytes());
            put_nullable_str(out, node.rack);
            out.push(0);
        });
    }

    fn nodes_len(&self) -> usize {
        array_len(&self.nodes, |n| {
            9 + str_len(n.host) + nullable_str_len(n.rack)
        })
    }

    pub fn len(&self) -> usize {
        let responses = array_len(&self.responses, |t| {
            17 + array_len(&t.partitions, partition_len)
        });
        let nodes = match self.nodes.is_empty() {
            true => 0,
            false => 1 + uvarint_len(self.nodes_len()) + self.nodes_len(),
        };
        10 + responses + 1 + nodes
    }
}

#[inline(always)]
fn put_partition(out: &mut impl Sink, p: &Partition<'_>) {
    put_run!(
        out,
        30,
        p.index.to_be_bytes(),
        p.error_code.to_be_bytes(),
        p.high_watermark.to_be_bytes(),
        p.last_stable_offset.to_be_bytes(),
        p.log_start_offset.to_be_bytes(),
    );
    match &p.aborted {
        None => out.push(0),
        Some(aborted) => put_array(out, aborted, |out, (producer, offset)| {
            put_run!(out, 17, producer.to_be_bytes(), offset.to_be_bytes(), [0]);
        }),
    }
    out.extend_from_slice(&p.preferred_read_replica.to_be_bytes());
    put_nullable_bytes(out, p.records);
    let tags = u8::from(p.diverging_epoch.is_some())
        + u8::from(p.current_leader.is_some())
        + u8::from(p.snapshot_id.is_some());
    out.push(tags);
    if let Some((epoch, offset)) = p.diverging_epoch {
        put_run!(
            out,
            15,
            [0, 13],
            epoch.to_be_bytes(),
            offset.to_be_bytes(),
            [0]
        );
    }
    if let Some((leader, epoch)) = p.current_leader {
        put_run!(
            out,
            11,
            [1, 9],
            leader.to_be_bytes(),
            epoch.to_be_bytes(),
            [0]
        );
    }
    if let Some((offset, epoch)) = p.snapshot_id {
        put_run!(
            out,
            15,
            [2, 13],
            offset.to_be_bytes(),
            epoch.to_be_bytes(),
            [0]
        );
    }
}

fn partition_len(p: &Partition<'_>) -> usize {
    let aborted = p
        .aborted
        .as_ref()
        .map_or(1, |aborted| array_len(aborted, |_| 17));
    let tags = p.diverging_epoch.map_or(0, |_| 15)
        + p.current_leader.map_or(0, |_| 11)
        + p.snapshot_id.map_or(0, |_| 15);
    30 + aborted + 4 + nullable_bytes_len(p.records) + 1 + tags
}
