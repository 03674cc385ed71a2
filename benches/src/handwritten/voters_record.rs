//! VotersRecord v0.

use super::wire::*;

pub struct VotersRecord<'a> {
    pub version: i16,
    pub voters: Vec<Voter<'a>>,
}

pub struct Voter<'a> {
    pub id: i32,
    pub directory_id: [u8; 16],
    pub endpoints: Vec<Endpoint<'a>>,
    pub kraft_version: [i16; 2],
}

pub struct Endpoint<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub port: u16,
}

pub fn decode(frame: &[u8]) -> Result<VotersRecord<'_>> {
    let mut r = Reader::new(frame);
    let version = i16(r.run::<2>()?, 0);
    let voters = r.array(27, |r| {
        let head: &[u8; 20] = r.run()?;
        let endpoints = r.array(5, |r| {
            let (name, host) = (r.str()?, r.str()?);
            let port = u16(r.run::<2>()?, 0);
            r.end()?;
            Ok(Endpoint { name, host, port })
        })?;
        let run: &[u8; 4] = r.run()?;
        r.end()?;
        r.end()?;
        Ok(Voter {
            id: i32(head, 0),
            directory_id: uuid(head, 4),
            endpoints,
            kraft_version: [i16(run, 0), i16(run, 2)],
        })
    })?;
    r.end()?;
    r.finish()?;
    Ok(VotersRecord { version, voters })
}

impl VotersRecord<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        out.extend_from_slice(&self.version.to_be_bytes());
        put_array(out, &self.voters, |out, voter| {
            put_run!(out, 20, voter.id.to_be_bytes(), voter.directory_id);
            put_array(out, &voter.endpoints, |out, endpoint| {
                put_str(out, endpoint.name);
                put_str(out, endpoint.host);
                put_run!(out, 3, endpoint.port.to_be_bytes(), [0]);
            });
            let [min, max] = voter.kraft_version;
            put_run!(out, 6, min.to_be_bytes(), max.to_be_bytes(), [0, 0]);
        });
        out.push(0);
    }

    pub fn len(&self) -> usize {
        let endpoint = |e: &Endpoint<'_>| str_len(e.name) + str_len(e.host) + 3;
        let voter = |v: &Voter<'_>| 20 + array_len(&v.endpoints, endpoint) + 6;
        2 + array_len(&self.voters, voter) + 1
    }
}
