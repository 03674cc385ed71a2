//! The least that one does with kafka-protocol: a VoteRequest out, a FetchResponse in.

use std::hint::black_box;
use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{FetchResponse, VoteRequest};
use kafka_protocol::protocol::{Decodable, Encodable};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let response = FetchResponse::decode(&mut Bytes::from(bytes), black_box(17))?;
    let request = VoteRequest::default().with_voter_id(response.session_id.into());
    let mut out = BytesMut::new();
    request.encode(&mut out, black_box(2))?;
    io::stdout().write_all(&out)?;
    Ok(())
}
