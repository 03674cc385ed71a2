//! Looking into messages.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use kwire_protocol::frame::{self, RequestHead};
use kwire_protocol::messages::{FetchRequest, FetchResponse, MetadataRequest, ProduceRequest};
use kwire_protocol::peek::{self, HoldsRecords, NamesTopics};

use super::passing::{enter, passing};
use super::{Body, Case, KAFKA, KWIRE, body};
use crate::cases;
use crate::peers::keep;
use crate::timing::{Entry, Operation};

const PEEK: Operation = Operation::Peek;

#[rustfmt::skip]
pub fn cases() -> Vec<Case> {
    let one = body(&cases::fetch_one(), 17);
    let fetch = body(&cases::fetch(), 17);
    let produce = body(&cases::produce(), 11);
    let metadata = body(&cases::metadata_request(), 12);
    let fetched = body(&cases::fetch_response(), 17);
    let many = body(&cases::fetch_response_of_many(), 17);
    vec![
        ("header of FetchRequest, 1 partition (a)", header(&cases::fetch_one(), one.1)),
        ("header of FetchRequest, 100 x 20 (b)", header(&cases::fetch(), fetch.1)),
        ("topics of FetchRequest, 100 x 20 (b)", and(topics::<FetchRequest>(fetch, 100), passing!(PEEK, FetchRequest fetch_request, fetch, fetch.0, |value| ()))),
        ("topics of MetadataRequest, 50 topics", and(topics::<MetadataRequest>(metadata, 50), passing!(PEEK, MetadataRequest metadata_request, metadata, metadata.0, |value| ()))),
        ("topics of ProduceRequest, 1 MiB (f)", and(topics::<ProduceRequest>(produce, 1), passing!(PEEK, ProduceRequest produce_request, produce, produce.0, |value| ()))),
        ("records of FetchResponse, 1 MiB (c)", and(records::<FetchResponse>(fetched, 10_485), passing!(PEEK, FetchResponse fetch_response, fetched, fetched.0, |value| ()))),
        ("records of FetchResponse, 100 x 1 KiB", and(records::<FetchResponse>(many, 900), passing!(PEEK, FetchResponse fetch_response, many, many.0, |value| ()))),
        ("records of ProduceRequest, 1 MiB (f)", and(records::<ProduceRequest>(produce, 10_485), passing!(PEEK, ProduceRequest produce_request, produce, produce.0, |value| ()))),
    ]
}

/// kwire's entry before others'; it needs neither a decoder nor an encoder.
fn and<R: 'static>(
    peek: impl Fn() -> R + Copy + 'static,
    mut entries: Vec<Entry<'static>>,
) -> Vec<Entry<'static>> {
    entries.insert(0, Entry::new(PEEK, KWIRE, peek));
    entries.insert(0, Entry::new(Operation::PeekDecode, KWIRE, peek));
    entries
}

/// Goes over all topics.
fn topics<M: NamesTopics>((body, version): Body, expected: usize) -> impl Fn() -> usize + Copy {
    let peek = move || {
        let topics = peek::topics::<M>(black_box(version), black_box(body)).expect("topics");
        let mut count = 0;
        for topic in topics {
            black_box(&topic.expect("a topic"));
            count += 1;
        }
        count
    };
    assert_eq!(peek(), expected);
    peek
}

/// Sums all sets of records up.
fn records<M: HoldsRecords>((body, version): Body, expected: u64) -> impl Fn() -> u64 + Copy {
    let peek = move || {
        let sets = peek::record_sets::<M>(black_box(version), black_box(body)).expect("sets");
        let mut count = 0;
        for set in sets {
            let set = set.expect("a set");
            let summary = set.summary().expect("sound headers");
            black_box((&set, &summary));
            count += summary.records;
        }
        count
    };
    assert_eq!(peek(), expected);
    peek
}

/// Reads the header of a whole request. krabka-protocol has no headers.
fn header(request: &FetchRequest<'static>, version: i16) -> Vec<Entry<'static>> {
    use kafka_protocol::messages::{FetchRequest, RequestHeader};
    use kafka_protocol::protocol::{Decodable as _, Encodable as _};

    let head = RequestHead {
        version,
        correlation_id: 7,
        client_id: Some("consumer-1"),
    };
    let mut framed = Vec::new();
    frame::encode_request(&head, request, &mut framed).expect("encodes");
    let bytes: &'static Bytes = keep(framed.split_off(4).into());
    let mut entries = Vec::new();
    let header_version = black_box(2);
    let pass = move |out: &mut BytesMut| {
        out.clear();
        let rest = &mut black_box(bytes).clone();
        let head = RequestHeader::decode(rest, black_box(header_version)).expect("decodes");
        let version = head.request_api_version;
        let request = FetchRequest::decode(rest, version).expect("decodes");
        head.encode(out, black_box(header_version))
            .expect("encodes");
        request.encode(out, version).expect("encodes");
        black_box(out);
    };
    let decode =
        move || RequestHeader::decode(&mut black_box(bytes).clone(), black_box(header_version));
    enter(&mut entries, PEEK, KAFKA, bytes, pass, decode);
    and(move || frame::peek_request(black_box(bytes)), entries)
}
