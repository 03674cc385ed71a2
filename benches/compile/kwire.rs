//! The least that one does with kwire: a VoteRequest out, a FetchResponse in.

use std::io::{self, Read, Write};

use kwire_protocol::Message;
use kwire_protocol::messages::{FetchResponse, VoteRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let response = FetchResponse::decode(&bytes, 17)?;
    let request = VoteRequest {
        voter_id: response.session_id,
        ..Default::default()
    };
    io::stdout().write_all(&request.encode_to_vec(2)?)?;
    Ok(())
}
