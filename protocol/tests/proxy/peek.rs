//! What is seen by peeking is what decoding sees.

use std::fmt::Debug;

use kwire_protocol::frame::{decode_request_header, peek_request};
use kwire_protocol::messages::*;
use kwire_protocol::peek::{self, HoldsRecords, NamesTopics, Topic};
use kwire_protocol::{Blob, DecodeError, DecodeErrorKind, Message, Uuid};

use crate::bodies::{Body, Numbers, bodies, damaged, frames};
use crate::fixtures::unhex;

type Named = (Option<String>, Option<Uuid>);
type Set = (Named, i32, Option<Vec<u8>>);

fn name(name: &str, is_there: bool) -> Option<String> {
    is_there.then(|| name.to_owned())
}

fn id(id: Uuid, is_there: bool) -> Option<Uuid> {
    is_there.then_some(id)
}

fn named(topic: Topic<'_>) -> Named {
    (topic.name.map(str::to_owned), topic.id)
}

/// The topics of a decoded message; `None` where their list is null.
fn decoded_topics(body: &Body) -> Option<Result<Option<Vec<Named>>, DecodeError>> {
    let (bytes, v) = (&body.bytes, body.version);
    macro_rules! list {
        ($message:ident, $topics:ident, |$topic:ident| $named:expr) => {
            $message::decode(bytes, v)
                .map(|m| Some(m.$topics.iter().map(|$topic| $named).collect()))
        };
    }
    Some(match &*body.message {
        "ProduceRequest" => list!(ProduceRequest, topic_data, |t| (
            name(&t.name, v <= 12),
            id(t.topic_id, v >= 13)
        )),
        "FetchRequest" => list!(FetchRequest, topics, |t| (
            name(&t.topic, v <= 12),
            id(t.topic_id, v >= 13)
        )),
        "ListOffsetsRequest" => list!(ListOffsetsRequest, topics, |t| (name(&t.name, true), None)),
        "OffsetCommitRequest" => list!(OffsetCommitRequest, topics, |t| (
            name(&t.name, v <= 9),
            id(t.topic_id, v >= 10)
        )),
        "ShareFetchRequest" => list!(ShareFetchRequest, topics, |t| (None, id(t.topic_id, true))),
        "CreateTopicsRequest" => {
            list!(CreateTopicsRequest, topics, |t| (name(&t.name, true), None))
        }
        "MetadataRequest" => MetadataRequest::decode(bytes, v).map(|m| {
            let topics = m.topics?;
            let topics = topics.iter().map(|t| {
                (
                    t.name.as_deref().map(str::to_owned),
                    id(t.topic_id, v >= 10),
                )
            });
            Some(topics.collect())
        }),
        _ => return None,
    })
}

fn peeked_topics(body: &Body) -> Result<Option<Vec<Named>>, DecodeError> {
    fn of<M: NamesTopics>(body: &Body) -> Result<Option<Vec<Named>>, DecodeError> {
        let topics = peek::topics::<M>(body.version, &body.bytes)?;
        let listed = topics.listed();
        let topics: Vec<_> = topics.map(|t| t.map(named)).collect::<Result<_, _>>()?;
        assert_eq!(topics.len(), listed.unwrap_or(0));
        Ok(listed.map(|_| topics))
    }
    match &*body.message {
        "ProduceRequest" => of::<ProduceRequest<'_>>(body),
        "FetchRequest" => of::<FetchRequest<'_>>(body),
        "ListOffsetsRequest" => of::<ListOffsetsRequest<'_>>(body),
        "OffsetCommitRequest" => of::<OffsetCommitRequest<'_>>(body),
        "ShareFetchRequest" => of::<ShareFetchRequest<'_>>(body),
        "CreateTopicsRequest" => of::<CreateTopicsRequest<'_>>(body),
        _ => of::<MetadataRequest<'_>>(body),
    }
}

fn bytes(records: &Option<Blob<'_>>) -> Option<Vec<u8>> {
    records.as_ref().map(|records| records.to_vec())
}

fn decoded_sets(body: &Body) -> Option<Result<Vec<Set>, DecodeError>> {
    let v = body.version;
    macro_rules! sets {
        ($message:ident, $topics:ident, $partitions:ident, $index:ident, |$topic:ident| $named:expr) => {
            $message::decode(&body.bytes, v).map(|m| {
                let sets = m.$topics.iter().flat_map(|$topic| {
                    let named = $named;
                    $topic
                        .$partitions
                        .iter()
                        .map(move |p| (named.clone(), p.$index, bytes(&p.records)))
                });
                sets.collect()
            })
        };
    }
    Some(match &*body.message {
        "ProduceRequest" => sets!(ProduceRequest, topic_data, partition_data, index, |t| (
            name(&t.name, v <= 12),
            id(t.topic_id, v >= 13)
        )),
        "FetchResponse" => sets!(FetchResponse, responses, partitions, partition_index, |t| (
            name(&t.topic, v <= 12),
            id(t.topic_id, v >= 13)
        )),
        "ShareFetchResponse" => sets!(
            ShareFetchResponse,
            responses,
            partitions,
            partition_index,
            |t| (None, id(t.topic_id, true))
        ),
        _ => return None,
    })
}

/// The sums are those of the batches, one by one.
fn summarised(set: &peek::RecordSet<'_>) {
    let mut batches = set.batches();
    let (mut count, mut records, mut bytes) = (0, 0, 0);
    for batch in &mut batches {
        let Ok(batch) = batch else {
            assert!(set.summary().is_err());
            return;
        };
        count += 1;
        records += batch.record_count().unwrap_or(1).max(0) as u64;
        bytes += batch.bytes().len() as u64;
    }
    let summary = set.summary().unwrap();
    assert_eq!(
        (summary.batches, summary.records, summary.bytes),
        (count, records, bytes)
    );
    assert_eq!(summary.partial_bytes, batches.remainder() as u64);
}

fn peeked_sets(body: &Body) -> Result<Vec<Set>, DecodeError> {
    fn of<M: HoldsRecords>(body: &Body) -> Result<Vec<Set>, DecodeError> {
        let sets = peek::record_sets::<M>(body.version, &body.bytes)?;
        sets.map(|set| {
            let set = set?;
            if let Some(records) = set.records.filter(|records| !records.is_empty()) {
                assert!(body.bytes.as_ptr_range().contains(&records.as_ptr()));
            }
            summarised(&set);
            Ok((
                named(set.topic),
                set.partition,
                set.records.map(<[u8]>::to_vec),
            ))
        })
        .collect()
    }
    match &*body.message {
        "ProduceRequest" => of::<ProduceRequest<'_>>(body),
        "FetchResponse" => of::<FetchResponse<'_>>(body),
        _ => of::<ShareFetchResponse<'_>>(body),
    }
}

/// Peeking says what decoding says; only what it does not look at may be malformed.
fn agree<T: PartialEq + Debug>(
    decoded: Result<T, DecodeError>,
    peeked: Result<T, DecodeError>,
    later: &mut usize,
) {
    match (decoded, peeked) {
        (Ok(decoded), peeked) => assert_eq!(peeked, Ok(decoded)),
        (Err(error), Err(peeked)) => assert_eq!(peeked, error),
        (Err(_), Ok(_)) => *later += 1,
    }
}

#[test]
fn peeking_agrees_with_decoding() {
    let mut numbers = Numbers(7);
    let (mut whole, mut broken, mut later) = (0, 0, 0);
    for body in bodies() {
        if decoded_topics(&body).is_none() && decoded_sets(&body).is_none() {
            continue;
        }
        whole += 1;
        let forms = damaged(&body.bytes, &mut numbers);
        broken += forms.len();
        let Body {
            message,
            version,
            bytes,
        } = body;
        for (place, bytes) in std::iter::once(bytes).chain(forms).enumerate() {
            let body = Body {
                message: message.clone(),
                version,
                bytes,
            };
            let before = later;
            if let Some(decoded) = decoded_topics(&body) {
                agree(decoded, peeked_topics(&body), &mut later);
            }
            if let Some(decoded) = decoded_sets(&body) {
                agree(decoded, peeked_sets(&body), &mut later);
            }
            assert!(place > 0 || later == before, "{message} v{version}");
        }
    }
    println!(
        "{whole} messages, {broken} damaged ones, {later} of them damaged where nobody looked"
    );
    assert!(whole > 400 && later < broken / 2);
}

/// What decoding refuses is refused where it is passed.
#[test]
fn what_is_passed_is_checked() {
    fn error<M: NamesTopics>(version: i16, bytes: &[u8]) -> DecodeError {
        match peek::topics::<M>(version, bytes) {
            Ok(topics) => topics.filter_map(Result::err).next().unwrap(),
            Err(error) => error,
        }
    }
    assert_eq!(
        error::<MetadataRequest<'_>>(99, &[]).to_string(),
        "MetadataRequest v99: no such version: there are 0 to 13 (at byte 0)"
    );
    let bytes = [2, b'g', 0, 0, 0, 1, 2, b'm', 0, 2, 2, 0xff, 1];
    let refused = error::<OffsetCommitRequest<'_>>(8, &bytes);
    assert_eq!(refused, OffsetCommitRequest::decode(&bytes, 8).unwrap_err());
    assert_eq!(
        (refused.path(), refused.kind()),
        ("topics[0].name", &DecodeErrorKind::InvalidUtf8)
    );
    // A topic without partitions: its name is checked all the same.
    let mut bytes = vec![
        0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 0,
    ];
    let sets = |bytes: &[u8]| {
        let sets = peek::record_sets::<ProduceRequest<'_>>(3, bytes).unwrap();
        sets.collect::<Result<Vec<_>, _>>().map(|sets| sets.len())
    };
    assert_eq!(sets(&bytes), Ok(0));
    bytes[14] = 0xff;
    let refused = sets(&bytes).unwrap_err();
    assert_eq!(refused, ProduceRequest::decode(&bytes, 3).unwrap_err());
    assert_eq!(refused.kind(), &DecodeErrorKind::InvalidUtf8);
    let topics = peek::topics::<MetadataRequest<'_>>(1, &[0xff; 4]).unwrap();
    assert_eq!((topics.listed(), topics.count()), (None, 0));
    let topics = peek::topics::<MetadataRequest<'_>>(0, &[0; 4]).unwrap();
    assert_eq!((topics.listed(), topics.count()), (Some(0), 0));
}

#[test]
fn request_headers() {
    let mut numbers = Numbers(9);
    let mut held = 0;
    for line in frames("3.9.2").chain(frames("4.3.1")) {
        if line["dir"] != "req" {
            continue;
        }
        let frame = unhex(line["hex"].as_str().unwrap());
        let header = &frame[..frame.len().min(64)];
        for bytes in std::iter::once(frame.clone()).chain(damaged(header, &mut numbers)) {
            match (decode_request_header(&bytes), peek_request(&bytes)) {
                (Ok(parts), Ok(peek)) => {
                    assert_eq!(
                        (peek.api_key, peek.version),
                        (parts.api_key(), parts.version())
                    );
                    assert_eq!(peek.correlation_id, parts.header.correlation_id);
                    assert_eq!(peek.client_id, parts.header.client_id.as_deref());
                    assert_eq!(
                        (peek.header_version, peek.body),
                        (parts.header_version, parts.body)
                    );
                    held += 1;
                }
                (Err(error), peek) => assert_eq!(peek, Err(error)),
                (Ok(_), Err(error)) => panic!("{error}"),
            }
        }
    }
    assert!(held > 1000, "{held}");
    // Header version 0: nothing behind the number.
    let peek = peek_request(&[0, 7, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3]).unwrap();
    assert_eq!(
        (peek.header_version, peek.client_id, peek.body),
        (0, None, &[0, 0, 0, 3][..])
    );
}
