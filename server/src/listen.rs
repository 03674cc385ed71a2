//! Requests of other nodes: a task for each connection, one request at a time.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use kwire_protocol::frame::{self, RequestParts};
use kwire_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use kwire_protocol::messages::{ApiVersionsResponse, ResponseHeader};
use kwire_protocol::negotiate::SupportedVersions;
use kwire_protocol::{ApiKey, Message};
use kwire_raft::message::{Request, supported_versions};
use kwire_raft::voters::KRaftVersions;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use crate::peers::read_frame;
use crate::runner::Handle;

/// Answers raft requests on a listener until its task is dropped.
pub struct Server {
    node: Handle,
    versions: SupportedVersions,
    max_frame_len: usize,
}

impl Server {
    /// A server of a node. `max_frame_len` is `socket.request.max.bytes`.
    #[must_use]
    pub fn new(node: Handle, max_frame_len: usize) -> Server {
        Server {
            node,
            versions: supported_versions(),
            max_frame_len,
        }
    }

    /// Accepts connections for ever.
    pub async fn run(self, listener: TcpListener) {
        let server = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let server = server.clone();
                    tokio::spawn(async move {
                        if let Err(error) = server.serve(stream).await {
                            debug!(%from, "connection closed: {error}");
                        }
                    });
                }
                Err(error) => {
                    // Such as too many open files: others may close some.
                    warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut out = Vec::new();
        while let Some(request) = read_frame(&mut stream, self.max_frame_len).await? {
            out.clear();
            self.answer(&request, &mut out).await?;
            stream.write_all(&out).await?;
        }
        Ok(())
    }

    /// Appends the frame that answers a request. An error closes the connection.
    async fn answer(&self, bytes: &Bytes, out: &mut Vec<u8>) -> io::Result<()> {
        let parts = frame::decode_request_header(bytes).map_err(io::Error::other)?;
        let (api_key, version) = (parts.api_key(), parts.version());
        if api_key == ApiKey::API_VERSIONS {
            return self.answer_versions(&parts, out).await;
        }
        let range = self.versions.get(api_key);
        if !range.is_some_and(|range| range.contains(version)) {
            let what = format!("{api_key} version {version} is not supported");
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let body = bytes.slice_ref(parts.body);
        let correlation_id = parts.header.correlation_id;
        let request = Request::decode(api_key, version, &body)
            .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?
            .map_err(io::Error::other)?;
        let response = self.node.request(version, request).await;
        let response = response.map_err(io::Error::other)?;
        write_response(api_key, version, correlation_id, out, |out| {
            response.encode(version, out)
        })
    }

    async fn answer_versions(&self, parts: &RequestParts<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let level = self.node.ask(|driver| {
            let node = driver.node();
            (node.kraft_version(), i64::from(node.epoch()))
        });
        let (kraft_version, epoch) = level.await.map_err(io::Error::other)?;
        let (version, mut response) = self.versions.answer(parts.version());
        if response.error_code == 0 {
            add_features(&mut response, kraft_version, epoch);
        }
        let correlation_id = parts.header.correlation_id;
        write_response(ApiKey::API_VERSIONS, version, correlation_id, out, |out| {
            response.encode(version, out)
        })
    }
}

fn add_features(response: &mut ApiVersionsResponse<'static>, kraft_version: i16, epoch: i64) {
    let KRaftVersions { min, max } = KRaftVersions::SUPPORTED;
    response.supported_features = vec![SupportedFeatureKey {
        name: "kraft.version".into(),
        min_version: min,
        max_version: max,
        ..Default::default()
    }];
    response.finalized_features_epoch = epoch;
    response.finalized_features = vec![FinalizedFeatureKey {
        name: "kraft.version".into(),
        min_version_level: kraft_version,
        max_version_level: kraft_version,
        ..Default::default()
    }];
}

fn write_response(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), kwire_protocol::EncodeError>,
) -> io::Result<()> {
    let header = ResponseHeader {
        correlation_id,
        ..Default::default()
    };
    frame::write_frame(out, |out| {
        frame::encode_response_header(api_key, version, &header, out)?;
        body(out)
    })
    .map_err(io::Error::other)
}
