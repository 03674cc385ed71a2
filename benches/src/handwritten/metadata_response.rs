//! MetadataResponse v12.

use super::wire::*;

/// `I` is what arrays of replicas are kept as.
pub struct MetadataResponse<'a, I> {
    pub throttle_time_ms: i32,
    pub brokers: Vec<Broker<'a>>,
    pub cluster_id: Option<&'a str>,
    pub controller_id: i32,
    pub topics: Vec<Topic<'a, I>>,
}

pub struct Broker<'a> {
    pub id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
}

pub struct Topic<'a, I> {
    pub error_code: i16,
    pub name: Option<&'a str>,
    pub id: [u8; 16],
    pub internal: bool,
    pub partitions: Vec<Partition<I>>,
    pub operations: i32,
}

pub struct Partition<I> {
    pub error_code: i16,
    pub index: i32,
    pub leader: i32,
    pub leader_epoch: i32,
    pub replicas: I,
    pub isr: I,
    pub offline: I,
}

pub fn decode(frame: &[u8]) -> Result<MetadataResponse<'_, &[u8]>> {
    let mut r = Reader::new(frame);
    let throttle_time_ms = i32(r.run::<4>()?, 0);
    let brokers = r.array(11, |r| {
        let (id, host) = (i32(r.run::<4>()?, 0), r.str()?);
        let (port, rack) = (i32(r.run::<4>()?, 0), r.nullable_str()?);
        r.end()?;
        Ok(Broker {
            id,
            host,
            port,
            rack,
        })
    })?;
    let cluster_id = r.nullable_str()?;
    let controller_id = i32(r.run::<4>()?, 0);
    let topics = r.array(26, topic)?;
    r.end()?;
    r.finish()?;
    Ok(MetadataResponse {
        throttle_time_ms,
        brokers,
        cluster_id,
        controller_id,
        topics,
    })
}

#[inline(always)]
fn topic<'a>(r: &mut Reader<'a>) -> Result<Topic<'a, &'a [u8]>> {
    let error_code = i16(r.run::<2>()?, 0);
    let name = r.nullable_str()?;
    let run: &[u8; 17] = r.run()?;
    let partitions = r.array(18, |r| {
        let run: &[u8; 14] = r.run()?;
        let partition = Partition {
            error_code: i16(run, 0),
            index: i32(run, 2),
            leader: i32(run, 6),
            leader_epoch: i32(run, 10),
            replicas: r.ints()?,
            isr: r.ints()?,
            offline: r.ints()?,
        };
        r.end()?;
        Ok(partition)
    })?;
    let operations = i32(r.run::<4>()?, 0);
    r.end()?;
    Ok(Topic {
        error_code,
        name,
        id: uuid(run, 0),
        internal: run[16] != 0,
        partitions,
        operations,
    })
}

impl<'a> MetadataResponse<'a, &'a [u8]> {
    /// The same with numbers as a program has them.
    pub fn made(self) -> MetadataResponse<'a, Vec<i32>> {
        let ints = |bytes: &[u8]| bytes.chunks(4).map(|chunk| i32(chunk, 0)).collect();
        let partition = |p: Partition<&[u8]>| Partition {
            error_code: p.error_code,
            index: p.index,
            leader: p.leader,
            leader_epoch: p.leader_epoch,
            replicas: ints(p.replicas),
            isr: ints(p.isr),
            offline: ints(p.offline),
        };
        let topic = |t: Topic<'a, &[u8]>| Topic {
            error_code: t.error_code,
            name: t.name,
            id: t.id,
            internal: t.internal,
            partitions: t.partitions.into_iter().map(partition).collect(),
            operations: t.operations,
        };
        MetadataResponse {
            throttle_time_ms: self.throttle_time_ms,
            brokers: self.brokers,
            cluster_id: self.cluster_id,
            controller_id: self.controller_id,
            topics: self.topics.into_iter().map(topic).collect(),
        }
    }
}

impl<I: Ints> MetadataResponse<'_, I> {
    pub fn encode(&self, out: &mut impl Sink) {
        out.extend_from_slice(&self.throttle_time_ms.to_be_bytes());
        put_array(out, &self.brokers, |out, broker| {
            out.extend_from_slice(&broker.id.to_be_bytes());
            put_str(out, broker.host);
            out.extend_from_slice(&broker.port.to_be_bytes());
            put_nullable_str(out, broker.rack);
            out.push(0);
        });
        put_nullable_str(out, self.cluster_id);
        out.extend_from_slice(&self.controller_id.to_be_bytes());
        put_array(out, &self.topics, |out, topic| {
            out.extend_from_slice(&topic.error_code.to_be_bytes());
            put_nullable_str(out, topic.name);
            put_run!(out, 17, topic.id, [u8::from(topic.internal)]);
            put_array(out, &topic.partitions, |out, p| {
                put_run!(
                    out,
                    14,
                    p.error_code.to_be_bytes(),
                    p.index.to_be_bytes(),
                    p.leader.to_be_bytes(),
                    p.leader_epoch.to_be_bytes(),
                );
                p.replicas.put(out);
                p.isr.put(out);
                p.offline.put(out);
                out.push(0);
            });
            put_run!(out, 5, topic.operations.to_be_bytes(), [0]);
        });
        out.push(0);
    }

    pub fn len(&self) -> usize {
        let broker = |b: &Broker<'_>| 9 + str_len(b.host) + nullable_str_len(b.rack);
        let partition =
            |p: &Partition<I>| 15 + p.replicas.wire_len() + p.isr.wire_len() + p.offline.wire_len();
        let topic = |t: &Topic<'_, I>| {
            2 + nullable_str_len(t.name) + 17 + array_len(&t.partitions, partition) + 5
        };
        4 + array_len(&self.brokers, broker)
            + nullable_str_len(self.cluster_id)
            + 4
            + array_len(&self.topics, topic)
            + 1
    }
}
