//! Requests that only the leader answers, and that clients send to any node: passed on to it, as
//! Kafka's brokers do.
//!
//! Kafka's tools ask any node for the state of the quorum, and librdkafka any for a producer's id,
//! and both ask the same one again if that does not lead.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use kwire_protocol::messages::{RequestHeader, ResponseHeader};
use kwire_protocol::{ApiKey, frame};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, Caller, Clients, Head};
use crate::connection::read_frame;

/// What is passed on says so, and is not passed on again: two nodes may take each other for the
/// leader.
const CLIENT_ID: &str = "kwire-forwarded";
/// What raft nodes call themselves. They want to know who leads.
const RAFT_CLIENT_ID: &str = "raft-client-";
/// How long the leader may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is passed on.
const MAX_ANSWER_BYTES: usize = 16 << 20;

impl Clients {
    /// The leader's answer, if the request is one that is passed on, and the leader answers.
    pub(super) async fn forward(
        &self,
        caller: Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Option<Answer>> {
        let goes_anywhere = matches!(
            head.api_key,
            ApiKey::DESCRIBE_QUORUM
                | ApiKey::ADD_RAFT_VOTER
                | ApiKey::REMOVE_RAFT_VOTER
                | ApiKey::INIT_PRODUCER_ID
        );
        let client = head.client_id.as_str();
        let is_nodes = client == CLIENT_ID || client.starts_with(RAFT_CLIENT_ID);
        let leads = self.node.status().borrow().leads_from.is_some();
        if !goes_anywhere || is_nodes || leads {
            return Ok(None);
        }
        let cluster = self.cluster(caller).await?;
        let Some(leader) = cluster.leader() else {
            return Ok(None);
        };
        let Ok(port) = u16::try_from(leader.port) else {
            return Ok(None);
        };
        match timeout(PATIENCE, ask(&leader.host, port, head, body)).await {
            Ok(Ok(answer)) => Ok(Some(Answer::Frame(answer.into()))),
            // Then it is this node that says what it knows.
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }
}

async fn ask(host: &str, port: u16, head: &Head, body: &Bytes) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((host, port)).await?;
    let header = RequestHeader {
        request_api_key: head.api_key.0,
        request_api_version: head.version,
        correlation_id: head.correlation_id,
        client_id: Some(CLIENT_ID.into()),
        ..Default::default()
    };
    let mut out = Vec::new();
    frame::write_frame(&mut out, |out| {
        frame::encode_request_header(&header, out)?;
        out.extend_from_slice(body);
        Ok(())
    })
    .map_err(io::Error::other)?;
    stream.write_all(&out).await?;
    let answer = read_frame(&mut stream, MAX_ANSWER_BYTES).await?;
    let answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let parts = frame::decode_response_header(head.api_key, head.version, &answer);
    let parts = parts.map_err(io::Error::other)?;
    if parts.header.correlation_id != head.correlation_id {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let header = ResponseHeader {
        correlation_id: head.correlation_id,
        ..Default::default()
    };
    out.clear();
    frame::write_frame(&mut out, |out| {
        frame::encode_response_header(head.api_key, head.version, &header, out)?;
        out.extend_from_slice(parts.body);
        Ok(())
    })
    .map_err(io::Error::other)?;
    Ok(out)
}
