//! Frames, their headers, and what two nodes agree on by them.

use kwire_protocol::api::{AnyRequest, AnyResponse};
use kwire_protocol::frame::{
    RequestPrefix, decode_request, decode_request_header, decode_response, decode_response_header,
    encode_request_header, encode_response_header, split_frame, write_frame,
};
use kwire_protocol::negotiate::{
    ApiVersionsAnswer, Negotiated, SupportedVersions, decode_api_versions_response,
};
use kwire_protocol::schema::VersionRange;
use kwire_protocol::{ApiKey, EncodeError, EncodeErrorKind, Limits, Message};

use crate::fixtures::{bytes, int, lines};
use crate::input::Input;

/// What the first byte chooses, with the others.
pub fn frame(data: &[u8]) {
    let mut input = Input::new(data);
    match input.u8() % 4 {
        0 => request(input.rest()),
        1 => {
            let (api, version) = (ApiKey(input.i16()), input.i16());
            response(api, version, input.rest());
        }
        2 => split(&mut input),
        _ => negotiate(&mut input),
    }
}

fn request(bytes: &[u8]) {
    let prefix = RequestPrefix::decode(bytes);
    assert_eq!(prefix.is_ok(), bytes.len() >= 8);
    let parts = match decode_request_header(bytes) {
        Ok(parts) => parts,
        Err(error) => {
            assert_eq!(error.prefix(), prefix.ok());
            assert_eq!(decode_request(bytes, &Limits::DEFAULT), Err(error));
            return;
        }
    };
    let prefix = prefix.expect("what begins a header");
    let (api, version) = (parts.api_key(), parts.version());
    assert_eq!((api, version), (prefix.api_key, prefix.version));
    assert_eq!(parts.header.correlation_id, prefix.correlation_id);
    assert!(bytes.ends_with(parts.body));
    let decoded = decode_request(bytes, &Limits::DEFAULT);
    let alone = AnyRequest::decode(api, version, parts.body, &Limits::DEFAULT);
    let (header, body) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => {
            assert_eq!(error.prefix(), Some(prefix));
            assert_eq!(alone.err().as_ref(), Some(error.error()));
            return;
        }
    };
    assert!(parts.is_supported() && alone.is_ok());
    assert_eq!((&header, api), (&parts.header, body.api_key()));
    let mut framed = Vec::new();
    let written = write_frame(&mut framed, |out| {
        encode_request_header(&header, out)?;
        body.encode(version, out)
    });
    if !is_written(written, &framed) {
        return;
    }
    let again = decode_request(whole(&framed), &Limits::DEFAULT).expect("what was written");
    assert_eq!(again.0, header);
    if body == body.clone() {
        assert_eq!(again.1, body);
    }
}

fn response(api: ApiKey, version: i16, bytes: &[u8]) {
    let parts = decode_response_header(api, version, bytes);
    let decoded = decode_response(api, version, bytes, &Limits::DEFAULT);
    let parts = match parts {
        Ok(parts) => parts,
        Err(error) => return assert_eq!(decoded, Err(error)),
    };
    assert!(bytes.ends_with(parts.body));
    let Ok(frame) = decoded else { return };
    assert_eq!((&frame.header, api), (&parts.header, frame.body.api_key()));
    if api == ApiKey::API_VERSIONS {
        let alone = decode_api_versions_response(version, parts.body, &Limits::DEFAULT);
        let (read_at, alone) = alone.expect("the body of a frame");
        assert!(read_at == frame.version && (read_at == version || read_at == 0));
        assert_eq!(frame.body, AnyResponse::ApiVersions(alone));
    } else {
        assert_eq!(frame.version, version);
    }
    let mut framed = Vec::new();
    let written = write_frame(&mut framed, |out| {
        encode_response_header(api, frame.version, &frame.header, out)?;
        frame.body.encode(frame.version, out)
    });
    if !is_written(written, &framed) {
        return;
    }
    let again = decode_response(api, version, whole(&framed), &Limits::DEFAULT);
    let again = again.expect("what was written");
    assert_eq!(
        (&again.header, again.version),
        (&frame.header, frame.version)
    );
    if frame.body == frame.body.clone() {
        assert_eq!(again.body, frame.body);
    }
}

/// Unknown tags come in any order, and are written in one only; nothing else stays unwritten.
fn is_written(written: Result<(), EncodeError>, framed: &[u8]) -> bool {
    let Err(error) = written else { return true };
    let kind = error.kind();
    assert!(
        matches!(
            kind,
            EncodeErrorKind::TagOrder { .. } | EncodeErrorKind::TagTooHigh { .. }
        ),
        "{error}"
    );
    assert!(framed.is_empty(), "a frame that failed leaves bytes behind");
    false
}

fn whole(framed: &[u8]) -> &[u8] {
    match split_frame(framed, framed.len()) {
        Ok(Some((frame, []))) => frame,
        other => panic!("not one frame: {other:?}"),
    }
}

/// Bytes that come in parts give the frames that they give at once.
fn split(input: &mut Input<'_>) {
    let max_len = usize::from(input.u16());
    let part = usize::from(input.u8()) + 1;
    let all = input.rest();
    let mut rest = all;
    let mut frames = Vec::new();
    let end = loop {
        match split_frame(rest, max_len) {
            Ok(Some((frame, left))) => {
                assert!(frame.len() <= max_len);
                assert_eq!(frame.len() + left.len() + 4, rest.len());
                let mut again = Vec::new();
                write_frame(&mut again, |out| {
                    out.extend_from_slice(frame);
                    Ok(())
                })
                .expect("a frame");
                assert!(rest.starts_with(&again));
                frames.push(frame);
                rest = left;
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let mut buffer = Vec::new();
    let mut came = Vec::new();
    let mut failed = None;
    'parts: for part in all.chunks(part) {
        buffer.extend_from_slice(part);
        loop {
            match split_frame(&buffer, max_len) {
                Ok(Some((frame, left))) => {
                    came.push(frame.to_vec());
                    buffer = left.to_vec();
                }
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break 'parts;
                }
            }
        }
    }
    assert_eq!(
        (came, failed),
        (frames.into_iter().map(<[u8]>::to_vec).collect(), end)
    );
}

fn negotiate(input: &mut Input<'_>) {
    let asked = input.i16();
    let api = ApiKey(i16::from(input.u8()));
    let range = VersionRange::new(input.i16(), input.i16());
    let ours = SupportedVersions::all().narrow(api, range);
    let (version, answer) = ours.answer(asked);
    let body = answer.encode_to_vec(version).expect("our own answer");
    if asked >= 0 {
        match ApiVersionsAnswer::decode(asked, &body, &Limits::DEFAULT) {
            Ok(ApiVersionsAnswer::Versions(response)) => {
                let common = Negotiated::new(ours.clone(), &response);
                assert!(
                    common
                        .iter()
                        .eq(ours.iter().map(|(key, range)| (key, range.highest)))
                );
            }
            Ok(ApiVersionsAnswer::AskAgain { version }) => assert!((0..asked).contains(&version)),
            Ok(_) => {}
            Err(error) => panic!("our own answer is refused: {error}"),
        }
    }
    let answer = ApiVersionsAnswer::decode(asked, input.rest(), &Limits::DEFAULT);
    match answer {
        Ok(ApiVersionsAnswer::Versions(response)) => {
            let common = Negotiated::new(ours, &response);
            for (key, version) in common.iter() {
                let theirs = common.theirs(key).expect("theirs");
                let ours = common.ours().get(key).expect("ours");
                assert!(theirs.contains(version) && ours.contains(version));
            }
        }
        Ok(ApiVersionsAnswer::AskAgain { version }) => assert!((0..asked).contains(&version)),
        _ => {}
    }
}

/// What nodes sent each other: each frame alone, and several as they follow on a connection.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut stream = vec![2, 0x10, 0, 100];
    for release in ["4.3.1", "3.9.2"] {
        for line in lines(&format!("captures/captures-{release}.jsonl.gz")) {
            let bytes = bytes(&line).expect("a frame");
            let framed = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
            stream.extend_from_slice(&framed);
            if stream.len() > 600 {
                seeds.push(std::mem::replace(&mut stream, vec![2, 0x10, 0, 9]));
            }
            if line["dir"] == "req" {
                seeds.push([&[0], &bytes[..]].concat());
                continue;
            }
            let (api, version) = (int(&line, "apiKey"), int(&line, "apiVersion").to_be_bytes());
            seeds.push([&[1], &api.to_be_bytes()[..], &version, &bytes].concat());
            if ApiKey(api) == ApiKey::API_VERSIONS {
                // The body begins behind the correlation id.
                let narrow = [1, 0, 3, 0, 12];
                seeds.push([&[3], &version[..], &narrow, &bytes[4..]].concat());
            }
        }
    }
    seeds
}
