//! The addresses of brokers in responses.

use std::fmt;

use super::put_uvarint;
use crate::ApiKey;
use crate::runtime::{DecodeError, MAX_STRING_LEN};
use crate::skip::{Cursor, Found, Plans, What};

/// A node of the cluster, as a response names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint<'a> {
    /// The id of the node; -1 where there is none, as in the answer that no coordinator is known.
    pub node_id: i32,
    /// The host; empty where there is none.
    pub host: &'a str,
    /// The port; -1 where there is none.
    pub port: i32,
}

/// Why a response could not be rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RewriteError {
    /// The bytes are not the response. The broker's fault.
    Decode(DecodeError),
    /// The new host has more than 32767 bytes. The caller's fault.
    HostTooLong {
        /// How many it has.
        len: usize,
    },
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RewriteError::Decode(error) => error.fmt(f),
            RewriteError::HostTooLong { len } => {
                write!(f, "a host of {len} bytes, more than {MAX_STRING_LEN}")
            }
        }
    }
}

impl std::error::Error for RewriteError {}

impl From<DecodeError> for RewriteError {
    fn from(error: DecodeError) -> RewriteError {
        RewriteError::Decode(error)
    }
}

/// Makes the table of responses: for each the paths of node id, host and port, in the order of
/// the wire, once or for two layouts.
macro_rules! responses {
    ($($(#[$cfg:meta])* $key:ident $response:ident: $($path:literal)*;)*) => {
        /// The APIs whose responses name nodes with their addresses.
        ///
        /// Left out are StreamsGroupHeartbeat and StreamsGroupDescribe: their endpoints are those of
        /// the applications, which no broker or proxy stands for.
        pub const ENDPOINT_APIS: &[ApiKey] = &[$(ApiKey::$key),*];

        /// The plans of an API's responses.
        fn plans(api_key: ApiKey) -> Result<Option<&'static Plans>, DecodeError> {
            match api_key {
                $($(#[$cfg])* ApiKey::$key => {
                    static PLANS: std::sync::LazyLock<Plans> = std::sync::LazyLock::new(|| {
                        let schema = <crate::messages::$response as crate::Message>::SCHEMA;
                        Plans::new(schema, &[$($path),*], false)
                    });
                    Ok(Some(&PLANS))
                })*
                // One whose message the crate's features leave out must not pass unchanged.
                _ if has_endpoints(api_key) => Err(DecodeError::unknown_api(api_key)),
                _ => Ok(None),
            }
        }
    };
}

responses! {
    #[cfg(feature = "clients")]
    PRODUCE ProduceResponse:
        "nodeEndpoints[].nodeId" "nodeEndpoints[].host" "nodeEndpoints[].port";
    #[cfg(any(feature = "brokers", feature = "clients", feature = "raft"))]
    FETCH FetchResponse:
        "nodeEndpoints[].nodeId" "nodeEndpoints[].host" "nodeEndpoints[].port";
    #[cfg(feature = "clients")]
    METADATA MetadataResponse:
        "brokers[].nodeId" "brokers[].host" "brokers[].port";
    #[cfg(feature = "clients")]
    FIND_COORDINATOR FindCoordinatorResponse:
        "nodeId" "host" "port"
        "coordinators[].nodeId" "coordinators[].host" "coordinators[].port";
    #[cfg(feature = "raft")]
    VOTE VoteResponse:
        "nodeEndpoints[].nodeId" "nodeEndpoints[].host" "nodeEndpoints[].port";
    #[cfg(feature = "raft")]
    BEGIN_QUORUM_EPOCH BeginQuorumEpochResponse:
        "nodeEndpoints[].nodeId" "nodeEndpoints[].host" "nodeEndpoints[].port";
    #[cfg(feature = "raft")]
    END_QUORUM_EPOCH EndQuorumEpochResponse:
        "nodeEndpoints[].nodeId" "nodeEndpoints[].host" "nodeEndpoints[].port";
    #[cfg(feature = "raft")]
    DESCRIBE_QUORUM DescribeQuorumResponse:
        "nodes[].nodeId" "nodes[].listeners[].host" "nodes[].listeners[].port";
    #[cfg(feature = "raft")]
    FETCH_SNAPSHOT FetchSnapshotResponse:
        "nodeEndpoints[].nodeId" "nodeEndpoints[].host" "nodeEndpoints[].port";
    #[cfg(feature = "clients")]
    DESCRIBE_CLUSTER DescribeClusterResponse:
        "brokers[].brokerId" "brokers[].host" "brokers[].port";
    #[cfg(feature = "clients")]
    SHARE_FETCH ShareFetchResponse:
        "nodeEndpoints[].nodeId" "nodeEndpoints[].host" "nodeEndpoints[].port";
    #[cfg(feature = "clients")]
    SHARE_ACKNOWLEDGE ShareAcknowledgeResponse:
        "nodeEndpoints[].nodeId" "nodeEndpoints[].host" "nodeEndpoints[].port";
    #[cfg(feature = "raft")]
    UPDATE_RAFT_VOTER UpdateRaftVoterResponse:
        "currentLeader.leaderId" "currentLeader.host" "currentLeader.port";
}

/// Whether an API's responses can name nodes with their addresses; if not, they can be passed on
/// as they are.
pub fn has_endpoints(api_key: ApiKey) -> bool {
    ENDPOINT_APIS.contains(&api_key)
}

/// Appends a response's body to `out`, with other addresses, and says how many are new. Bodies of
/// APIs that are not in [`ENDPOINT_APIS`] are copied. `out` is left as it was if that fails.
///
/// `change` is given each node in turn and gives its new host and port, or `None` to leave it.
/// What lies behind the last node is not read.
///
/// # Errors
/// When there is no such version, the body is malformed up to the last node, the crate's features
/// leave out the response, or a new host is too long.
#[inline]
pub fn endpoints<H: AsRef<str>>(
    api_key: ApiKey,
    version: i16,
    body: &[u8],
    out: &mut Vec<u8>,
    mut change: impl FnMut(Endpoint<'_>) -> Option<(H, u16)>,
) -> Result<usize, RewriteError> {
    let Some(plans) = plans(api_key)? else {
        out.extend_from_slice(body);
        return Ok(0);
    };
    let base = out.len();
    let mut nodes = Nodes::new(plans, version)?;
    out.reserve(body.len());
    let result = splice(&mut nodes, body, &mut Splice::new(out), &mut change);
    if result.is_err() {
        out.truncate(base);
    }
    result
}

/// Changes addresses in a response's body, and says how many are new. As long as the hosts are as
/// long as before nothing is moved or allocated; otherwise this does what [`endpoints`] does. The
/// body is to be thrown away if that fails, as some of it may be changed.
///
/// # Errors
/// As [`endpoints`].
#[inline]
pub fn endpoints_in_place<H: AsRef<str>>(
    api_key: ApiKey,
    version: i16,
    body: &mut Vec<u8>,
    mut change: impl FnMut(Endpoint<'_>) -> Option<(H, u16)>,
) -> Result<usize, RewriteError> {
    let Some(plans) = plans(api_key)? else {
        return Ok(0);
    };
    let mut nodes = Nodes::new(plans, version)?;
    let (mut changed, mut tag) = (0, None);
    loop {
        match nodes.next(body)? {
            Event::Node(node, place) => {
                let Some((host, port)) = change(node) else {
                    continue;
                };
                let host = host.as_ref();
                changed += 1;
                if !place.patch(body, host, port) {
                    let mut out = Vec::with_capacity(body.len() + body.len() / 16);
                    let mut to = Splice::new(&mut out);
                    // Nothing has moved so far, so that it will be at the same place.
                    to.tag = tag;
                    to.node(body, &place, nodes.flexible(), host, port)?;
                    changed += splice(&mut nodes, body, &mut to, &mut change)?;
                    *body = out;
                    return Ok(changed);
                }
            }
            Event::TagSize(size) => tag = Some(Tag::new(&size, size.end)),
            Event::TagEnd(_) => tag = None,
            Event::End => return Ok(changed),
        }
    }
}

/// Goes through the nodes that are left, and copies all else.
#[inline]
fn splice<H: AsRef<str>>(
    nodes: &mut Nodes,
    body: &[u8],
    to: &mut Splice<'_>,
    change: &mut impl FnMut(Endpoint<'_>) -> Option<(H, u16)>,
) -> Result<usize, RewriteError> {
    let mut changed = 0;
    loop {
        match nodes.next(body)? {
            Event::Node(node, place) => {
                if let Some((host, port)) = change(node) {
                    to.node(body, &place, nodes.flexible(), host.as_ref(), port)?;
                    changed += 1;
                }
            }
            Event::TagSize(size) => {
                to.copy_to(body, size.end);
                to.tag = Some(Tag::new(&size, to.out.len()));
            }
            Event::TagEnd(at) => {
                to.copy_to(body, at);
                to.end_tag(at);
            }
            Event::End => {
                to.copy_to(body, body.len());
                return Ok(changed);
            }
        }
    }
}

/// What comes next in a response.
enum Event<'a> {
    Node(Endpoint<'a>, Place),
    /// The size of a tagged field with nodes in it.
    TagSize(Found),
    /// Where that field ends.
    TagEnd(usize),
    End,
}

/// Where a node's host and port are in the body.
struct Place {
    host: Found,
    port: Found,
}

impl Place {
    /// Writes a host and port over the old ones, if the host is as long.
    fn patch(&self, body: &mut [u8], host: &str, port: u16) -> bool {
        if host.len() != self.host.end - self.host.content {
            return false;
        }
        if let Some(old) = body.get_mut(self.host.content..self.host.end) {
            old.copy_from_slice(host.as_bytes());
        }
        if let Some(old) = body.get_mut(self.port.content..self.port.end) {
            old.copy_from_slice(&port_bytes(port)[4 - old.len().min(4)..]);
        }
        true
    }
}

/// The nodes of a response. It holds no bytes, so that these may be changed on the way.
struct Nodes {
    cursor: Cursor,
    node_id: i32,
    host: Option<Found>,
}

impl Nodes {
    fn new(plans: &'static Plans, version: i16) -> Result<Nodes, DecodeError> {
        Ok(Nodes {
            cursor: Cursor::new(plans, version)?,
            node_id: -1,
            host: None,
        })
    }

    fn flexible(&self) -> bool {
        self.cursor.plan.flexible
    }

    fn next<'a>(&mut self, body: &'a [u8]) -> Result<Event<'a>, DecodeError> {
        loop {
            let found = match self.cursor.next(body) {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(Event::End),
                Err(_) => return Err(self.cursor.error(body)),
            };
            match found.what {
                What::TagSize => return Ok(Event::TagSize(found)),
                What::TagEnd => return Ok(Event::TagEnd(found.end)),
                // Node id, host and port, in each layout.
                What::Value(path) => match path % 3 {
                    0 => self.node_id = found.int(body),
                    1 => self.host = Some(found),
                    _ => {
                        if let Some(event) = self.node(body, found)? {
                            return Ok(event);
                        }
                    }
                },
                _ => {}
            }
        }
    }

    fn node<'a>(&mut self, body: &'a [u8], port: Found) -> Result<Option<Event<'a>>, DecodeError> {
        let Some(host) = self.host.take() else {
            return Ok(None);
        };
        let text = body.get(host.content..host.end).unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| self.cursor.error(body))?;
        let endpoint = Endpoint {
            node_id: self.node_id,
            host: text,
            port: port.int(body),
        };
        Ok(Some(Event::Node(endpoint, Place { host, port })))
    }
}

/// A tagged field whose size may change.
#[derive(Clone, Copy)]
struct Tag {
    /// Where its content begins in the body.
    from: usize,
    /// Where its size is in the new body, and where its content begins.
    size: usize,
    content: usize,
}

impl Tag {
    fn new(size: &Found, content: usize) -> Tag {
        Tag {
            from: size.end,
            size: content.saturating_sub(size.end - size.start),
            content,
        }
    }
}

/// A new body in the making.
struct Splice<'o> {
    out: &'o mut Vec<u8>,
    /// How much of the old body is in it, or replaced.
    copied: usize,
    tag: Option<Tag>,
}

impl<'o> Splice<'o> {
    fn new(out: &'o mut Vec<u8>) -> Splice<'o> {
        Splice {
            out,
            copied: 0,
            tag: None,
        }
    }

    fn copy_to(&mut self, body: &[u8], end: usize) {
        let bytes = body.get(self.copied..end).unwrap_or_default();
        self.out.extend_from_slice(bytes);
        self.copied = end;
    }

    fn node(
        &mut self,
        body: &[u8],
        place: &Place,
        flexible: bool,
        host: &str,
        port: u16,
    ) -> Result<(), RewriteError> {
        let len = host.len();
        if len > MAX_STRING_LEN {
            return Err(RewriteError::HostTooLong { len });
        }
        self.copy_to(body, place.host.start);
        if len == place.host.end - place.host.content {
            // However it is encoded: as it would be in place.
            self.copy_to(body, place.host.content);
        } else if flexible {
            put_uvarint(self.out, len + 1);
        } else {
            self.out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        self.out.extend_from_slice(host.as_bytes());
        self.copied = place.host.end;
        self.copy_to(body, place.port.start);
        let width = place.port.end - place.port.start;
        self.out
            .extend_from_slice(&port_bytes(port)[4 - width.min(4)..]);
        self.copied = place.port.end;
        Ok(())
    }

    /// Sets the size of a tagged field that ends at a place in the old body.
    fn end_tag(&mut self, at: usize) {
        let Some(tag) = self.tag.take() else { return };
        let size = self.out.len().saturating_sub(tag.content);
        if size != at - tag.from {
            let mut bytes = Vec::with_capacity(5);
            put_uvarint(&mut bytes, size);
            self.out.splice(tag.size..tag.content, bytes);
        }
    }
}

/// The port as an `int32`, of which the last two bytes are an `uint16`.
fn port_bytes(port: u16) -> [u8; 4] {
    i32::from(port).to_be_bytes()
}
