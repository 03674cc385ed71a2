//! Every Kafka message, every version, byte for byte.
//!
//! Generated from Kafka's own schemas, held against Kafka's own classes. No I/O: bytes in,
//! structs out, and the other way round.
//!
//! ```
//! # #[cfg(feature = "raft")] {
//! use kwire_protocol::messages::{VoteRequest, vote_request};
//! use kwire_protocol::{Message, Uuid};
//!
//! let request = VoteRequest {
//!     voter_id: 3,
//!     topics: vec![vote_request::TopicData {
//!         topic_name: "__cluster_metadata".into(),
//!         partitions: vec![vote_request::PartitionData {
//!             replica_id: 1,
//!             replica_directory_id: Uuid::from_parts(7, 7),
//!             pre_vote: true,
//!             ..Default::default()
//!         }],
//!         ..Default::default()
//!     }],
//!     ..Default::default()
//! };
//! let bytes = request.encode_to_vec(2)?;
//! assert_eq!(VoteRequest::decode(&bytes, 2)?, request);
//!
//! // Version 1 has no pre-vote: what cannot be said is refused, not dropped.
//! let error = request.encode_to_vec(1).unwrap_err();
//! assert_eq!(error.path(), "topics[0].partitions[0].preVote");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`messages`] | requests, responses, headers, records: a module each, generated |
//! | [`frame`] | whole requests and responses with their headers, as they follow on a connection |
//! | [`segments`] | encoded messages for vectored writes, their bulk bytes not copied |
//! | [`peek`], [`rewrite`] | for proxies: single fields of messages, looked at and changed |
//! | [`negotiate`] | which version of each API two nodes speak with each other |
//! | `records` | record batches, control records, record framing (feature `records`) |
//! | [`api`] | API keys, versions and headers as a table; enums of all requests and responses |
//! | [`errors`], [`features`] | names of error codes; features of a cluster and their levels |
//! | [`runtime`] | what generated code is written against: readers, sinks, leaf types, traits |
//! | [`schema`] | the types of the field table that every message carries |
//! | `json`, `codec` | Kafka's JSON form, and messages by name (feature `json`) |
//!
//! What every message can do is in [`Message`]. [`frame`], [`negotiate`] and `records` begin with
//! an example each: of a request and its answer on a connection, of a client and a server that
//! agree on versions, of a batch that is written and read.
//!
//! Features: groups of messages (`raft`, `clients`, `admin`, `brokers`, `metadata-records`,
//! `coordinator-records`, or `all`), `dispatch`, `json`, `docs`, `records` and a feature for each
//! compression. Everything but `dispatch`, `json` and `docs` is on by default.

pub mod api;
#[cfg(feature = "json")]
pub mod codec;
pub mod errors;
pub mod features;
pub mod frame;
#[cfg(feature = "json")]
pub mod json;
#[rustfmt::skip]
pub mod messages;
pub mod negotiate;
pub mod peek;
#[cfg(feature = "records")]
pub mod records;
pub mod rewrite;
pub mod runtime;
pub mod schema;
pub mod segments;

mod skip;
mod walk;

pub use api::ApiKey;
pub use errors::ErrorCode;
pub use runtime::{
    Array, Blob, DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, ForeignProtocol,
    IntoOwned, Limits, Message, Request, Str, UnknownTag, UnknownTags, Uuid,
};

/// The examples of the README, compiled and run with the other documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
