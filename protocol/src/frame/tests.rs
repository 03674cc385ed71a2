//! Tests of frames and headers.

use super::encode::frame_len;
use super::*;
use crate::ApiKey;
use crate::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::messages::{RequestHeader, ResponseHeader};
use crate::runtime::{DecodeErrorKind, ForeignProtocol, Limits, Message};

fn prefixed(len: i32, bytes: &[u8]) -> Vec<u8> {
    let mut out = len.to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

fn refusal(prefix: &[u8]) -> (DecodeErrorKind, String) {
    let error = split_frame(prefix, DEFAULT_MAX_LEN).unwrap_err();
    (error.kind().clone(), error.to_string())
}

#[test]
fn frames_are_split_when_complete() {
    let buffer = prefixed(3, &[1, 2, 3, 0, 0, 0, 0, 9]);
    for len in 0..7 {
        assert_eq!(split_frame(&buffer[..len], 10), Ok(None), "{len}");
    }
    let (frame, rest) = split_frame(&buffer, 10).unwrap().unwrap();
    assert_eq!((frame, rest.len()), ([1, 2, 3].as_slice(), 5));
    let (frame, rest) = split_frame(rest, 10).unwrap().unwrap();
    assert_eq!((frame, rest), ([].as_slice(), [9].as_slice()));
    assert_eq!(split_frame(rest, 10), Ok(None));
}

#[test]
fn lengths_have_a_limit() {
    assert!(split_frame(&prefixed(10, &[0; 10]), 10).unwrap().is_some());
    assert!(split_frame(&prefixed(11, &[]), 10).is_err());
    assert_eq!(split_frame(&prefixed(i32::MAX, &[]), usize::MAX), Ok(None));
    assert_eq!(
        refusal(&prefixed(-1, &[])),
        (
            DecodeErrorKind::FrameLength {
                len: -1,
                limit: DEFAULT_MAX_LEN,
                looks_like: None
            },
            "a frame of -1 bytes (at byte 0)".to_owned()
        )
    );
    assert_eq!(
        refusal(&prefixed(104_857_601, &[])).1,
        "a frame of 104857601 bytes, more than the limit of 104857600 (at byte 0)"
    );
}

#[test]
fn other_protocols_are_named() {
    let tls = [
        [0x16, 3, 1, 2],
        [0x15, 3, 3, 0],
        [0x16, 3, 0, 0],
        [0x17, 3, 3, 4],
    ];
    for prefix in tls {
        let (kind, text) = refusal(&prefix);
        assert!(
            matches!(
                kind,
                DecodeErrorKind::FrameLength {
                    looks_like: Some(ForeignProtocol::Tls),
                    ..
                }
            ),
            "{text}"
        );
        assert!(
            text.contains("one end of the connection uses TLS"),
            "{text}"
        );
    }
    assert!(
        refusal(&[0x15, 3, 3, 0])
            .1
            .starts_with("a frame of 352518912 bytes")
    );
    for prefix in [b"GET ", b"POST", b"PRI ", b"HTTP"] {
        let (kind, text) = refusal(prefix);
        assert!(
            matches!(
                kind,
                DecodeErrorKind::FrameLength {
                    looks_like: Some(ForeignProtocol::Http),
                    ..
                }
            ),
            "{text}"
        );
        assert!(text.contains("HTTP"), "{text}");
    }
    for prefix in [[0x16, 4, 1, 0], [0x18, 3, 3, 0], [0x80, 0x2e, 1, 3]] {
        let (kind, text) = refusal(&prefix);
        let DecodeErrorKind::FrameLength { looks_like, .. } = kind else {
            panic!("{text}");
        };
        assert_eq!(looks_like, None);
    }
}

#[test]
fn requests_come_back() {
    let head = RequestHead {
        version: 3,
        correlation_id: -2,
        client_id: Some("me"),
    };
    let mut out = vec![0xff];
    encode_request(&head, &ApiVersionsRequest::default(), &mut out).unwrap();
    // The client id has an int16 length in spite of the compact strings behind it.
    let expected = [
        0xff, 0, 0, 0, 16, 0, 18, 0, 3, 0xff, 0xff, 0xff, 0xfe, 0, 2, b'm', b'e', 0, 1, 1, 0,
    ];
    assert_eq!(out, expected);
    let parts = decode_request_header(&out[5..]).unwrap();
    assert_eq!(parts.header_version, 2);
    assert_eq!(parts.header.client_id.as_deref(), Some("me"));
    assert_eq!(parts.body, [1, 1, 0]);
    assert!(parts.is_supported());

    let mut again = vec![0xff];
    write_frame(&mut again, |out| {
        encode_request_header(&parts.header, out)?;
        out.extend_from_slice(parts.body);
        Ok(())
    })
    .unwrap();
    assert_eq!(again, expected);
}

#[test]
fn errors_leave_the_buffer_alone() {
    let mut out = vec![1, 2, 3];
    let head = RequestHead {
        version: 99,
        ..RequestHead::default()
    };
    let error = encode_request(&head, &ApiVersionsRequest::default(), &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ApiVersionsRequest v99: no such version: there are 0 to 5"
    );
    let long = "x".repeat(40_000);
    let head = RequestHead {
        version: 3,
        client_id: Some(&long),
        ..RequestHead::default()
    };
    let error = encode_request(&head, &ApiVersionsRequest::default(), &mut out).unwrap_err();
    assert_eq!(error.message(), "RequestHeader");
    let head = RequestHead {
        version: 3,
        ..RequestHead::default()
    };
    let body = ApiVersionsRequest {
        client_software_name: long.into(),
        ..Default::default()
    };
    let error = encode_request(&head, &body, &mut out).unwrap_err();
    assert_eq!(error.path(), "clientSoftwareName");
    let error = encode_response(9, 0, &ApiVersionsResponse::default(), &mut out).unwrap_err();
    assert_eq!(error.message(), "ApiVersionsResponse");
    let error = encode_response(3, 0, &body, &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ApiVersionsRequest v3: the message is not a response"
    );
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn frames_have_int32_lengths() {
    assert_eq!(frame_len(0x7fff_ffff), Ok(i32::MAX));
    let error = frame_len(0x8000_0000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a frame of 2147483648 bytes, more than 2147483647"
    );
}

#[test]
fn headers_of_unknown_apis_cannot_be_written() {
    let header = RequestHeader {
        request_api_key: 999,
        ..Default::default()
    };
    let error = encode_request_header(&header, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "unknown API key 999");
    let header = ResponseHeader::default();
    let key = ApiKey::API_VERSIONS;
    let error = encode_response_header(key, 6, &header, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ApiVersions v6: no such version: there are 0 to 5"
    );
}

#[test]
fn requests_of_unknown_apis_can_be_answered() {
    let bytes = [3, 0xe7, 0, 4, 0, 0, 0, 7, 1, 2, 3];
    let error = decode_request_header(&bytes).unwrap_err();
    let prefix = RequestPrefix {
        api_key: ApiKey(999),
        version: 4,
        correlation_id: 7,
    };
    assert_eq!(error.prefix(), Some(prefix));
    assert_eq!(error.kind(), &DecodeErrorKind::UnknownApi { api_key: 999 });
    assert_eq!(
        error.to_string(),
        "API 999 v4 (correlation id 7): unknown API key 999 (at byte 0)"
    );
    let error = decode_request_header(&bytes[..7]).unwrap_err();
    assert_eq!(error.prefix(), None);
    assert_eq!(
        error.to_string(),
        "RequestHeader v0: correlationId: the bytes end: 4 wanted, 3 left (at byte 4)"
    );
}

#[test]
fn versions_out_of_range() {
    // ApiVersions of a version to come, with a tag in its header that nobody knows yet.
    let bytes = [0, 18, 0, 99, 0, 0, 0, 7, 0, 1, b'x', 1, 5, 1, 42, 77];
    let parts = decode_request_header(&bytes).unwrap();
    assert!(!parts.is_supported());
    assert_eq!((parts.version(), parts.header_version), (99, 2));
    assert_eq!(parts.header.correlation_id, 7);
    assert_eq!(parts.header.client_id.as_deref(), Some("x"));
    assert_eq!(parts.header.unknown_tags.as_slice().len(), 1);
    assert_eq!(parts.body, [77]);
    // If even that header is malformed there is its beginning.
    let error = decode_request_header(&bytes[..9]).unwrap_err();
    assert_eq!(error.prefix().unwrap().correlation_id, 7);
    let error = decode_request_header(&[0, 18, 0xff, 0xff, 0, 0, 0, 7]).unwrap_err();
    assert_eq!(error.prefix().unwrap().version, -1);
    assert_eq!(
        error.to_string(),
        "ApiVersions v-1 (correlation id 7): ApiVersions v-1: no such version: there are 0 to 5 (at byte 2)"
    );
}

#[test]
fn tagged_fields_of_headers_have_a_limit() {
    let bytes = [0, 18, 0, 3, 0, 0, 0, 7, 0xff, 0xff, 2, 5, 0, 6, 0];
    assert!(decode_request_header(&bytes).is_ok());
    let limits = Limits {
        max_tagged_fields: 1,
        ..Limits::DEFAULT
    };
    let error = decode_request_header_with(&bytes, &limits).unwrap_err();
    assert!(matches!(
        error.kind(),
        DecodeErrorKind::TagsOverLimit { .. }
    ));
}

#[test]
fn api_versions_responses_have_header_0() {
    for version in [0, 3, 5, 99] {
        let bytes = [0, 0, 0, 7, 0, 35];
        let parts = decode_response_header(ApiKey::API_VERSIONS, version, &bytes).unwrap();
        assert_eq!((parts.header_version, parts.body), (0, [0, 35].as_slice()));
    }
    for version in 0..=5 {
        let mut out = Vec::new();
        encode_response(version, 7, &ApiVersionsResponse::default(), &mut out).unwrap();
        let body = ApiVersionsResponse::default()
            .encode_to_vec(version)
            .unwrap();
        assert_eq!(out[4..8], [0, 0, 0, 7]);
        assert_eq!(out[8..], body);
    }
    let error = decode_response_header(ApiKey(999), 0, &[0; 8]).unwrap_err();
    assert_eq!(error.kind(), &DecodeErrorKind::UnknownApi { api_key: 999 });
    assert!(decode_response_header(ApiKey::API_VERSIONS, -1, &[0; 8]).is_err());
}

#[cfg(feature = "brokers")]
#[test]
fn controlled_shutdown_0_has_header_0() {
    use crate::messages::ControlledShutdownRequest;

    let body = ControlledShutdownRequest {
        broker_id: 3,
        ..Default::default()
    };
    let mut head = RequestHead {
        version: 0,
        correlation_id: 7,
        client_id: Some("dropped"),
    };
    let mut out = Vec::new();
    encode_request(&head, &body, &mut out).unwrap();
    assert_eq!(out, [0, 0, 0, 12, 0, 7, 0, 0, 0, 0, 0, 7, 0, 0, 0, 3]);
    let parts = decode_request_header(&out[4..]).unwrap();
    assert_eq!(
        (parts.header_version, parts.body),
        (0, [0, 0, 0, 3].as_slice())
    );

    (head.version, head.client_id) = (1, Some("b"));
    out.clear();
    encode_request(&head, &body, &mut out).unwrap();
    assert_eq!(
        out,
        [0, 0, 0, 15, 0, 7, 0, 1, 0, 0, 0, 7, 0, 1, b'b', 0, 0, 0, 3]
    );
}
