//! Messages between nodes, as bytes at their newest version.

use std::fmt;

use bytes::Bytes;
use kwire_protocol::ApiKey;
use kwire_raft::message::{Request, Response};
use kwire_raft::types::{Epoch, NodeId};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Who sent it.
    pub from: NodeId,
    /// Who gets it.
    pub to: NodeId,
    /// Whether it is the answer to something else than a vote or a Fetch.
    pub is_quick: bool,
    /// Whether who asked still waits for the answer.
    pub is_live: bool,
    /// A request, or an answer.
    pub is_request: bool,
    /// The API.
    pub api: ApiKey,
    /// The body at the API's newest version.
    pub bytes: Bytes,
}

impl Packet {
    /// A request.
    ///
    /// # Panics
    /// If the newest version cannot say it, which is a mistake of the node.
    #[must_use]
    pub fn request(from: NodeId, to: NodeId, is_live: bool, request: &Request) -> Packet {
        let api = request.api_key();
        let mut bytes = Vec::new();
        let encoded = request.encode(newest(api), &mut bytes);
        encoded.expect("the newest version can say it");
        Packet {
            from,
            to,
            is_quick: false,
            is_live,
            is_request: true,
            api,
            bytes: bytes.into(),
        }
    }

    /// The answer to a live request.
    ///
    /// # Panics
    /// If the newest version cannot say it, which is a mistake of the node.
    #[must_use]
    pub fn answer(from: NodeId, to: NodeId, is_vote: bool, response: &Response) -> Packet {
        let api = api_of(response);
        let is_quick = !is_vote && !matches!(response, Response::Fetch(_));
        let mut bytes = Vec::new();
        let encoded = response.encode(newest(api), &mut bytes);
        encoded.expect("the newest version can say it");
        Packet {
            from,
            to,
            is_quick,
            is_live: true,
            is_request: false,
            api,
            bytes: bytes.into(),
        }
    }

    /// The same message, for whose answer nobody waits any more.
    #[must_use]
    pub fn given_up(&self) -> Packet {
        Packet {
            is_live: false,
            ..self.clone()
        }
    }

    /// The request in it.
    #[must_use]
    pub fn to_request(&self) -> Option<Request> {
        let decoded = Request::decode(self.api, newest(self.api), &self.bytes)?;
        self.is_request.then(|| decoded.ok()).flatten()
    }

    /// The answer in it.
    #[must_use]
    pub fn to_response(&self) -> Option<Response> {
        let decoded = Response::decode(self.api, newest(self.api), &self.bytes)?;
        (!self.is_request).then(|| decoded.ok()).flatten()
    }

    /// The epoch that a request is about, if it is refused by everybody in a later one.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        Some(match self.to_request()? {
            Request::Vote(vote) => vote.topics[0].partitions[0].replica_epoch,
            Request::BeginQuorumEpoch(begin) => begin.topics[0].partitions[0].leader_epoch,
            Request::EndQuorumEpoch(end) => end.topics[0].partitions[0].leader_epoch,
            Request::Fetch(fetch) => fetch.topics[0].partitions[0].current_leader_epoch,
            _ => return None,
        })
    }

    /// Whether it asks for a vote, rather than for what the vote would be.
    #[must_use]
    pub fn asks_for_vote(&self) -> bool {
        matches!(self.to_request(), Some(Request::Vote(vote)) if !vote.topics[0].partitions[0].pre_vote)
    }
}

/// The newest version of an API.
#[must_use]
pub fn newest(api: ApiKey) -> i16 {
    api.info().map_or(0, |info| info.versions.highest)
}

fn api_of(response: &Response) -> ApiKey {
    use kwire_protocol::Request as _;
    use kwire_protocol::messages::*;
    match response {
        Response::Vote(_) => VoteRequest::API_KEY,
        Response::BeginQuorumEpoch(_) => BeginQuorumEpochRequest::API_KEY,
        Response::EndQuorumEpoch(_) => EndQuorumEpochRequest::API_KEY,
        Response::Fetch(_) => FetchRequest::API_KEY,
        Response::FetchSnapshot(_) => FetchSnapshotRequest::API_KEY,
        Response::DescribeQuorum(_) => DescribeQuorumRequest::API_KEY,
        Response::AddRaftVoter(_) => AddRaftVoterRequest::API_KEY,
        Response::RemoveRaftVoter(_) => RemoveRaftVoterRequest::API_KEY,
        Response::UpdateRaftVoter(_) => UpdateRaftVoterRequest::API_KEY,
        _ => ApiVersionsRequest::API_KEY,
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        let late = if self.is_live { "" } else { "given up, " };
        if let Some(request) = self.to_request() {
            write!(f, "{from} -> {to}: {late}{}", RequestText(&request))
        } else if let Some(response) = self.to_response() {
            write!(f, "{from} -> {to}: answer, {}", ResponseText(&response))
        } else {
            write!(f, "{from} -> {to}: {late}{:?}", self.api)
        }
    }
}

struct RequestText<'a>(&'a Request);

impl fmt::Display for RequestText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Request::Vote(vote) => {
                let ask = &vote.topics[0].partitions[0];
                let kind = if ask.pre_vote { "pre-vote" } else { "vote" };
                let (epoch, end) = (ask.replica_epoch, ask.last_offset);
                let last = ask.last_offset_epoch;
                write!(
                    f,
                    "asks for a {kind} in epoch {epoch}, log ends at {end} of epoch {last}"
                )
            }
            Request::BeginQuorumEpoch(begin) => {
                let epoch = begin.topics[0].partitions[0].leader_epoch;
                write!(f, "leads epoch {epoch}")
            }
            Request::EndQuorumEpoch(end) => {
                let epoch = end.topics[0].partitions[0].leader_epoch;
                write!(f, "resigns epoch {epoch}")
            }
            Request::Fetch(fetch) => {
                let ask = &fetch.topics[0].partitions[0];
                let (epoch, offset) = (ask.current_leader_epoch, ask.fetch_offset);
                let last = ask.last_fetched_epoch;
                write!(
                    f,
                    "fetches in epoch {epoch} at {offset}, after epoch {last}"
                )
            }
            other => write!(f, "{:?}", other.api_key()),
        }
    }
}

struct ResponseText<'a>(&'a Response);

impl fmt::Display for ResponseText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Response::Vote(vote) => {
                let answer = &vote.topics[0].partitions[0];
                let what = if answer.vote_granted {
                    "granted"
                } else {
                    "refused"
                };
                let (epoch, error) = (answer.leader_epoch, answer.error_code);
                write!(f, "{what} in epoch {epoch} (error {error})")
            }
            Response::Fetch(fetch) => {
                let answer = &fetch.responses[0].partitions[0];
                let (epoch, error) = (answer.current_leader.leader_epoch, answer.error_code);
                let records = answer.records.as_ref();
                let bytes = records.map_or(0, |records| records.len());
                let committed = answer.high_watermark;
                write!(
                    f,
                    "{bytes} bytes of records in epoch {epoch}, committed {committed}"
                )?;
                if answer.diverging_epoch.end_offset >= 0 {
                    let end = &answer.diverging_epoch;
                    write!(
                        f,
                        ", diverging at {} of epoch {}",
                        end.end_offset, end.epoch
                    )?;
                }
                write!(f, " (error {error})")
            }
            other => write!(f, "to {:?}", api_of(other)),
        }
    }
}
