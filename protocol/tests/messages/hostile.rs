//! What hostile bytes may cost, and what is said of them.

use crate::common::CODECS;
use kwire_protocol::json::bytes_to_json;
use kwire_protocol::messages::{FetchRequest, VoteRequest, fetch_request, vote_request};
use kwire_protocol::{DecodeErrorKind, EncodeErrorKind, Limits, Message};

fn votes() -> Vec<u8> {
    let request = VoteRequest {
        topics: vec![
            vote_request::TopicData {
                topic_name: "topic".into(),
                ..Default::default()
            };
            1000
        ],
        ..Default::default()
    };
    request.encode_to_vec(2).unwrap()
}

/// The walk that looks for the field reads on where the decoder gave up, and must not come back
/// with what else is wrong there.
#[test]
fn what_is_over_budget_is_called_so() {
    let limits = Limits {
        max_allocated_bytes: 1000,
        ..Limits::DEFAULT
    };
    let bytes = votes();
    for len in [bytes.len(), bytes.len() - 1, bytes.len() - 900] {
        let error = VoteRequest::decode_with(&bytes[..len], 2, &limits).unwrap_err();
        assert_eq!(error.kind(), &DecodeErrorKind::OverBudget { limit: 1000 });
        assert_eq!((error.path(), error.offset()), ("topics", 7), "{len}");
    }
    // Each unknown tag is paid for when it comes.
    let mut partition = vote_request::PartitionData::default();
    for tag in 40..140 {
        partition.unknown_tags.push(tag, Vec::new());
    }
    let request = VoteRequest {
        topics: vec![vote_request::TopicData {
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut bytes = request.encode_to_vec(2).unwrap();
    bytes.truncate(bytes.len() - 1);
    let error = VoteRequest::decode_with(&bytes, 2, &limits).unwrap_err();
    assert_eq!(error.kind(), &DecodeErrorKind::OverBudget { limit: 1000 });
    assert_eq!(error.path(), "topics[0].partitions[0]");
}

#[test]
fn json_is_paid_for() {
    let votes = CODECS.iter().find(|c| c.schema.name == "VoteRequest");
    let votes = votes.unwrap().schema;
    let bytes = self::votes();
    assert!(bytes_to_json(votes, 2, &bytes, &Limits::DEFAULT).is_ok());
    let limits = Limits {
        max_allocated_bytes: 100_000,
        ..Limits::DEFAULT
    };
    assert!(VoteRequest::decode_with(&bytes, 2, &limits).is_ok());
    let error = bytes_to_json(votes, 2, &bytes, &limits).unwrap_err();
    let limit = limits.max_allocated_bytes;
    assert_eq!(error.kind(), &DecodeErrorKind::OverBudget { limit });
    assert_eq!(error.path(), "topics");
    assert_eq!(error.message(), "VoteRequest");
}

/// The version's bytes say nothing of the tags, and end where several structs may.
#[test]
fn tags_that_the_version_lacks_are_found() {
    let topic = || fetch_request::FetchTopic {
        partitions: vec![fetch_request::FetchPartition::default(); 3],
        ..Default::default()
    };
    let request = || FetchRequest {
        topics: vec![topic(), topic(), topic()],
        ..Default::default()
    };
    let path = |request: &FetchRequest<'_>| {
        let error = request.encode_to_vec(4).unwrap_err();
        assert_eq!(error.kind(), &EncodeErrorKind::TagsNotInVersion);
        error.path().to_owned()
    };
    let mut one = request();
    one.topics[1].partitions[1].unknown_tags.push(50, vec![7]);
    assert_eq!(path(&one), "topics[1].partitions[1]");
    let mut one = request();
    one.topics[1].unknown_tags.push(50, vec![7]);
    assert_eq!(path(&one), "topics[1]");
    // The last partition ends where its topic does.
    let mut one = request();
    one.topics[1].partitions[2].unknown_tags.push(50, vec![7]);
    assert_eq!(path(&one), "topics[1]");
    let mut one = request();
    one.unknown_tags.push(50, vec![7]);
    assert_eq!(path(&one), "");
}
