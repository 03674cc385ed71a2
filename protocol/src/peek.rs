//! Looks into messages without decoding them, for proxies that route, meter or check what they
//! pass on.
//!
//! Nothing is allocated, and records are not touched. What an iterator passes is checked as
//! decoding checks it, so that a malformed message gives the error that decoding it gives. Three
//! things are not read: whether strings that are not given out are UTF-8, what is in tagged fields,
//! and what lies behind the last field that is looked for. The default [`Limits`](crate::Limits) on
//! lengths apply.
//!
//! [`frame::peek_request`](crate::frame::peek_request) looks into a request's header,
//! [`rewrite`](crate::rewrite) changes what a response says about its cluster.
//!
//! ```
//! # #[cfg(all(feature = "clients", feature = "records"))] {
//! use kwire_protocol::messages::{ProduceRequest, produce_request};
//! use kwire_protocol::records::{BatchBuilder, BatchOptions, NewRecord};
//! use kwire_protocol::{Message, peek};
//!
//! # let mut builder = BatchBuilder::new(BatchOptions {
//! #     producer_id: 9, producer_epoch: 0, base_sequence: 0, ..Default::default()
//! # })?;
//! # for _ in 0..3 {
//! #     builder.try_append(&NewRecord {
//! #         timestamp: 0, key: None, value: Some(b"value"), headers: &[],
//! #     })?;
//! # }
//! # let records = builder.finish()?;
//! let request = ProduceRequest {
//!     topic_data: vec![produce_request::TopicProduceData {
//!         name: "orders".into(),
//!         partition_data: vec![produce_request::PartitionProduceData {
//!             index: 4,
//!             records: Some(records.into()),
//!             ..Default::default()
//!         }],
//!         ..Default::default()
//!     }],
//!     ..Default::default()
//! };
//! let body = request.encode_to_vec(9)?;
//!
//! for topic in peek::topics::<ProduceRequest>(9, &body)? {
//!     assert_eq!(topic?.name, Some("orders"));
//! }
//! for set in peek::record_sets::<ProduceRequest>(9, &body)? {
//!     let set = set?;
//!     assert_eq!((set.topic.name, set.partition), (Some("orders"), 4));
//!     let batch = set.batches().next().ok_or("no batch")??;
//!     assert_eq!((batch.magic(), batch.record_count()), (2, Some(3)));
//!     assert_eq!(batch.header().map(|header| header.producer_id), Some(9));
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::iter::FusedIterator;

#[cfg(feature = "records")]
use crate::records::{self, Batches};
use crate::runtime::{DecodeError, Message, Uuid};
use crate::skip::{Cursor, Plans, What};

/// A topic as a message names it: by name, by id in newer versions, or by either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Topic<'a> {
    /// The name; `None` where the version has none, or where it is null.
    pub name: Option<&'a str>,
    /// The id; `None` where the version has none.
    pub id: Option<Uuid>,
}

/// A message that lists topics.
pub trait NamesTopics: Message {
    /// Plans that give out the array, and in it the name and the id.
    #[doc(hidden)]
    fn topic_plans() -> &'static Plans;
}

/// A message with records per topic and partition.
pub trait HoldsRecords: Message {
    /// Plans that give out the topic's name and id, the partition number and the records, in this
    /// order.
    #[doc(hidden)]
    fn record_plans() -> &'static Plans;
}

/// Makes the plans that give out the fields at paths in the schema, empty for one that there is
/// not.
macro_rules! plans {
    ($trait:ident $function:ident; $($(#[$cfg:meta])* $message:ident: $($path:literal)*;)*) => {$(
        $(#[$cfg])*
        impl $trait for crate::messages::$message<'_> {
            #[inline]
            fn $function() -> &'static Plans {
                static PLANS: std::sync::OnceLock<Plans> = std::sync::OnceLock::new();
                PLANS.get_or_init(|| {
                    let schema = crate::messages::$message::SCHEMA;
                    Plans::new(schema, &[$($path),*], false)
                })
            }
        }
    )*};
}

plans! {
    NamesTopics topic_plans;
    #[cfg(feature = "clients")]
    ProduceRequest: "topicData" "topicData[].name" "topicData[].topicId";
    #[cfg(any(feature = "brokers", feature = "clients", feature = "raft"))]
    FetchRequest: "topics" "topics[].topic" "topics[].topicId";
    #[cfg(feature = "clients")]
    MetadataRequest: "topics" "topics[].name" "topics[].topicId";
    #[cfg(feature = "clients")]
    ListOffsetsRequest: "topics" "topics[].name" "";
    #[cfg(feature = "clients")]
    OffsetCommitRequest: "topics" "topics[].name" "topics[].topicId";
    #[cfg(feature = "clients")]
    ShareFetchRequest: "topics" "" "topics[].topicId";
    #[cfg(feature = "admin")]
    CreateTopicsRequest: "topics" "topics[].name" "";
}

plans! {
    HoldsRecords record_plans;
    #[cfg(feature = "clients")]
    ProduceRequest:
        "topicData[].name" "topicData[].topicId"
        "topicData[].partitionData[].index" "topicData[].partitionData[].records";
    #[cfg(any(feature = "brokers", feature = "clients", feature = "raft"))]
    FetchResponse:
        "responses[].topic" "responses[].topicId"
        "responses[].partitions[].partitionIndex" "responses[].partitions[].records";
    #[cfg(feature = "clients")]
    ShareFetchResponse:
        "" "responses[].topicId"
        "responses[].partitions[].partitionIndex" "responses[].partitions[].records";
}

/// The topics that a message lists, in order.
///
/// # Errors
/// When there is no such version, or what comes before the topics is malformed.
#[inline]
pub fn topics<M: NamesTopics>(version: i16, body: &[u8]) -> Result<Topics<'_>, DecodeError> {
    let mut topics = Topics {
        body,
        cursor: Cursor::new(M::topic_plans().get(version)?),
        len: None,
        left: 0,
    };
    topics.list()?;
    Ok(topics)
}

/// The topics of a message: see [`topics`]. After an error the iterator is at its end.
#[derive(Clone, Debug)]
pub struct Topics<'a> {
    body: &'a [u8],
    cursor: Cursor,
    len: Option<usize>,
    left: usize,
}

impl<'a> Topics<'a> {
    /// Reads how many there are.
    #[inline]
    fn list(&mut self) -> Result<(), DecodeError> {
        match self.cursor.next(self.body) {
            Ok(What::Count) => {
                self.left = self.cursor.count();
                self.len = Some(self.left);
            }
            Ok(_) => {}
            Err(_) => return Err(self.cursor.error(self.body)),
        }
        Ok(())
    }

    /// How many topics the message says that it lists. `None` where the list is null, which in a
    /// Metadata request asks for all topics; version 0 has an empty list for that.
    #[inline]
    pub fn listed(&self) -> Option<usize> {
        self.len
    }

    /// Reads the next topic's name and id, in slots 1 and 2.
    #[inline(always)]
    fn read(&mut self) -> Result<Option<Topic<'a>>, DecodeError> {
        match self.cursor.next(self.body) {
            Ok(What::Value(_)) => topic(&self.cursor, self.body, 1).map(Some),
            Ok(_) => Ok(None),
            Err(_) => Err(self.cursor.error(self.body)),
        }
    }
}

impl<'a> Iterator for Topics<'a> {
    type Item = Result<Topic<'a>, DecodeError>;

    // A topic is made where the caller has it: copies through memory take longer than finding it.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match self.read() {
            Ok(Some(topic)) => return Some(Ok(topic)),
            Ok(None) => self.left = 0,
            Err(error) => {
                self.left = 0;
                return Some(Err(error));
            }
        }
        None
    }
}

impl FusedIterator for Topics<'_> {}

/// The records of each partition in a message, in order.
///
/// # Errors
/// When there is no such version.
#[inline]
pub fn record_sets<M: HoldsRecords>(
    version: i16,
    body: &[u8],
) -> Result<RecordSets<'_>, DecodeError> {
    Ok(RecordSets {
        body,
        cursor: Cursor::new(M::record_plans().get(version)?),
        topic: Topic::default(),
        is_done: false,
    })
}

/// The records of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordSet<'a> {
    /// The topic.
    pub topic: Topic<'a>,
    /// The partition number.
    pub partition: i32,
    /// The record batches as they are; `None` where the field is null.
    pub records: Option<&'a [u8]>,
}

/// What the headers of a partition's batches say.
#[cfg(feature = "records")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordSummary {
    /// Whole batches; of magic 0 and 1, messages.
    pub batches: u64,
    /// Records in them. A compressed message of magic 0 or 1 counts as one, because how many are
    /// in it stands nowhere outside.
    pub records: u64,
    /// Bytes in whole batches.
    pub bytes: u64,
    /// Bytes behind them, of a batch that is cut off.
    pub partial_bytes: u64,
}

#[cfg(feature = "records")]
impl<'a> RecordSet<'a> {
    /// The batches, their checksums and records untouched.
    #[inline]
    pub fn batches(&self) -> Batches<'a> {
        Batches::new(self.records.unwrap_or_default())
    }

    /// Sums the batches' headers up.
    ///
    /// # Errors
    /// When a header is malformed.
    #[inline]
    pub fn summary(&self) -> Result<RecordSummary, records::Error> {
        if let Some(summary) = self.plain_summary() {
            return Ok(summary);
        }
        let mut batches = self.batches();
        let mut summary = RecordSummary::default();
        for batch in &mut batches {
            let batch = batch?;
            summary.batches += 1;
            summary.records += batch.record_count().map_or(1, |count| count.max(0) as u64);
            summary.bytes += batch.bytes().len() as u64;
        }
        summary.partial_bytes = batches.remainder() as u64;
        Ok(summary)
    }

    /// The sum of whole batches of magic 2 and nothing else, which nearly all sets are.
    #[inline]
    fn plain_summary(&self) -> Option<RecordSummary> {
        let mut rest = self.records.unwrap_or_default();
        let mut summary = RecordSummary::default();
        while !rest.is_empty() {
            let (len, count) = records::length_and_count(rest)?;
            rest = rest.get(len..)?;
            summary.batches += 1;
            summary.records += count.max(0) as u64;
            summary.bytes += len as u64;
        }
        Some(summary)
    }
}

/// The records of a message: see [`record_sets`]. After an error the iterator is at its end.
#[derive(Clone, Debug)]
pub struct RecordSets<'a> {
    body: &'a [u8],
    cursor: Cursor,
    topic: Topic<'a>,
    is_done: bool,
}

impl<'a> RecordSets<'a> {
    #[inline(always)]
    fn read(&mut self) -> Result<Option<RecordSet<'a>>, DecodeError> {
        loop {
            match self.cursor.next(self.body) {
                Ok(What::Value(3)) => {
                    return Ok(Some(RecordSet {
                        topic: self.topic,
                        partition: self.cursor.given(2).int(self.body).unwrap_or(-1),
                        records: self.cursor.given(3).content(self.body),
                    }));
                }
                Ok(What::Value(0 | 1)) => self.topic = topic(&self.cursor, self.body, 0)?,
                Ok(What::Value(_)) => {}
                Ok(_) => return Ok(None),
                Err(_) => return Err(self.cursor.error(self.body)),
            }
        }
    }
}

impl<'a> Iterator for RecordSets<'a> {
    type Item = Result<RecordSet<'a>, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        match self.read() {
            Ok(Some(set)) => return Some(Ok(set)),
            Ok(None) => self.is_done = true,
            Err(error) => {
                self.is_done = true;
                return Some(Err(error));
            }
        }
        None
    }
}

impl FusedIterator for RecordSets<'_> {}

/// The topic whose name is in a slot, and whose id in the next.
#[inline(always)]
fn topic<'a>(cursor: &Cursor, body: &'a [u8], slot: usize) -> Result<Topic<'a>, DecodeError> {
    let name = match cursor.given(slot).content(body).map(std::str::from_utf8) {
        Some(Ok(name)) => Some(name),
        Some(Err(_)) => return Err(cursor.error(body)),
        None => None,
    };
    let id = cursor.given(slot + 1).content(body);
    let id = id.and_then(|id| Some(Uuid::from_bytes(*id.first_chunk()?)));
    Ok(Topic { name, id })
}

#[cfg(all(test, feature = "clients"))]
mod tests {
    use super::*;
    use crate::messages::{FetchResponse, MetadataRequest, ProduceRequest, ShareFetchResponse};

    /// What a cursor passes without a stop costs little: it stops once for a topic, and once for a
    /// set of records.
    #[test]
    fn cursors_stop_once_for_what_is_given_out() {
        for stops in MetadataRequest::topic_plans().stops() {
            assert!(stops == [1] || stops == [2], "{stops:?}");
        }
        for plans in [
            ProduceRequest::record_plans(),
            FetchResponse::record_plans(),
            ShareFetchResponse::record_plans(),
        ] {
            for stops in plans.stops() {
                assert!(stops == [0, 3] || stops == [1, 3], "{stops:?}");
            }
        }
    }
}
