//! A function by hand for each message at just its version: what any codec could come to.
//!
//! Each checks what a codec has to: every length against the bytes that are there, every string's
//! UTF-8, that nothing follows. Unknown tagged fields are skipped. Strings, bytes and arrays of
//! numbers borrow from the frame; there is no version to look at, no value that the version could
//! not carry, no place for an unknown tag, and an error does not say where it lies.

pub mod api_versions_response;
pub mod create_topics_request;
pub mod describe_quorum_response;
pub mod fetch_request;
pub mod fetch_response;
pub mod join_group_response;
pub mod list_offsets_request;
pub mod metadata_response;
pub mod offset_commit_request;
pub mod produce_request;
pub mod record_batch;
pub mod vote_request;
pub mod voters_record;
mod wire;
