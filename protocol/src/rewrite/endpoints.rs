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
    #[inline]
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
    #[inline]
    fn from(error: DecodeError) -> RewriteError {
        RewriteError::Decode(error)
    }
}

/// Makes the table of responses: for each the paths of node id, host and port, in the order of
/// the wire, once or, behind an empty one, for another layout.
macro_rules! responses {
    ($($(#[$cfg:meta])* $key:ident $response:ident: $($path:literal)*;)*) => {
        /// The APIs whose responses name nodes with their addresses.
        ///
        /// Left out are StreamsGroupHeartbeat and StreamsGroupDescribe: their endpoints are those of
        /// the applications, which no broker or proxy stands for.
        pub const ENDPOINT_APIS: &[ApiKey] = &[$(ApiKey::$key),*];

        /// The plans of an API's responses.
        #[inline]
        fn plans(api_key: ApiKey) -> Result<Option<&'static Plans>, DecodeError> {
            match api_key {
                $($(#[$cfg])* ApiKey::$key => {
                    static PLANS: std::sync::OnceLock<Plans> = std::sync::OnceLock::new();
                    Ok(Some(PLANS.get_or_init(|| {
                        let schema = <crate::messages::$response as crate::Message>::SCHEMA;
                        Plans::new(schema, &[$($path),*], false)
                    })))
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
        "nodeId" "host" "port" ""
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
#[inline]
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
    let mut cursor = Cursor::new(plans.get(version)?);
    out.reserve(body.len());
    let result = splice(&mut cursor, body, &mut Splice::new(out), &mut change);
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
    let mut cursor = Cursor::new(plans.get(version)?);
    let (mut changed, mut tag) = (0, None);
    loop {
        match next(&mut cursor, body)? {
            Some(What::Value(PORT)) => {
                let node = node(&cursor, body)?;
                let Some((host, port)) = node.and_then(&mut change) else {
                    continue;
                };
                let host = host.as_ref();
                changed += 1;
                if !patch(&cursor, body, host, port) {
                    let mut out = Vec::with_capacity(body.len() + body.len() / 16);
                    let mut to = Splice::new(&mut out);
                    // Nothing has moved so far, so that it will be at the same place.
                    to.tag = tag;
                    to.node(body, &cursor, host, port)?;
                    changed += splice(&mut cursor, body, &mut to, &mut change)?;
                    *body = out;
                    return Ok(changed);
                }
            }
            Some(What::TagSize) => tag = Some(Tag::new(&cursor.found(), cursor.found().end)),
            Some(What::TagEnd) => tag = None,
            Some(_) => {}
            None => return Ok(changed),
        }
    }
}

/// Goes through the nodes that are left, and copies all else.
#[inline]
fn splice<H: AsRef<str>>(
    cursor: &mut Cursor,
    body: &[u8],
    to: &mut Splice<'_>,
    change: &mut impl FnMut(Endpoint<'_>) -> Option<(H, u16)>,
) -> Result<usize, RewriteError> {
    let mut changed = 0;
    loop {
        match next(cursor, body)? {
            Some(What::Value(PORT)) => {
                if let Some((host, port)) = node(cursor, body)?.and_then(&mut *change) {
                    to.node(body, cursor, host.as_ref(), port)?;
                    changed += 1;
                }
            }
            Some(What::TagSize) => {
                let size = cursor.found();
                to.copy_to(body, size.end);
                to.tag = Some(Tag::new(&size, to.out.len()));
            }
            Some(What::TagEnd) => {
                let at = cursor.found().end;
                to.copy_to(body, at);
                to.end_tag(at);
            }
            Some(_) => {}
            None => {
                to.copy_to(body, body.len());
                return Ok(changed);
            }
        }
    }
}

/// Where the cursor keeps the places of node id, host and port.
const NODE_ID: usize = 0;
const HOST: usize = 1;
const PORT: u8 = 2;

/// What comes next in a response; `None` at the end of its nodes.
#[inline(always)]
fn next(cursor: &mut Cursor, body: &[u8]) -> Result<Option<What>, DecodeError> {
    match cursor.next(body) {
        Ok(What::End) => Ok(None),
        Ok(what) => Ok(Some(what)),
        Err(_) => Err(cursor.error(body)),
    }
}

/// The node whose port the cursor has come to, unless it has no host.
#[inline(always)]
fn node<'a>(cursor: &Cursor, body: &'a [u8]) -> Result<Option<Endpoint<'a>>, DecodeError> {
    let Some(host) = cursor.given(HOST).content(body) else {
        return Ok(None);
    };
    let Ok(host) = std::str::from_utf8(host) else {
        return Err(cursor.error(body));
    };
    Ok(Some(Endpoint {
        node_id: cursor.given(NODE_ID).int(body).unwrap_or(-1),
        host,
        port: cursor.given(PORT.into()).int(body).unwrap_or(-1),
    }))
}

/// Writes a host and port over those that the cursor has come to, if the host is as long.
#[inline(always)]
fn patch(cursor: &Cursor, body: &mut [u8], host: &str, port: u16) -> bool {
    let (old, old_port) = (cursor.given(HOST), cursor.given(PORT.into()));
    if host.len() != old.end - old.content {
        return false;
    }
    if let Some(old) = body.get_mut(old.content..old.end) {
        old.copy_from_slice(host.as_bytes());
    }
    let old = body.get_mut(old_port.content..old_port.end);
    match old {
        Some([a, b]) => [*a, *b] = port.to_be_bytes(),
        Some([a, b, c, d]) => [*a, *b, *c, *d] = i32::from(port).to_be_bytes(),
        _ => {}
    }
    true
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
    #[inline]
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
    #[inline]
    fn new(out: &'o mut Vec<u8>) -> Splice<'o> {
        Splice {
            out,
            copied: 0,
            tag: None,
        }
    }

    #[inline]
    fn copy_to(&mut self, body: &[u8], end: usize) {
        if self.copied < end {
            let bytes = body.get(self.copied..end).unwrap_or_default();
            self.out.extend_from_slice(bytes);
            self.copied = end;
        }
    }

    #[inline]
    fn node(
        &mut self,
        body: &[u8],
        cursor: &Cursor,
        host: &str,
        port: u16,
    ) -> Result<(), RewriteError> {
        let len = host.len();
        if len > MAX_STRING_LEN {
            return Err(RewriteError::HostTooLong { len });
        }
        let (old, old_port) = (cursor.given(HOST), cursor.given(PORT.into()));
        if len == old.end - old.content {
            // However its length is encoded: as it would be in place.
            self.copy_to(body, old.content);
        } else {
            self.copy_to(body, old.start);
            if cursor.plan.flexible {
                put_uvarint(self.out, len + 1);
            } else {
                self.out.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
        self.out.extend_from_slice(host.as_bytes());
        self.copied = old.end;
        self.copy_to(body, old_port.start);
        if old_port.end - old_port.start == size_of::<u16>() {
            self.out.extend_from_slice(&port.to_be_bytes());
        } else {
            self.out.extend_from_slice(&i32::from(port).to_be_bytes());
        }
        self.copied = old_port.end;
        Ok(())
    }

    /// Sets the size of a tagged field that ends at a place in the old body.
    #[inline]
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
