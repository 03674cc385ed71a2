//! What splicing writes is what decoding, changing and encoding writes.

use std::collections::BTreeSet;

use kwire_protocol::messages::*;
use kwire_protocol::negotiate::{SupportedVersions, decode_api_versions_response};
use kwire_protocol::rewrite::{
    self, ENDPOINT_APIS, RewriteError, api_versions, clamp_api_versions, endpoints,
    endpoints_in_place,
};
use kwire_protocol::schema::{FieldType, Kind, Schema, VersionRange};
use kwire_protocol::{ApiKey, DecodeError, Limits, Message, Str};

use crate::bodies::{Body, Numbers, bodies, damaged};

/// What a proxy does with a node: its new host and port, if any.
type Change = fn(i32, &str, i32) -> Option<(String, u16)>;

const CHANGES: [Change; 5] = [
    |_, host, port| Some(("h".repeat(host.len()), (port as u16).wrapping_add(1))),
    |node, _, _| Some((format!("broker-{node}.proxy.example"), 65_535)),
    |_, _, _| Some(("long".repeat(100), 1)),
    |node, host, _| (node % 2 == 0).then(|| (format!("{host}x"), 9)),
    |_, _, _| None,
];

trait Port {
    fn get(&self) -> i32;
    fn set(&mut self, port: u16);
}

impl Port for i32 {
    fn get(&self) -> i32 {
        *self
    }

    fn set(&mut self, port: u16) {
        *self = port.into();
    }
}

impl Port for u16 {
    fn get(&self) -> i32 {
        (*self).into()
    }

    fn set(&mut self, port: u16) {
        *self = port;
    }
}

fn set(change: Change, node_id: i32, host: &mut Str<'_>, port: &mut impl Port) {
    if let Some((new_host, new_port)) = change(node_id, host, port.get()) {
        *host = new_host.into();
        port.set(new_port);
    }
}

/// The body decoded, changed and encoded, and whether without the change it comes back as it was.
fn by_decoding(body: &Body, change: Change) -> Option<Result<(Vec<u8>, bool), DecodeError>> {
    let v = body.version;
    macro_rules! nodes {
        ($message:ident, |$m:ident| $change:expr) => {
            $message::decode(&body.bytes, v).map(|mut $m| {
                let is_plain = $m.encode_to_vec(v).is_ok_and(|bytes| bytes == body.bytes);
                $change;
                // What was read may be such that it cannot be written.
                ($m.encode_to_vec(v).unwrap_or_default(), is_plain)
            })
        };
        ($message:ident, $nodes:ident, $id:ident) => {
            nodes!($message, |m| for node in &mut m.$nodes {
                set(change, node.$id, &mut node.host, &mut node.port);
            })
        };
    }
    Some(match &*body.message {
        "ProduceResponse" => nodes!(ProduceResponse, node_endpoints, node_id),
        "FetchResponse" => nodes!(FetchResponse, node_endpoints, node_id),
        "MetadataResponse" => nodes!(MetadataResponse, brokers, node_id),
        "FindCoordinatorResponse" if v <= 3 => nodes!(FindCoordinatorResponse, |m| {
            set(change, m.node_id, &mut m.host, &mut m.port)
        }),
        "FindCoordinatorResponse" => nodes!(FindCoordinatorResponse, coordinators, node_id),
        "VoteResponse" => nodes!(VoteResponse, node_endpoints, node_id),
        "BeginQuorumEpochResponse" => nodes!(BeginQuorumEpochResponse, node_endpoints, node_id),
        "EndQuorumEpochResponse" => nodes!(EndQuorumEpochResponse, node_endpoints, node_id),
        "DescribeQuorumResponse" => nodes!(DescribeQuorumResponse, |m| for node in &mut m.nodes {
            for listener in &mut node.listeners {
                set(change, node.node_id, &mut listener.host, &mut listener.port);
            }
        }),
        "FetchSnapshotResponse" => nodes!(FetchSnapshotResponse, node_endpoints, node_id),
        "DescribeClusterResponse" => nodes!(DescribeClusterResponse, brokers, broker_id),
        "ShareFetchResponse" => nodes!(ShareFetchResponse, node_endpoints, node_id),
        "ShareAcknowledgeResponse" => nodes!(ShareAcknowledgeResponse, node_endpoints, node_id),
        "UpdateRaftVoterResponse" => nodes!(UpdateRaftVoterResponse, |m| {
            // At its default it is not on the wire.
            if m.current_leader != Default::default() {
                let leader = &mut m.current_leader;
                set(change, leader.leader_id, &mut leader.host, &mut leader.port);
            }
        }),
        _ => return None,
    })
}

fn api_key(message: &str) -> ApiKey {
    ApiKey::from_name(message.strip_suffix("Response").unwrap()).unwrap()
}

/// Both ways to splice, which have to agree.
fn by_splicing(body: &Body, change: Change) -> Result<(Vec<u8>, usize), RewriteError> {
    let (key, version) = (api_key(&body.message), body.version);
    let mut out = b"before".to_vec();
    let copied = endpoints(key, version, &body.bytes, &mut out, |n| {
        change(n.node_id, n.host, n.port)
    });
    let mut bytes = body.bytes.clone();
    let in_place = endpoints_in_place(key, version, &mut bytes, |n| {
        change(n.node_id, n.host, n.port)
    });
    assert_eq!(copied, in_place);
    match copied {
        Ok(changed) => {
            assert_eq!((&out[..6], &out[6..]), (&b"before"[..], &bytes[..]));
            Ok((bytes, changed))
        }
        Err(error) => {
            assert_eq!(out, b"before");
            Err(error)
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    bodies: usize,
    changed: usize,
    refused: usize,
    odd: usize,
    later: usize,
}

fn hold(body: &Body, change: Change, counts: &mut Counts) {
    let decoded = by_decoding(body, change).unwrap();
    let context = || format!("{} v{}", body.message, body.version);
    match (decoded, by_splicing(body, change)) {
        (Ok((expected, true)), spliced) => {
            let (bytes, changed) = spliced.unwrap_or_else(|error| panic!("{}: {error}", context()));
            assert_eq!(bytes, expected, "{}", context());
            counts.changed += changed;
        }
        // Encoded unlike Kafka does it: what is not changed stays so, and the values are the same.
        (Ok((expected, false)), spliced) => {
            let (bytes, _) = spliced.unwrap_or_else(|error| panic!("{}: {error}", context()));
            let spliced = Body {
                message: body.message.clone(),
                version: body.version,
                bytes,
            };
            let (again, _) = by_decoding(&spliced, |_, _, _| None).unwrap().unwrap();
            assert_eq!(again, expected, "{}", context());
            counts.odd += 1;
        }
        (Err(error), Err(spliced)) => {
            assert_eq!(spliced, RewriteError::Decode(error), "{}", context());
            counts.refused += 1;
        }
        (Err(_), Ok(_)) => counts.later += 1,
    }
}

#[test]
fn endpoints_of_the_corpora() {
    let mut counts = Counts::default();
    let mut seen = BTreeSet::new();
    for body in bodies() {
        if by_decoding(&body, |_, _, _| None).is_none() {
            continue;
        }
        counts.bodies += 1;
        let before = counts.changed;
        CHANGES
            .iter()
            .for_each(|change| hold(&body, *change, &mut counts));
        if counts.changed > before {
            seen.insert(body.message);
        }
    }
    println!("{counts:?}");
    // Java's own bytes: nothing odd but what the corpus has odd, and nothing refused.
    assert_eq!((counts.refused, counts.later), (0, 0));
    assert!(counts.bodies > 500 && counts.changed > 1000);
    // Every API has been changed.
    assert_eq!(seen.len(), ENDPOINT_APIS.len(), "{seen:?}");
}

#[test]
fn endpoints_of_damaged_responses() {
    let mut counts = Counts::default();
    let mut numbers = Numbers(11);
    for body in bodies() {
        if by_decoding(&body, |_, _, _| None).is_none() {
            continue;
        }
        for bytes in damaged(&body.bytes, &mut numbers) {
            counts.bodies += 1;
            let body = Body {
                message: body.message.clone(),
                version: body.version,
                bytes,
            };
            hold(&body, CHANGES[numbers.below(CHANGES.len())], &mut counts);
        }
    }
    println!("{counts:?}");
    assert!(counts.refused > 1000 && counts.odd > 100);
}

#[test]
fn bad_calls() {
    let new = || ("h", 1);
    let mut body = vec![1, 2, 3];
    // No nodes in it: as it was, whatever it is.
    assert_eq!(
        endpoints_in_place(ApiKey::HEARTBEAT, 99, &mut body, |_| Some(new())),
        Ok(0)
    );
    assert_eq!(
        endpoints_in_place(ApiKey(999), 0, &mut body, |_| Some(new())),
        Ok(0)
    );
    assert_eq!(body, [1, 2, 3]);
    assert!(endpoints_in_place(ApiKey::METADATA, 99, &mut body, |_| Some(new())).is_err());
    let response = MetadataResponse {
        brokers: vec![Default::default()],
        ..Default::default()
    };
    let body = response.encode_to_vec(9).unwrap();
    let mut out = vec![7];
    let long = "h".repeat(32_768);
    let result = endpoints(ApiKey::METADATA, 9, &body, &mut out, |_| Some((&long, 1)));
    assert_eq!(
        (result, out),
        (Err(RewriteError::HostTooLong { len: 32_768 }), vec![7])
    );
}

macro_rules! schemas {
    ($($name:ident),* $(,)?) => {
        &[$(<kwire_protocol::messages::$name as Message>::SCHEMA),*]
    };
}

/// Every struct of a response with a host and a port is rewritten, or left out for a reason.
#[test]
fn no_response_with_endpoints_is_forgotten() {
    let schemas: &[&Schema] = kwire_protocol::for_each_message!(schemas);
    let mut found = BTreeSet::new();
    for schema in schemas
        .iter()
        .filter(|schema| schema.kind == Kind::Response)
    {
        let endpoints = schema.structs.iter().filter(|structure| {
            let has = |word: &str, is: fn(FieldType) -> bool| {
                let mut fields = structure.fields.iter();
                fields.any(|field| field.name.to_lowercase().contains(word) && is(field.ty))
            };
            has("host", |ty| ty == FieldType::String)
                && has("port", |ty| {
                    !matches!(ty, FieldType::String | FieldType::Array(_))
                })
        });
        let count = endpoints.count();
        // Of two layouts each is a struct.
        assert_eq!(
            count == 2,
            schema.name == "FindCoordinatorResponse",
            "{}",
            schema.name
        );
        if count > 0 {
            found.insert(ApiKey(schema.api_key.unwrap()));
        }
    }
    for applications in [
        ApiKey::STREAMS_GROUP_HEARTBEAT,
        ApiKey::STREAMS_GROUP_DESCRIBE,
    ] {
        assert!(found.remove(&applications));
        assert!(!rewrite::has_endpoints(applications));
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ENDPOINT_APIS);
}

type Keep = fn(ApiKey, VersionRange) -> Option<VersionRange>;

const KEEPS: [Keep; 5] = [
    |_, range| Some(range),
    |_, _| None,
    |key, range| (key.0 % 2 == 0).then_some(range),
    |_, range| Some(VersionRange::new(range.lowest.max(1), range.highest.min(7))),
    |key, range| {
        SupportedVersions::stable()
            .get(key)
            .map(|ours| ours.intersect(range))
    },
];

fn narrowed(asked: i16, body: &[u8], keep: Keep) -> Result<(i16, Vec<u8>, bool), DecodeError> {
    let (version, mut response) = decode_api_versions_response(asked, body, &Limits::DEFAULT)?;
    let is_plain = response
        .encode_to_vec(version)
        .is_ok_and(|bytes| bytes == body);
    response.api_keys.retain_mut(|api| {
        let range = VersionRange::new(api.min_version, api.max_version);
        let Some(range) = keep(ApiKey(api.api_key), range) else {
            return false;
        };
        (api.min_version, api.max_version) = (range.lowest, range.highest);
        true
    });
    Ok((
        version,
        response.encode_to_vec(version).unwrap_or_default(),
        is_plain,
    ))
}

fn hold_versions(asked: i16, body: &[u8], keep: Keep) -> bool {
    let mut out = b"before".to_vec();
    let spliced = api_versions(asked, body, &mut out, keep);
    match narrowed(asked, body, keep) {
        Ok((version, expected, is_plain)) => {
            assert_eq!((spliced, &out[..6]), (Ok(version), &b"before"[..]));
            if is_plain {
                assert_eq!(&out[6..], expected);
            } else {
                let (_, again, _) = narrowed(asked, &out[6..], |_, range| Some(range)).unwrap();
                assert_eq!(again, expected);
            }
            true
        }
        Err(error) => {
            if spliced.is_err() {
                assert_eq!((spliced, &out[..]), (Err(error), &b"before"[..]));
            } else {
                // The one thing that is not looked at.
                assert!(error.to_string().contains("UTF-8"), "{error}");
            }
            false
        }
    }
}

fn many(apis: i16) -> ApiVersionsResponse<'static> {
    let api = |api_key| api_versions_response::ApiVersion {
        api_key,
        max_version: api_key % 19,
        ..Default::default()
    };
    ApiVersionsResponse {
        api_keys: (0..apis).map(api).collect(),
        ..Default::default()
    }
}

#[test]
fn api_versions_are_narrowed() {
    let mut numbers = Numbers(13);
    let (mut held, mut refused) = (0, 0);
    let corpus = bodies()
        .into_iter()
        .filter(|body| body.message == "ApiVersionsResponse");
    let corpus = corpus.map(|body| (body.version, body.bytes));
    // The length takes another byte from 127 on.
    let made = [0, 1, 126, 127, 128, 300].into_iter().flat_map(|apis| {
        (0..=5).map(move |version| (version, many(apis).encode_to_vec(version).unwrap()))
    });
    // What a broker answers that lacks the version.
    let old = (0..=5).map(|asked| (asked, vec![0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 3]));
    for (asked, body) in corpus.chain(made).chain(old) {
        for keep in KEEPS {
            assert!(hold_versions(asked, &body, keep) || body.len() == 12);
            held += 1;
        }
        for body in damaged(&body, &mut numbers) {
            let keep = KEEPS[numbers.below(KEEPS.len())];
            refused += usize::from(!hold_versions(asked, &body, keep));
        }
    }
    println!("{held} responses narrowed, {refused} damaged ones refused");
    assert!(held > 200 && refused > 200);
}

#[test]
fn clamping_leaves_what_both_have() {
    let ours = SupportedVersions::stable()
        .narrow(ApiKey::FETCH, VersionRange::new(4, 12))
        .retain(|key| key == ApiKey::FETCH || key == ApiKey::METADATA || key == ApiKey::VOTE);
    let theirs = [(1, 0, 17), (3, 99, 100), (52, 0, 2), (999, 0, 1)];
    let mut response = many(0);
    response.api_keys = theirs
        .map(
            |(api_key, min_version, max_version)| api_versions_response::ApiVersion {
                api_key,
                min_version,
                max_version,
                ..Default::default()
            },
        )
        .to_vec();
    let body = response.encode_to_vec(3).unwrap();
    let mut out = Vec::new();
    assert_eq!(clamp_api_versions(3, &body, &ours, &mut out), Ok(3));
    let seen = ApiVersionsResponse::decode(&out, 3).unwrap();
    let seen: Vec<_> = seen
        .api_keys
        .iter()
        .map(|a| (a.api_key, a.min_version, a.max_version))
        .collect();
    let vote = ours.get(ApiKey::VOTE).unwrap();
    assert_eq!(seen, [(1, 4, 12), (52, 0, vote.highest.min(2))]);
}
