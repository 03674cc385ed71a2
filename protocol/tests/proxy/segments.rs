//! Bulk bytes stay where they are.

use kwire_protocol::frame::{self, RequestHead};
use kwire_protocol::messages::{
    FetchResponse, FetchSnapshotResponse, ProduceRequest, fetch_response, produce_request,
};
use kwire_protocol::segments::DEFAULT_THRESHOLD;
use kwire_protocol::{Blob, Limits, Message};

fn produce(records: &[Blob<'static>]) -> ProduceRequest<'static> {
    let partition = |records: &Blob<'static>| produce_request::PartitionProduceData {
        records: Some(records.clone()),
        ..Default::default()
    };
    ProduceRequest {
        topic_data: vec![produce_request::TopicProduceData {
            name: "topic".into(),
            partition_data: records.iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn no_bulk_bytes_are_copied() {
    let records = [
        vec![1; DEFAULT_THRESHOLD],
        vec![2; DEFAULT_THRESHOLD - 1],
        vec![3; 1 << 20],
    ];
    let places: Vec<_> = records.iter().map(|records| records.as_ptr()).collect();
    let request = produce(&records.map(Blob::from));
    for version in 3..=12 {
        let segments = request.encode_segments(version).unwrap();
        let parts: Vec<_> = segments.parts().collect();
        assert_eq!(parts.len(), 4 + usize::from(version >= 9), "v{version}");
        assert_eq!(
            (parts[1].as_ptr(), parts[3].as_ptr()),
            (places[0], places[2])
        );
        assert!(parts[2].len() > DEFAULT_THRESHOLD);
        // Shared bytes are shared, not copied.
        let chunks = segments.into_chunks();
        assert_eq!(
            (chunks[1].as_ptr(), chunks[3].as_ptr()),
            (places[0], places[2])
        );
    }
    // What a proxy decoded goes on from the frame that it came in.
    let frame = request.encode_to_vec(9).unwrap();
    let borrowed = ProduceRequest::decode(&frame, 9).unwrap();
    let segments = borrowed.encode_segments(9).unwrap();
    let inside = segments
        .parts()
        .filter(|part| frame.as_ptr_range().contains(&part.as_ptr()));
    assert_eq!(inside.count(), 2);
    // A buffer is used again.
    let mut buffer = segments.into_buffer();
    buffer.clear();
    let place = buffer.as_ptr();
    let segments = borrowed
        .encode_segments_with(9, DEFAULT_THRESHOLD, buffer)
        .unwrap();
    assert_eq!(segments.parts().next().unwrap().as_ptr(), place);
}

#[test]
fn frames_in_segments_are_frames() {
    let request = produce(&[vec![1; 10_000].into(), vec![2; 10].into()]);
    let head = RequestHead {
        version: 9,
        correlation_id: 7,
        client_id: Some("me"),
    };
    let mut whole = Vec::new();
    frame::encode_request(&head, &request, &mut whole).unwrap();
    let response = FetchResponse {
        responses: vec![fetch_response::FetchableTopicResponse {
            partitions: vec![fetch_response::PartitionData {
                records: Some(vec![4; 5000].into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut answer = Vec::new();
    frame::encode_response(12, 7, &response, &mut answer).unwrap();
    for threshold in [0, DEFAULT_THRESHOLD, usize::MAX] {
        let segments = frame::encode_request_segments(&head, &request, threshold).unwrap();
        assert_eq!(segments.to_vec(), whole);
        let segments = frame::encode_response_segments(12, 7, &response, threshold).unwrap();
        assert_eq!(segments.to_vec(), answer);
    }
    assert!(frame::encode_response_segments(12, 7, &request, 0).is_err());
}

#[test]
fn errors_are_those_of_encoding() {
    let mut request = produce(&[vec![1; 10_000].into(), vec![2; 10].into()]);
    request.topic_data[0].partition_data[1]
        .unknown_tags
        .push(3, Vec::new());
    request.topic_data[0].partition_data[1]
        .unknown_tags
        .push(3, Vec::new());
    let long = FetchSnapshotResponse {
        topics: vec![Default::default()],
        node_endpoints: vec![Default::default()],
        ..Default::default()
    };
    for version in [2, 3, 8, 9, 11, 99] {
        let error = request.encode_to_vec(version).unwrap_err();
        assert_eq!(request.encode_segments(version).unwrap_err(), error);
        let head = RequestHead {
            version,
            ..RequestHead::default()
        };
        let framed = frame::encode_request_segments(&head, &request, 0).unwrap_err();
        assert_eq!(framed, error, "v{version}");
    }
    let error = long.encode_to_vec(0).unwrap_err();
    assert_eq!(long.encode_segments(0).unwrap_err(), error);
    let shared = bytes::Bytes::from(produce(&[]).encode_to_vec(9).unwrap());
    let request = ProduceRequest::decode_shared(&shared, 9, &Limits::DEFAULT).unwrap();
    assert_eq!(request.encode_segments(9).unwrap().to_vec(), shared);
}
