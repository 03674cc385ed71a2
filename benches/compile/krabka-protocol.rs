//! The least that one does with krabka-protocol: a VoteRequest out, a FetchResponse in.

use std::hint::black_box;
use std::io::{self, Read, Write};

use bytes::BytesMut;
use krabka_protocol::owned::{fetch_response::FetchResponse, vote_request::VoteRequest};
use krabka_protocol::{Decode, Encode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let response = FetchResponse::decode(&mut &bytes[..], black_box(17))?;
    let request = VoteRequest {
        voter_id: response.session_id,
        ..Default::default()
    };
    let mut out = BytesMut::with_capacity(request.encoded_len(2));
    request.encode(&mut out, black_box(2))?;
    io::stdout().write_all(&out)?;
    Ok(())
}
