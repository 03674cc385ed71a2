//! What nodes of this library tell each other beyond Kafka's schemas, in tagged fields that others
//! skip (KIP-482).
//!
//! In Kafka a Fetch acknowledges all records before its offset, so that a follower cannot ask for
//! more while it makes durable what it has: network and disk wait for each other. Here
//! - a leader says in its answer where its log ends. That is how a follower learns that there is
//!   more, and that this leader reads what follows;
//! - a follower of such a leader asks for more at once, and says how far it is durable. That is what
//!   the leader counts, instead of the offset.
//!
//! A leader that does not know the second field would count what may be lost. None gets one: an
//! epoch has one leader, only its own answers in that epoch count, and nodes that do not lead the
//! epoch of a Fetch refuse it.

use bytes::Bytes;
use kwire_protocol::messages::{fetch_request, fetch_response};
use kwire_protocol::runtime::UnknownTags;

use crate::types::Offset;

/// In a partition of a Fetch: the offset before which the sender's log is durable. Far from the tags
/// that Kafka gives out, which it counts from 0.
const FLUSHED: u32 = 0x6b77_0001;
/// In a partition of the answer: where the leader's log ended when it was made.
const LOG_END: u32 = 0x6b77_0002;

/// A field that is there, and says nothing that could be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

fn put(tags: &mut UnknownTags, tag: u32, offset: Offset) {
    tags.push(tag, Bytes::copy_from_slice(&offset.to_be_bytes()));
}

fn find(tags: &UnknownTags, wanted: u32) -> Result<Option<Offset>, Unreadable> {
    let Some(found) = tags.as_slice().iter().find(|found| found.tag == wanted) else {
        return Ok(None);
    };
    let bytes = <[u8; 8]>::try_from(&found.data[..]).map_err(|_| Unreadable)?;
    match Offset::from_be_bytes(bytes) {
        offset if offset >= 0 => Ok(Some(offset)),
        _ => Err(Unreadable),
    }
}

/// Says how far the sender of a Fetch is durable.
pub(crate) fn set_flushed(partition: &mut fetch_request::FetchPartition, flushed: Offset) {
    put(&mut partition.unknown_tags, FLUSHED, flushed);
}

/// How far the sender of a Fetch is durable: before its offset, unless it says less.
pub(crate) fn flushed(partition: &fetch_request::FetchPartition) -> Result<Offset, Unreadable> {
    match find(&partition.unknown_tags, FLUSHED)? {
        None => Ok(partition.fetch_offset),
        Some(flushed) if flushed <= partition.fetch_offset => Ok(flushed),
        Some(_) => Err(Unreadable),
    }
}

/// Says where the leader's log ends.
pub(crate) fn set_log_end(partition: &mut fetch_response::PartitionData<'_>, end: Offset) {
    put(&mut partition.unknown_tags, LOG_END, end);
}

/// Where the leader's log ended, if it is one that says so.
pub(crate) fn log_end(partition: &fetch_response::PartitionData<'_>) -> Option<Offset> {
    find(&partition.unknown_tags, LOG_END).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(tag: u32, data: &'static [u8]) -> UnknownTags {
        let mut tags = UnknownTags::EMPTY;
        tags.push(7, Bytes::from_static(b"something of a later release"));
        tags.push(tag, Bytes::from_static(data));
        tags
    }

    #[test]
    fn a_fetch_acknowledges_what_is_before_its_offset_unless_it_says_less() {
        let fetch = |unknown_tags| fetch_request::FetchPartition {
            fetch_offset: 10,
            unknown_tags,
            ..Default::default()
        };
        assert_eq!(flushed(&fetch(UnknownTags::EMPTY)), Ok(10));
        for (last, expected) in [(0, Ok(0)), (9, Ok(9)), (10, Ok(10)), (11, Err(Unreadable))] {
            let mut partition = fetch(UnknownTags::EMPTY);
            set_flushed(&mut partition, last);
            assert_eq!(flushed(&partition), expected, "{last}");
        }
        for wrong in [&b""[..], &[0; 7], &[0; 9], &[0xff; 8]] {
            assert_eq!(flushed(&fetch(with(FLUSHED, wrong))), Err(Unreadable));
        }
        assert_eq!(
            flushed(&fetch(with(LOG_END, &[0; 8]))),
            Ok(10),
            "another's tag"
        );
    }

    #[test]
    fn a_leader_that_says_nothing_readable_is_any_leader() {
        let answer = |unknown_tags| fetch_response::PartitionData {
            unknown_tags,
            ..Default::default()
        };
        assert_eq!(log_end(&answer(UnknownTags::EMPTY)), None);
        assert_eq!(log_end(&answer(with(LOG_END, &[0xff; 8]))), None);
        assert_eq!(log_end(&answer(with(LOG_END, &[0; 3]))), None);
        let mut partition = answer(UnknownTags::EMPTY);
        set_log_end(&mut partition, 12);
        assert_eq!(log_end(&partition), Some(12));
    }
}
