//! A connection to a node: which versions both speak, requests and their answers.

use std::fmt;
use std::io;

use bytes::Bytes;
use kwire_protocol::frame::{self, RequestHead};
use kwire_protocol::messages::{ApiVersionsRequest, RequestHeader};
use kwire_protocol::negotiate::{ApiVersionsAnswer, Negotiated, SupportedVersions};
use kwire_protocol::{ApiKey, EncodeError, Limits, Message};
use kwire_raft::message::{Request, Response};
use kwire_raft::voters::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Bytes that are read at once where a frame may begin: its length and its rest do not cost a call
/// each, and a longer rest is still read to where it belongs.
pub(crate) const READ_AHEAD: usize = 1 << 10;

/// What a connection is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the other end is told of who asks.
    pub client_id: String,
    /// The longest answer that is read.
    pub max_frame_len: usize,
    /// The versions that this end speaks.
    pub versions: SupportedVersions,
}

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The system failed, or the other end closed the connection.
    Io(io::Error),
    /// The answer is none: the other end is at fault.
    Malformed(String),
    /// The ends have no version in common, or that version cannot say what was asked.
    Versions(String),
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> ConnectionError {
        ConnectionError::Io(error)
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionError::Io(error) => write!(f, "connection: {error}"),
            ConnectionError::Malformed(what) => write!(f, "answer: {what}"),
            ConnectionError::Versions(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for ConnectionError {}

/// A connection whose ends know each other's versions. One request at a time; after an error of
/// [`Io`](ConnectionError::Io) or [`Malformed`](ConnectionError::Malformed), or when a call was
/// given up, nobody knows what comes next on it.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    versions: Negotiated,
    correlation_id: i32,
    client_id: String,
    max_frame_len: usize,
}

impl Connection {
    /// Connects, and asks which versions the other end speaks. One that does not know how it was
    /// asked is asked again at a version that it names (KIP-511).
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub async fn open(address: &Address, options: &Options) -> Result<Connection, ConnectionError> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Connection {
            stream: BufReader::with_capacity(READ_AHEAD, stream),
            versions: Negotiated::default(),
            correlation_id: 0,
            client_id: options.client_id.clone(),
            max_frame_len: options.max_frame_len,
        };
        let ours = options.versions.clone();
        let range = ours.get(ApiKey::API_VERSIONS);
        let mut version = range.map_or(0, |range| range.highest);
        loop {
            let body = connection.ask_versions(version).await?;
            let answer = ApiVersionsAnswer::decode(version, &body, &Limits::DEFAULT)
                .map_err(|error| ConnectionError::Malformed(error.to_string()))?;
            match answer {
                ApiVersionsAnswer::Versions(response) => {
                    connection.versions = Negotiated::new(ours, &response);
                    return Ok(connection);
                }
                ApiVersionsAnswer::AskAgain { version: lower } => version = lower,
                other => {
                    let what = format!("no common versions: {other:?}");
                    return Err(ConnectionError::Versions(what));
                }
            }
        }
    }

    /// Whether the other end has not closed it, and sent nothing that nobody asked for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let mut byte = [0];
        let read = self.stream.get_ref().try_read(&mut byte);
        self.stream.buffer().is_empty()
            && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the other end is one of Kafka's own nodes: those take the registrations of brokers.
    #[must_use]
    pub fn is_kafkas(&self) -> bool {
        match self.versions.version(ApiKey::BROKER_REGISTRATION) {
            Ok(_) => true,
            Err(error) => error.theirs.is_some(),
        }
    }

    /// The versions that both ends speak.
    #[must_use]
    pub fn versions(&self) -> &Negotiated {
        &self.versions
    }

    /// Asks at the highest version of both ends, and reads the answer.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub async fn call<R: kwire_protocol::Request>(
        &mut self,
        request: &R,
    ) -> Result<R::Response<'static>, ConnectionError> {
        let (version, body) = self
            .send(R::API_KEY, |version, out| request.encode(version, out))
            .await?;
        R::Response::decode_shared(&body, version, &Limits::DEFAULT)
            .map_err(|error| ConnectionError::Malformed(error.to_string()))
    }

    /// The same for the requests of raft nodes.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub async fn call_raft(&mut self, request: &Request) -> Result<Response, ConnectionError> {
        let api_key = request.api_key();
        let (version, body) = self
            .send(api_key, |version, out| request.encode(version, out))
            .await?;
        Response::decode(api_key, version, &body)
            .ok_or_else(|| ConnectionError::Malformed("no raft request".to_owned()))?
            .map_err(|error| ConnectionError::Malformed(error.to_string()))
    }

    async fn ask_versions(&mut self, version: i16) -> Result<Bytes, ConnectionError> {
        self.correlation_id += 1;
        let head = RequestHead {
            version,
            correlation_id: self.correlation_id,
            client_id: Some(&self.client_id),
        };
        let request = ApiVersionsRequest {
            client_software_name: "kwire".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        };
        let mut out = Vec::new();
        frame::encode_request(&head, &request, &mut out)
            .map_err(|error| ConnectionError::Versions(error.to_string()))?;
        self.exchange(ApiKey::API_VERSIONS, version, &out).await
    }

    /// Sends a body at the version of both ends; gives that version, and the body of the answer.
    async fn send(
        &mut self,
        api_key: ApiKey,
        body: impl FnOnce(i16, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(i16, Bytes), ConnectionError> {
        let version = self
            .versions
            .version(api_key)
            .map_err(|error| ConnectionError::Versions(error.to_string()))?;
        self.correlation_id += 1;
        let header = RequestHeader {
            request_api_key: api_key.0,
            request_api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some(self.client_id.clone().into()),
            ..Default::default()
        };
        let mut out = Vec::new();
        frame::write_frame(&mut out, |out| {
            frame::encode_request_header(&header, out)?;
            body(version, out)
        })
        .map_err(|error| ConnectionError::Versions(error.to_string()))?;
        Ok((version, self.exchange(api_key, version, &out).await?))
    }

    /// Writes a request, and reads its response without its header.
    async fn exchange(
        &mut self,
        api_key: ApiKey,
        version: i16,
        request: &[u8],
    ) -> Result<Bytes, ConnectionError> {
        self.stream.write_all(request).await?;
        let response = read_frame(&mut self.stream, self.max_frame_len).await?;
        let response = response.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let parts = frame::decode_response_header(api_key, version, &response)
            .map_err(|error| ConnectionError::Malformed(error.to_string()))?;
        let found = parts.header.correlation_id;
        if found != self.correlation_id {
            let expected = self.correlation_id;
            let what = format!("correlation id {found} instead of {expected}");
            return Err(ConnectionError::Malformed(what));
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
async fn read_body(stream: &mut (impl AsyncReadExt + Unpin), len: usize) -> io::Result<Bytes> {
    // Of an answer that was asked for. What is made room for is not touched before it comes.
    let mut body = Vec::with_capacity(len);
    let read = stream.take(len as u64).read_to_end(&mut body).await?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::from(body))
}
