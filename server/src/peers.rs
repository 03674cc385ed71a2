//! Requests to other nodes: connections, negotiation of versions, answers.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kwire_protocol::frame::{self, RequestHead};
use kwire_protocol::messages::{ApiVersionsRequest, RequestHeader};
use kwire_protocol::negotiate::{ApiVersionsAnswer, Negotiated};
use kwire_protocol::{ApiKey, Limits};
use kwire_raft::message::{Request, Response, supported_versions};
use kwire_raft::node::{CallError, CallId, Destination};
use kwire_raft::voters::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::time::timeout;
use tracing::debug;

use crate::runner::Handle;

/// Sends a node's requests, each on a connection of its own while it lasts. A connection that is
/// free is used again.
///
/// A node has one request under way for each other node, unless it gave an earlier one up: that one
/// may still be waiting at the other end, so that a new one must not queue behind it.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: runtime::Handle,
    node: Handle,
    client_id: String,
    patience: Duration,
    max_frame_len: usize,
    /// Connections that nobody uses now. At most two for each address stay.
    free: Mutex<HashMap<Address, Vec<Connection>>>,
}

const FREE_PER_ADDRESS: usize = 2;

impl Peers {
    /// `patience` is how long a request may take, connecting included; the node gives up then.
    #[must_use]
    pub fn new(
        runtime: runtime::Handle,
        node: Handle,
        client_id: String,
        patience: Duration,
        max_frame_len: usize,
    ) -> Peers {
        Peers {
            shared: Arc::new(Shared {
                runtime,
                node,
                client_id,
                patience,
                max_frame_len,
                free: Mutex::default(),
            }),
        }
    }

    /// Sends a request, and gives the node its outcome.
    pub fn send(&self, call: CallId, to: Destination, request: Request) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn(async move {
            let outcome = timeout(shared.patience, shared.call(&to.address, &request)).await;
            let answer = match outcome {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(failure)) => {
                    debug!(peer = to.id, address = %to.address, "{failure}");
                    Err(failure.into())
                }
                Err(_) => {
                    debug!(peer = to.id, address = %to.address, "no answer in time");
                    Err(CallError::Disconnected)
                }
            };
            // The node may have stopped.
            let _ = shared.node.answer(call, answer);
        });
    }
}

impl Shared {
    async fn call(&self, address: &Address, request: &Request) -> Result<Response, Failure> {
        let mut connection = match self.take_free(address) {
            Some(connection) => connection,
            None => Connection::open(address, &self.client_id, self.max_frame_len).await?,
        };
        let answer = connection.call(&self.client_id, request).await;
        // After an error nobody knows what comes next on the connection.
        if !matches!(answer, Err(Failure::Io(_) | Failure::Malformed(_))) {
            self.put_free(address, connection);
        }
        answer
    }

    fn take_free(&self, address: &Address) -> Option<Connection> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = free.get_mut(address)?;
        while let Some(connection) = connections.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    fn put_free(&self, address: &Address, connection: Connection) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = free.entry(address.clone()).or_default();
        if connections.len() < FREE_PER_ADDRESS {
            connections.push(connection);
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    Io(io::Error),
    Malformed(String),
    Versions(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> CallError {
        match failure {
            Failure::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                CallError::Refused
            }
            Failure::Io(_) => CallError::Disconnected,
            Failure::Malformed(_) => CallError::Malformed,
            Failure::Versions(_) => CallError::UnsupportedVersion,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Io(error) => write!(f, "connection: {error}"),
            Failure::Malformed(what) => write!(f, "answer: {what}"),
            Failure::Versions(what) => write!(f, "{what}"),
        }
    }
}

struct Connection {
    stream: TcpStream,
    versions: Negotiated,
    correlation_id: i32,
    max_frame_len: usize,
}

impl Connection {
    /// Connects, and asks which versions the other node speaks.
    async fn open(
        address: &Address,
        client_id: &str,
        max_frame_len: usize,
    ) -> Result<Connection, Failure> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Connection {
            stream,
            versions: Negotiated::default(),
            correlation_id: 0,
            max_frame_len,
        };
        let ours = supported_versions();
        let highest = ours
            .get(ApiKey::API_VERSIONS)
            .map_or(0, |range| range.highest);
        let mut version = highest;
        loop {
            let body = connection.ask_versions(client_id, version).await?;
            let answer = ApiVersionsAnswer::decode(version, &body, &Limits::DEFAULT)
                .map_err(|error| Failure::Malformed(error.to_string()))?;
            match answer {
                ApiVersionsAnswer::Versions(response) => {
                    connection.versions = Negotiated::new(ours, &response);
                    return Ok(connection);
                }
                ApiVersionsAnswer::AskAgain { version: lower } => version = lower,
                other => return Err(Failure::Versions(format!("no common versions: {other:?}"))),
            }
        }
    }

    /// Whether the other end has not closed it, and sent nothing that nobody asked for.
    fn is_open(&self) -> bool {
        let mut byte = [0];
        let read = self.stream.try_read(&mut byte);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    async fn ask_versions(&mut self, client_id: &str, version: i16) -> Result<Bytes, Failure> {
        self.correlation_id += 1;
        let head = RequestHead {
            version,
            correlation_id: self.correlation_id,
            client_id: Some(client_id),
        };
        let request = ApiVersionsRequest {
            client_software_name: "kwire".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        };
        let mut out = Vec::new();
        frame::encode_request(&head, &request, &mut out)
            .map_err(|error| Failure::Versions(error.to_string()))?;
        self.exchange(ApiKey::API_VERSIONS, version, &out).await
    }

    async fn call(&mut self, client_id: &str, request: &Request) -> Result<Response, Failure> {
        let api_key = request.api_key();
        let version = self
            .versions
            .version(api_key)
            .map_err(|error| Failure::Versions(error.to_string()))?;
        self.correlation_id += 1;
        let header = RequestHeader {
            request_api_key: api_key.0,
            request_api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some(client_id.to_owned().into()),
            ..Default::default()
        };
        let mut out = Vec::new();
        frame::write_frame(&mut out, |out| {
            frame::encode_request_header(&header, out)?;
            request.encode(version, out)
        })
        .map_err(|error| Failure::Versions(error.to_string()))?;
        let body = self.exchange(api_key, version, &out).await?;
        let response = Response::decode(api_key, version, &body)
            .ok_or_else(|| Failure::Malformed("no raft request".to_owned()))?;
        response.map_err(|error| Failure::Malformed(error.to_string()))
    }

    /// Writes a request, and reads its response without its header.
    async fn exchange(
        &mut self,
        api_key: ApiKey,
        version: i16,
        request: &[u8],
    ) -> Result<Bytes, Failure> {
        self.stream.write_all(request).await?;
        let response = read_frame(&mut self.stream, self.max_frame_len).await?;
        let response = response.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let parts = frame::decode_response_header(api_key, version, &response)
            .map_err(|error| Failure::Malformed(error.to_string()))?;
        let found = parts.header.correlation_id;
        if found != self.correlation_id {
            let expected = self.correlation_id;
            let what = format!("correlation id {found} instead of {expected}");
            return Err(Failure::Malformed(what));
        }
        Ok(response.slice_ref(parts.body))
    }
}

/// Reads a frame without its length. `None` if the connection ends where one would begin.
///
/// # Errors
/// When the connection fails or ends within a frame, or the frame is longer than `max_len`.
pub async fn read_frame(
    stream: &mut (impl AsyncReadExt + Unpin),
    max_len: usize,
) -> io::Result<Option<Bytes>> {
    let mut first = [0];
    if stream.read(&mut first).await? == 0 {
        return Ok(None);
    }
    let len = read_len(stream, first[0], max_len).await?;
    read_body(stream, len).await.map(Some)
}

/// Reads the rest of a frame's length, of which the first byte is there.
pub(crate) async fn read_len(
    stream: &mut (impl AsyncReadExt + Unpin),
    first: u8,
    max_len: usize,
) -> io::Result<usize> {
    let mut prefix = [first, 0, 0, 0];
    stream.read_exact(&mut prefix[1..]).await?;
    // Says what the bytes look like if they are no length.
    if let Err(error) = frame::split_frame(&prefix, max_len) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    usize::try_from(i32::from_be_bytes(prefix)).map_err(io::Error::other)
}

/// Reads a frame of which the length is known.
pub(crate) async fn read_body(
    stream: &mut (impl AsyncReadExt + Unpin),
    len: usize,
) -> io::Result<Bytes> {
    // Grows as bytes come: a length alone must not cost its size.
    let mut body = Vec::with_capacity(len.min(64 << 10));
    let read = stream.take(len as u64).read_to_end(&mut body).await?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::from(body))
}
