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
use crate::skip::{Cursor, Found, Plans, What};

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
            fn $function() -> &'static Plans {
                static PLANS: std::sync::LazyLock<Plans> = std::sync::LazyLock::new(|| {
                    let schema = crate::messages::$message::SCHEMA;
                    Plans::new(schema, &[$($path),*], false)
                });
                &PLANS
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
    Topics::new(Cursor::new(M::topic_plans(), version)?, body)
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
    fn new(mut cursor: Cursor, body: &'a [u8]) -> Result<Topics<'a>, DecodeError> {
        let len = match cursor.next(body) {
            Ok(found) => found.and_then(|found| match found.what {
                What::Count(_, len) => Some(len),
                _ => None,
            }),
            Err(_) => return Err(cursor.error(body)),
        };
        Ok(Topics {
            body,
            cursor,
            len,
            left: len.unwrap_or(0),
        })
    }

    /// How many topics the message says that it lists. `None` where the list is null, which in a
    /// Metadata request asks for all topics; version 0 has an empty list for that.
    pub fn listed(&self) -> Option<usize> {
        self.len
    }

    #[inline]
    fn read(&mut self) -> Result<Option<Topic<'a>>, DecodeError> {
        let mut topic = Topic::default();
        loop {
            let found = match self.cursor.next(self.body) {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(None),
                Err(_) => return Err(self.cursor.error(self.body)),
            };
            let path = match found.what {
                What::Value(path) => {
                    if path == 1 {
                        topic.name = Some(text(&self.cursor, self.body, &found)?);
                    } else {
                        topic.id = uuid(self.body, &found);
                    }
                    path
                }
                What::Null(path) => path,
                _ => return Ok(None),
            };
            if path == self.cursor.plan.last {
                return Ok(Some(topic));
            }
        }
    }
}

impl<'a> Iterator for Topics<'a> {
    type Item = Result<Topic<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let next = self.read().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.left = 0;
        }
        next
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
        cursor: Cursor::new(M::record_plans(), version)?,
        topic: Topic::default(),
        partition: -1,
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
    partition: i32,
    is_done: bool,
}

impl<'a> RecordSets<'a> {
    #[inline]
    fn read(&mut self) -> Result<Option<RecordSet<'a>>, DecodeError> {
        loop {
            let found = match self.cursor.next(self.body) {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(None),
                Err(_) => return Err(self.cursor.error(self.body)),
            };
            let records = match found.what {
                What::Value(0) => {
                    self.topic.name = Some(text(&self.cursor, self.body, &found)?);
                    continue;
                }
                What::Value(1) => {
                    self.topic.id = uuid(self.body, &found);
                    continue;
                }
                What::Value(2) => {
                    self.partition = found.int(self.body);
                    continue;
                }
                What::Value(_) => self.body.get(found.content..found.end),
                _ => None,
            };
            return Ok(Some(RecordSet {
                topic: self.topic,
                partition: self.partition,
                records,
            }));
        }
    }
}

impl<'a> Iterator for RecordSets<'a> {
    type Item = Result<RecordSet<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.read().transpose();
        self.is_done = !matches!(next, Some(Ok(_)));
        next
    }
}

impl FusedIterator for RecordSets<'_> {}

fn text<'a>(cursor: &Cursor, body: &'a [u8], found: &Found) -> Result<&'a str, DecodeError> {
    let text = body.get(found.content..found.end).unwrap_or_default();
    std::str::from_utf8(text).map_err(|_| cursor.error(body))
}

fn uuid(body: &[u8], found: &Found) -> Option<Uuid> {
    let bytes = body.get(found.content..)?.first_chunk()?;
    Some(Uuid::from_bytes(*bytes))
}
