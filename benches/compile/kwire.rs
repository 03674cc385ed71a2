//! The least that one does with kwire: a VoteRequest out, a FetchResponse in.

use std::hint::black_box;
use std::io::{self, Read, Write};

use kwire_protocol::Message;
use kwire_protocol::messages::{FetchResponse, VoteRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let response = FetchResponse::decode(&bytes, black_box(17))?;
    let request = VoteRequest {
        voter_id: response.session_id,
        ..Default::default()
    };
    io::stdout().write_all(&request.encode_to_vec(black_box(2))?)?;
    Ok(())
}
