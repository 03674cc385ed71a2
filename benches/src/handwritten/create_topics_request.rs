//! CreateTopicsRequest v7.

use super::wire::*;

pub struct CreateTopicsRequest<'a> {
    pub topics: Vec<Topic<'a>>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

pub struct Topic<'a> {
    pub name: &'a str,
    pub partitions: i32,
    pub replication_factor: i16,
    pub assignments: Vec<(i32, &'a [u8])>,
    pub configs: Vec<(&'a str, Option<&'a str>)>,
}

pub fn decode(frame: &[u8]) -> Result<CreateTopicsRequest<'_>> {
    let mut r = Reader::new(frame);
    let topics = r.array(10, |r| {
        let name = r.str()?;
        let run: &[u8; 6] = r.run()?;
        let assignments = r.array(6, |r| {
            let assignment = (i32(r.run::<4>()?, 0), r.ints()?);
            r.end()?;
            Ok(assignment)
        })?;
        let configs = r.array(3, |r| {
            let config = (r.str()?, r.nullable_str()?);
            r.end()?;
            Ok(config)
        })?;
        r.end()?;
        Ok(Topic {
            name,
            partitions: i32(run, 0),
            replication_factor: i16(run, 4),
            assignments,
            configs,
        })
    })?;
    let run: &[u8; 5] = r.run()?;
    r.end()?;
    r.finish()?;
    Ok(CreateTopicsRequest {
        topics,
        timeout_ms: i32(run, 0),
        validate_only: run[4] != 0,
    })
}

impl CreateTopicsRequest<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        put_array(out, &self.topics, |out, topic| {
            put_str(out, topic.name);
            put_run!(
                out,
                6,
                topic.partitions.to_be_bytes(),
                topic.replication_factor.to_be_bytes(),
            );
            put_array(out, &topic.assignments, |out, (partition, brokers)| {
                out.extend_from_slice(&partition.to_be_bytes());
                brokers.put(out);
                out.push(0);
            });
            put_array(out, &topic.configs, |out, (name, value)| {
                put_str(out, name);
                put_nullable_str(out, *value);
                out.push(0);
            });
            out.push(0);
        });
        put_run!(
            out,
            6,
            self.timeout_ms.to_be_bytes(),
            [u8::from(self.validate_only), 0]
        );
    }

    pub fn len(&self) -> usize {
        let topic = |t: &Topic<'_>| {
            let assignments = array_len(&t.assignments, |(_, brokers)| 5 + brokers.wire_len());
            let configs = array_len(&t.configs, |(name, value)| {
                str_len(name) + nullable_str_len(*value) + 1
            });
            str_len(t.name) + 6 + assignments + configs + 1
        };
        array_len(&self.topics, topic) + 6
    }
}
