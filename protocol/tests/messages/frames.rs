//! Frames that Kafka's own nodes sent each other, header and body.

use crate::common::{hex, lines, unhex};
use kwire_protocol::api::{AnyRequest, AnyResponse};
use kwire_protocol::frame::{
    self, DEFAULT_MAX_LEN, RequestHead, decode_request, decode_request_header, decode_response,
    decode_response_header, encode_request, encode_request_header, encode_response,
    encode_response_header, split_frame, write_frame,
};
use kwire_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, VoteRequest, VoteResponse,
};
use kwire_protocol::negotiate::{
    ApiVersionsAnswer, Negotiated, SupportedVersions, decode_api_versions_response,
};
use kwire_protocol::schema::VersionRange;
use kwire_protocol::{ApiKey, Limits, Message, Request};
use proptest::prelude::*;
use serde_json::Value;

/// What became of the frames of a capture.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    frames: usize,
    requests: usize,
    responses: usize,
    /// Responses of which the capture has the beginning only; not decoded but for the header.
    truncated: usize,
}

fn int(line: &Value, name: &str) -> i64 {
    line[name]
        .as_i64()
        .unwrap_or_else(|| panic!("{name}: {line}"))
}

fn hold(release: &str) -> Counts {
    let mut counts = Counts::default();
    for line in lines(&format!("captures/captures-{release}.jsonl.gz")) {
        counts.frames += 1;
        let bytes = unhex(line["hex"].as_str().unwrap());
        let is_truncated = line.get("truncated").is_some();
        assert_eq!(
            is_truncated,
            bytes.len() as i64 != int(&line, "len"),
            "{line}"
        );
        match (line["dir"].as_str(), is_truncated) {
            (Some("req"), false) => {
                counts.requests += 1;
                request(&line, &bytes);
            }
            (Some("resp"), false) => {
                counts.responses += 1;
                response(&line, &bytes);
            }
            (Some("resp"), true) => {
                counts.truncated += 1;
                // The header is there all the same.
                response_header(&line, &bytes);
                let (key, version) = api(&line);
                assert!(decode_response(key, version, &bytes, &Limits::DEFAULT).is_err());
            }
            _ => panic!("{line}"),
        }
    }
    println!("{release}: {counts:?}");
    counts
}

fn api(line: &Value) -> (ApiKey, i16) {
    let key = ApiKey(int(line, "apiKey") as i16);
    assert_eq!(key.name(), line["api"].as_str());
    (key, int(line, "apiVersion") as i16)
}

/// The frame with its length, as a connection carries it.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut framed = (bytes.len() as i32).to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    framed
}

/// Runs generic code on a message of any of the APIs in the captures.
macro_rules! typed {
    ($any:ident, $value:expr, |$body:ident| $run:expr) => {
        typed!(@ $any, $value, |$body| $run,
            AddRaftVoter AllocateProducerIds ApiVersions BeginQuorumEpoch BrokerHeartbeat
            BrokerRegistration ConsumerGroupHeartbeat ControllerRegistration CreateTopics
            DescribeCluster DescribeConfigs DescribeQuorum DescribeTopicPartitions
            EndQuorumEpoch Envelope Fetch FetchSnapshot FindCoordinator InitProducerId
            JoinGroup LeaveGroup ListOffsets ListPartitionReassignments Metadata OffsetCommit
            OffsetFetch Produce RemoveRaftVoter SyncGroup UpdateRaftVoter Vote
        )
    };
    (@ $any:ident, $value:expr, |$body:ident| $run:expr, $($api:ident)*) => {
        match $value {
            $($any::$api($body) => $run,)*
            other => panic!("add {} to the list", other.api_key()),
        }
    };
}

fn request(line: &Value, bytes: &[u8]) {
    let (key, version) = api(line);
    let parts = decode_request_header(bytes).unwrap();
    assert_eq!((parts.api_key(), parts.version()), (key, version));
    assert!(parts.is_supported());
    assert_eq!(i64::from(parts.header_version), int(line, "headerVersion"));
    assert_eq!(
        i64::from(parts.header.correlation_id),
        int(line, "corr"),
        "{line}"
    );
    assert_eq!(parts.header.client_id.as_deref(), line["client"].as_str());

    let (header, body) =
        decode_request(bytes, &Limits::DEFAULT).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!((&header, body.api_key()), (&parts.header, key));

    let mut encoded = Vec::new();
    write_frame(&mut encoded, |out| {
        encode_request_header(&header, out)?;
        body.encode(version, out)
    })
    .unwrap();
    assert_eq!(hex(&encoded), hex(&framed(bytes)), "{line}");

    let head = RequestHead {
        version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.as_deref(),
    };
    let typed = typed!(AnyRequest, &body, |body| again(&head, body));
    assert_eq!(typed, encoded);
    let (frame, rest) = split_frame(&typed, DEFAULT_MAX_LEN).unwrap().unwrap();
    assert!(frame == bytes && rest.is_empty());
}

fn again<R: Request>(head: &RequestHead<'_>, body: &R) -> Vec<u8> {
    let mut out = Vec::new();
    encode_request(head, body, &mut out).unwrap();
    out
}

fn response_header(line: &Value, bytes: &[u8]) {
    let (key, version) = api(line);
    let parts = decode_response_header(key, version, bytes).unwrap();
    assert_eq!(i64::from(parts.header_version), int(line, "headerVersion"));
    assert_eq!(i64::from(parts.header.correlation_id), int(line, "corr"));
}

fn response(line: &Value, bytes: &[u8]) {
    response_header(line, bytes);
    let (key, version) = api(line);
    let frame = decode_response(key, version, bytes, &Limits::DEFAULT)
        .unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!((frame.version, frame.body.api_key()), (version, key));

    let mut encoded = Vec::new();
    write_frame(&mut encoded, |out| {
        encode_response_header(key, version, &frame.header, out)?;
        frame.body.encode(version, out)
    })
    .unwrap();
    assert_eq!(hex(&encoded), hex(&framed(bytes)), "{line}");

    let id = frame.header.correlation_id;
    let typed = typed!(AnyResponse, &frame.body, |body| answered(version, id, body));
    assert_eq!(typed, encoded);

    if let AnyResponse::ApiVersions(body) = frame.body {
        let negotiated = Negotiated::new(SupportedVersions::stable(), &body);
        assert_eq!(negotiated.version_of::<ApiVersionsRequest>(), Ok(4));
        assert!(negotiated.version_of::<FetchRequest>().unwrap() >= 17);
        for (key, version) in negotiated.iter() {
            assert_eq!(negotiated.version(key), Ok(version));
        }
    }
}

fn answered<M: Message>(version: i16, correlation_id: i32, body: &M) -> Vec<u8> {
    let mut out = Vec::new();
    encode_response(version, correlation_id, body, &mut out).unwrap();
    out
}

#[test]
fn frames_of_3_9_2() {
    let expected = Counts {
        frames: 393,
        requests: 198,
        responses: 177,
        truncated: 18,
    };
    assert_eq!(hold("3.9.2"), expected);
}

#[test]
fn frames_of_4_3_1() {
    let expected = Counts {
        frames: 416,
        requests: 210,
        responses: 205,
        truncated: 1,
    };
    assert_eq!(hold("4.3.1"), expected);
}

/// The frames of a connection come out of its bytes however these arrive.
#[test]
fn a_connection_in_pieces() {
    let frames: Vec<Vec<u8>> = lines("captures/captures-4.3.1.jsonl.gz")
        .filter(|line| line.get("truncated").is_none())
        .take(30)
        .map(|line| unhex(line["hex"].as_str().unwrap()))
        .collect();
    let sent: Vec<u8> = frames.iter().flat_map(|bytes| framed(bytes)).collect();
    for step in [1, 3, 1000, sent.len()] {
        let mut received = Vec::new();
        let mut found = Vec::new();
        for piece in sent.chunks(step) {
            received.extend_from_slice(piece);
            while let Some((frame, rest)) = split_frame(&received, DEFAULT_MAX_LEN).unwrap() {
                found.push(frame.to_vec());
                received = rest.to_vec();
            }
        }
        assert!(received.is_empty());
        assert!(found == frames, "steps of {step}");
    }
}

/// A broker refuses the highest version, and both ends find a common one.
#[test]
fn a_handshake_with_a_fallback() {
    let broker = SupportedVersions::stable().narrow(ApiKey::API_VERSIONS, VersionRange::new(0, 3));
    let mut asked = 5;
    let mut versions = Vec::new();
    let negotiated = loop {
        versions.push(asked);
        let head = RequestHead {
            version: asked,
            correlation_id: 1,
            client_id: None,
        };
        let sent = again(&head, &ApiVersionsRequest::default());
        let (bytes, _) = split_frame(&sent, DEFAULT_MAX_LEN).unwrap().unwrap();

        let parts = decode_request_header(bytes).unwrap();
        let (version, answer) = broker.answer(parts.version());
        let sent = answered(version, parts.header.correlation_id, &answer);

        let (bytes, _) = split_frame(&sent, DEFAULT_MAX_LEN).unwrap().unwrap();
        let whole = decode_response(parts.api_key(), asked, bytes, &Limits::DEFAULT).unwrap();
        assert_eq!(whole.version, version);
        let parts = decode_response_header(parts.api_key(), asked, bytes).unwrap();
        match ApiVersionsAnswer::decode(asked, parts.body, &Limits::DEFAULT).unwrap() {
            ApiVersionsAnswer::AskAgain { version } => asked = version,
            ApiVersionsAnswer::Versions(answer) => {
                break Negotiated::new(SupportedVersions::stable(), &answer);
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(versions, [5, 3]);
    assert_eq!(negotiated.version_of::<ApiVersionsRequest>(), Ok(3));
    assert_eq!(negotiated.version_of::<FetchRequest>(), Ok(18));
}

#[test]
fn what_is_left_over_is_an_error() {
    let head = RequestHead::default();
    let mut bytes = again(&head, &VoteRequest::default()).split_off(4);
    assert!(decode_request(&bytes, &Limits::DEFAULT).is_ok());
    bytes.push(0);
    let error = decode_request(&bytes, &Limits::DEFAULT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Vote v0 (correlation id 0): VoteRequest v0: 1 byte is left behind the message (at byte 3)"
    );

    let mut bytes = answered(0, 8, &VoteResponse::default()).split_off(4);
    assert!(decode_response(ApiKey::VOTE, 0, &bytes, &Limits::DEFAULT).is_ok());
    bytes.push(0);
    let error = decode_response(ApiKey::VOTE, 0, &bytes, &Limits::DEFAULT).unwrap_err();
    assert!(error.to_string().contains("left behind"), "{error}");
}

#[test]
fn unsupported_versions_keep_their_prefix() {
    let mut bytes = again(&RequestHead::default(), &VoteRequest::default()).split_off(4);
    bytes[3] = 99;
    let error = decode_request(&bytes, &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.prefix().unwrap().version, 99);
    assert_eq!(
        error.to_string(),
        "Vote v99 (correlation id 0): VoteRequest v99: no such version: there are 0 to 2 (at byte 0)"
    );
    let parts = decode_request_header(&bytes).unwrap();
    assert!(!parts.is_supported());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
        key in prop_oneof![Just(18_i16), 0..96_i16, any::<i16>()],
        version in prop_oneof![-1..20_i16, any::<i16>()],
    ) {
        let _ = split_frame(&bytes, 50);
        let _ = split_frame(&bytes, usize::MAX);
        let _ = decode_response(ApiKey(key), version, &bytes, &Limits::DEFAULT);
        if let Ok((version, response)) =
            decode_api_versions_response(version, &bytes, &Limits::DEFAULT)
        {
            let negotiated = Negotiated::new(SupportedVersions::all(), &response);
            let _ = negotiated.iter().count();
            let _ = ApiVersionsAnswer::of(version, response);
        }
        let _ = decode_request(&bytes, &Limits::DEFAULT);
        // Most of the random keys are unknown: put in those that are not.
        let mut prefix = key.to_be_bytes().to_vec();
        prefix.extend(version.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(prefix) {
            *to = from;
        }
        let decoded = decode_request(&bytes, &Limits::DEFAULT);
        if bytes.len() >= 8 {
            let prefix = frame::RequestPrefix::decode(&bytes).unwrap();
            prop_assert_eq!((prefix.api_key, prefix.version), (ApiKey(key), version));
            if let Err(error) = decoded {
                prop_assert_eq!(error.prefix(), Some(prefix));
            }
        }
    }

    #[test]
    fn responses_of_any_ranges_negotiate(
        ranges in proptest::collection::vec((0..100_i16, any::<i16>(), any::<i16>()), 0..40),
        asked in any::<i16>(),
        error in prop_oneof![Just(35_i16), any::<i16>()],
    ) {
        let mut response = ApiVersionsResponse {
            api_keys: SupportedVersions::all().to_api_keys(),
            error_code: error,
            ..Default::default()
        };
        for (key, min, max) in ranges {
            let mut api = response.api_keys[0].clone();
            (api.api_key, api.min_version, api.max_version) = (key, min, max);
            response.api_keys.push(api);
        }
        let ours = SupportedVersions::stable();
        let negotiated = Negotiated::new(ours.clone(), &response);
        for (key, version) in negotiated.iter() {
            prop_assert!(ours.get(key).unwrap().contains(version));
            prop_assert!(negotiated.theirs(key).unwrap().contains(version));
        }
        for key in 0..100 {
            if let Err(error) = negotiated.version(ApiKey(key)) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
        if let ApiVersionsAnswer::AskAgain { version } = ApiVersionsAnswer::of(asked, response) {
            prop_assert!(0 <= version && version < asked);
        }
    }
}

#[test]
fn typed_and_any_agree() {
    let body = FetchResponse::default();
    for version in 0..=18 {
        let bytes = answered(version, 3, &body).split_off(4);
        let frame = decode_response(ApiKey::FETCH, version, &bytes, &Limits::DEFAULT).unwrap();
        assert_eq!(frame.header.correlation_id, 3);
        assert!(matches!(frame.body, AnyResponse::Fetch(found) if found == body));
    }
}
