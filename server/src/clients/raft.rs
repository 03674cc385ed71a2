//! Requests of raft nodes and of tools for them: the node's own matter.

use std::io;

use bytes::Bytes;
use kwire_protocol::frame;
use kwire_protocol::messages::ResponseHeader;
use kwire_raft::message::{Request, Response};

use super::{Answer, Clients, Head};

impl Clients {
    pub(super) async fn ask_raft(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let Head {
            api_key, version, ..
        } = *head;
        let request = Request::decode(api_key, version, body)
            .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?
            .map_err(io::Error::other)?;
        self.ask_raft_for(head, request).await
    }

    pub(super) async fn ask_raft_for(&self, head: &Head, request: Request) -> io::Result<Answer> {
        let Head {
            api_key, version, ..
        } = *head;
        let answered = self.node.request(version, request).await;
        let response = answered.map_err(io::Error::other)?.complete().await?;
        // Records are most of what a node sends.
        if let Response::Fetch(fetch) = &response {
            return head.frame_of_records(fetch).map(Answer::Frame);
        }
        let header = ResponseHeader {
            correlation_id: head.correlation_id,
            ..Default::default()
        };
        let mut out = Vec::new();
        frame::write_frame(&mut out, |out| {
            frame::encode_response_header(api_key, version, &header, out)?;
            response.encode(version, out)
        })
        .map_err(io::Error::other)?;
        Ok(Answer::Frame(out.into()))
    }
}
