//! FetchRequest v17.

use super::wire::*;

pub struct FetchRequest<'a> {
    pub cluster_id: Option<&'a str>,
    pub replica_state: Option<(i32, i64)>,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: u8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<Topic>,
    pub forgotten: Vec<Forgotten<'a>>,
    pub rack_id: &'a str,
}

pub struct Topic {
    pub id: [u8; 16],
    pub partitions: Vec<Partition>,
}

pub struct Partition {
    pub index: i32,
    pub leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub max_bytes: i32,
    pub directory_id: [u8; 16],
}

pub struct Forgotten<'a> {
    pub id: [u8; 16],
    pub partitions: &'a [u8],
}

pub fn decode(frame: &[u8]) -> Result<FetchRequest<'_>> {
    let r = &mut Reader::new(frame);
    let head: &[u8; 21] = r.run()?;
    let topics = r.array(18, |r| {
        let id = r.run::<16>()?;
        let partitions = r.array(33, partition)?;
        r.end()?;
        Ok(Topic {
            id: *id,
            partitions,
        })
    })?;
    let forgotten = r.array(18, |r| {
        let (id, partitions) = (r.run::<16>()?, r.ints()?);
        r.end()?;
        Ok(Forgotten {
            id: *id,
            partitions,
        })
    })?;
    let rack_id = r.str()?;
    let (mut cluster_id, mut replica_state) = (None, None);
    for _ in 0..r.uvarint()? {
        match r.uvarint()? {
            0 => {
                r.uvarint()?;
                cluster_id = r.nullable_str()?;
            }
            1 => {
                r.uvarint()?;
                let run: &[u8; 12] = r.run()?;
                replica_state = Some((i32(run, 0), i64(run, 4)));
                r.end()?;
            }
            _ => return Err(Malformed),
        }
    }
    std::mem::replace(r, Reader::new(&[])).finish()?;
    Ok(FetchRequest {
        cluster_id,
        replica_state,
        max_wait_ms: i32(head, 0),
        min_bytes: i32(head, 4),
        max_bytes: i32(head, 8),
        isolation_level: head[12],
        session_id: i32(head, 13),
        session_epoch: i32(head, 17),
        topics,
        forgotten,
        rack_id,
    })
}

#[inline(always)]
fn partition(r: &mut Reader<'_>) -> Result<Partition> {
    let run: &[u8; 33] = r.run()?;
    let mut directory_id = [0; 16];
    match run[32] {
        0 => {}
        1 => {
            let tag: &[u8; 18] = r.run()?;
            if tag[..2] != [0, 16] {
                return Err(Malformed);
            }
            directory_id = uuid(tag, 2);
        }
        _ => return Err(Malformed),
    }
    Ok(Partition {
        index: i32(run, 0),
        leader_epoch: i32(run, 4),
        fetch_offset: i64(run, 8),
        last_fetched_epoch: i32(run, 16),
        log_start_offset: i64(run, 20),
        max_bytes: i32(run, 28),
        directory_id,
    })
}

impl FetchRequest<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        put_run!(
            out,
            21,
            self.max_wait_ms.to_be_bytes(),
            self.min_bytes.to_be_bytes(),
            self.max_bytes.to_be_bytes(),
            [self.isolation_level],
            self.session_id.to_be_bytes(),
            self.session_epoch.to_be_bytes(),
        );
        put_array(out, &self.topics, |out, topic| {
            out.extend_from_slice(&topic.id);
            put_array(out, &topic.partitions, put_partition);
            out.push(0);
        });
        put_array(out, &self.forgotten, |out, topic| {
            out.extend_from_slice(&topic.id);
            topic.partitions.put(out);
            out.push(0);
        });
        put_str(out, self.rack_id);
        let tags = u8::from(self.cluster_id.is_some()) + u8::from(self.replica_state.is_some());
        out.push(tags);
        if let Some(cluster_id) = self.cluster_id {
            out.push(0);
            put_uvarint(out, str_len(cluster_id));
            put_str(out, cluster_id);
        }
        if let Some((id, epoch)) = self.replica_state {
            put_run!(out, 15, [1, 13], id.to_be_bytes(), epoch.to_be_bytes(), [0]);
        }
    }

    pub fn len(&self) -> usize {
        let partition = |p: &Partition| if p.directory_id == [0; 16] { 33 } else { 51 };
        let topics = array_len(&self.topics, |t| 17 + array_len(&t.partitions, partition));
        let forgotten = array_len(&self.forgotten, |t| 17 + t.partitions.wire_len());
        let cluster_id = self
            .cluster_id
            .map_or(0, |id| 1 + uvarint_len(str_len(id)) + str_len(id));
        let state = self.replica_state.map_or(0, |_| 15);
        21 + topics + forgotten + str_len(self.rack_id) + 1 + cluster_id + state
    }
}

#[inline(always)]
fn put_partition(out: &mut impl Sink, p: &Partition) {
    let mut run = [0; 51];
    run[0..4].copy_from_slice(&p.index.to_be_bytes());
    run[4..8].copy_from_slice(&p.leader_epoch.to_be_bytes());
    run[8..16].copy_from_slice(&p.fetch_offset.to_be_bytes());
    run[16..20].copy_from_slice(&p.last_fetched_epoch.to_be_bytes());
    run[20..28].copy_from_slice(&p.log_start_offset.to_be_bytes());
    run[28..32].copy_from_slice(&p.max_bytes.to_be_bytes());
    if p.directory_id == [0; 16] {
        out.extend_from_slice(&run[..33]);
    } else {
        run[32..35].copy_from_slice(&[1, 0, 16]);
        run[35..].copy_from_slice(&p.directory_id);
        out.extend_from_slice(&run);
    }
}
