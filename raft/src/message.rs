//! The requests and responses that raft nodes exchange.

use bytes::Bytes;
use kwire_protocol::messages::*;
use kwire_protocol::negotiate::SupportedVersions;
use kwire_protocol::schema::VersionRange;
use kwire_protocol::{ApiKey, DecodeError, EncodeError, Limits, Message};

macro_rules! rpcs {
    ($($(#[doc = $doc:literal])* $name:ident: $request:ident, $response:ident;)*) => {
        /// A request between raft nodes, or from a tool.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Request { $($(#[doc = $doc])* $name($request),)* }

        /// The answer to the request of the same name.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Response { $($(#[doc = $doc])* $name($response),)* }

        #[allow(unreachable_patterns)] // Fetch is encoded by an arm of its own.
        impl Request {
            /// The APIs that there are requests of.
            pub const API_KEYS: &[ApiKey] =
                &[$(<$request as kwire_protocol::Request>::API_KEY),*];

            /// The API's key.
            #[must_use]
            pub fn api_key(&self) -> ApiKey {
                match self { $(Request::$name(_) => <$request as kwire_protocol::Request>::API_KEY,)* }
            }

            /// Appends the body at a version.
            ///
            /// # Errors
            /// When the version cannot say it.
            pub fn encode(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                match self {
                    Request::Fetch(fetch) => fitting(fetch, version).encode(version, out),
                    $(Request::$name(body) => body.encode(version, out),)*
                }
            }

            /// Reads the body of a request. `None` if no raft node answers to that API.
            ///
            /// # Errors
            /// When the bytes are not such a request.
            pub fn decode(
                api_key: ApiKey,
                version: i16,
                bytes: &Bytes,
            ) -> Option<Result<Request, DecodeError>> {
                $(if api_key == <$request as kwire_protocol::Request>::API_KEY {
                    return Some($request::decode_shared(bytes, version, &Limits::DEFAULT).map(Request::$name));
                })*
                None
            }
        }

        impl Response {
            /// Appends the body at a version.
            ///
            /// # Errors
            /// When the version cannot say it.
            pub fn encode(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                match self { $(Response::$name(body) => body.encode(version, out),)* }
            }

            /// The error of the answer as a whole; a partition in it may have one of its own.
            #[must_use]
            pub fn error_code(&self) -> i16 {
                match self { $(Response::$name(body) => body.error_code,)* }
            }

            /// Reads the body of the answer to a request of that API. `None` if no raft node asks
            /// such a thing.
            ///
            /// # Errors
            /// When the bytes are not such a response.
            pub fn decode(
                api_key: ApiKey,
                version: i16,
                bytes: &Bytes,
            ) -> Option<Result<Response, DecodeError>> {
                $(if api_key == <$request as kwire_protocol::Request>::API_KEY {
                    return Some($response::decode_shared(bytes, version, &Limits::DEFAULT).map(Response::$name));
                })*
                None
            }
        }

        $(impl From<$response> for Response {
            fn from(body: $response) -> Response {
                Response::$name(body)
            }
        })*
    };
}

type Vote = VoteRequest<'static>;
type Voted = VoteResponse<'static>;
type Begin = BeginQuorumEpochRequest<'static>;
type Begun = BeginQuorumEpochResponse<'static>;
type End = EndQuorumEpochRequest<'static>;
type Ended = EndQuorumEpochResponse<'static>;
type Fetch = FetchRequest<'static>;
type Fetched = FetchResponse<'static>;
type FetchSnapshot = FetchSnapshotRequest<'static>;
type SnapshotFetched = FetchSnapshotResponse<'static>;
type Describe = DescribeQuorumRequest<'static>;
type Described = DescribeQuorumResponse<'static>;
type Add = AddRaftVoterRequest<'static>;
type Added = AddRaftVoterResponse<'static>;
type Remove = RemoveRaftVoterRequest<'static>;
type Removed = RemoveRaftVoterResponse<'static>;
type Update = UpdateRaftVoterRequest<'static>;
type Updated = UpdateRaftVoterResponse<'static>;
type Versions = ApiVersionsRequest<'static>;
type VersionsAnswer = ApiVersionsResponse<'static>;

/// The versions that raft nodes speak with each other: those of Kafka 3.9 to 4.4. A Fetch below 12
/// cannot say which epoch its sender's log ends with.
#[must_use]
pub fn supported_versions() -> SupportedVersions {
    SupportedVersions::stable()
        .retain(|api_key| Request::API_KEYS.contains(&api_key))
        .narrow(ApiKey::FETCH, VersionRange::new(12, 18))
}

impl Response {
    /// Puts records into the answer to a Fetch, or bytes of a snapshot into that to a FetchSnapshot.
    /// There is no place for them in any other.
    pub fn set_records(&mut self, bytes: Bytes) {
        match self {
            Response::Fetch(fetch) => {
                let topic = fetch.responses.first_mut();
                if let Some(partition) = topic.and_then(|topic| topic.partitions.first_mut()) {
                    partition.records = Some(bytes.into());
                }
            }
            Response::FetchSnapshot(fetch) => {
                let topic = fetch.topics.first_mut();
                if let Some(partition) = topic.and_then(|topic| topic.partitions.first_mut()) {
                    partition.unaligned_records = bytes.into();
                }
            }
            _ => {}
        }
    }
}

/// Nodes fill in the replica's id in both of its places; each version has one of them.
fn fitting(fetch: &Fetch, version: i16) -> Fetch {
    let mut fetch = fetch.clone();
    if version >= 15 {
        fetch.replica_id = -1;
    } else {
        fetch.replica_state = Default::default();
    }
    fetch
}

rpcs! {
    /// Asks for a vote, or whether there would be one (KIP-595, KIP-996).
    Vote: Vote, Voted;
    /// Tells voters who leads (KIP-595).
    BeginQuorumEpoch: Begin, Begun;
    /// Tells voters that their leader leaves (KIP-595).
    EndQuorumEpoch: End, Ended;
    /// Asks for records; acknowledges those before (KIP-595).
    Fetch: Fetch, Fetched;
    /// Asks for a part of a snapshot (KIP-630).
    FetchSnapshot: FetchSnapshot, SnapshotFetched;
    /// Asks the leader how its replicas are doing (KIP-642).
    DescribeQuorum: Describe, Described;
    /// Makes an observer a voter (KIP-853).
    AddRaftVoter: Add, Added;
    /// Makes a voter an observer (KIP-853).
    RemoveRaftVoter: Remove, Removed;
    /// Tells the leader where a voter listens and what it understands (KIP-853).
    UpdateRaftVoter: Update, Updated;
    /// Asks a node which versions of all this it speaks; the leader asks a voter to be.
    ApiVersions: Versions, VersionsAnswer;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_raft_nodes_speak() {
        let versions = supported_versions();
        let range = |api_key| {
            versions
                .get(api_key)
                .map(|range| (range.lowest, range.highest))
        };
        let spoken = [
            (ApiKey::VOTE, (0, 2)),
            (ApiKey::BEGIN_QUORUM_EPOCH, (0, 1)),
            (ApiKey::END_QUORUM_EPOCH, (0, 1)),
            (ApiKey::FETCH, (12, 18)),
            (ApiKey::FETCH_SNAPSHOT, (0, 1)),
            (ApiKey::DESCRIBE_QUORUM, (0, 2)),
            (ApiKey::ADD_RAFT_VOTER, (0, 1)),
            (ApiKey::REMOVE_RAFT_VOTER, (0, 0)),
            (ApiKey::UPDATE_RAFT_VOTER, (0, 0)),
        ];
        for (api_key, expected) in spoken {
            assert_eq!(range(api_key), Some(expected), "{api_key:?}");
        }
        assert_eq!(versions.iter().count(), spoken.len() + 1, "and ApiVersions");
    }
}
