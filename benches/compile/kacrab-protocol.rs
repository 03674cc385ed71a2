//! The least that one does with kacrab-protocol: a VoteRequest out, a FetchResponse in.

use std::hint::black_box;
use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use kacrab_protocol::generated::{FetchResponseData, VoteRequestData};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let response = FetchResponseData::read(&mut Bytes::from(bytes), black_box(17))?;
    let request = VoteRequestData::default().with_voter_id(response.session_id);
    let mut out = BytesMut::new();
    request.write(&mut out, black_box(2))?;
    io::stdout().write_all(&out)?;
    Ok(())
}
