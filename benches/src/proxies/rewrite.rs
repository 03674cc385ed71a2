//! Changing a little in responses.

use std::hint::black_box;

use bytes::BytesMut;
use kwire_protocol::ApiKey;
use kwire_protocol::negotiate::SupportedVersions;
use kwire_protocol::rewrite;

use super::passing::passing;
use super::{Body, Case, KWIRE, body};
use crate::cases;
use crate::peers::keep;
use crate::timing::{Entry, Operation};

const REWRITE: Operation = Operation::Rewrite;
/// As long as a broker's name, so that it can be put in the place of one.
const HOST: &str = "kproxy-1.example.com";
/// Longer, so that it cannot.
const LONGER_HOST: &str = "kafka-proxy-1.eu-west-1.example.com";
const PORT: u16 = 19_092;

/// Those who put addresses into a decoded message.
macro_rules! addressed {
    ($message:ident $module:ident $nodes:ident, $body:expr, $expected:expr, $host:expr) => {
        passing!(REWRITE, $message $module, $body, $expected, |value| {
            for node in &mut value.$nodes {
                node.host = black_box($host).into();
                node.port = i32::from(PORT);
            }
        })
    };
}

/// The ways to put addresses into a message.
macro_rules! endpoints {
    ($names:expr, $key:expr, $message:ident $module:ident $nodes:ident, $body:expr) => {{
        let body: Body = $body;
        let [longer_name, name, in_place_name] = $names;
        let longer = into_buffer($key, body, LONGER_HOST);
        let same = into_buffer($key, body, HOST);
        let (mut expected_longer, mut expected) = (Vec::new(), Vec::new());
        longer(&mut expected_longer);
        same(&mut expected);
        let (mut longer_out, mut out) = (Vec::new(), Vec::new());
        let mut into_longer = addressed!($message $module $nodes, body, &expected_longer, LONGER_HOST);
        into_longer.insert(
            0,
            Entry::new(REWRITE, KWIRE, move || longer(&mut longer_out)),
        );
        let mut into = addressed!($message $module $nodes, body, &expected, HOST);
        into.insert(0, Entry::new(REWRITE, KWIRE, move || same(&mut out)));
        let mut place = addressed!($message $module $nodes, body, &expected, HOST);
        place.insert(0, in_place($key, body, &expected));
        [
            (longer_name, into_longer),
            (name, into),
            (in_place_name, place),
        ]
    }};
}

#[rustfmt::skip]
pub fn cases() -> Vec<Case> {
    let metadata = body(&cases::metadata(), 12);
    let coordinator = body(&cases::find_coordinator(), 4);
    let cluster = body(&cases::describe_cluster(), 1);
    let mut cases = Vec::new();
    cases.extend(endpoints!(
        ["endpoints, longer, of MetadataResponse (d)", "endpoints of MetadataResponse (d)", "endpoints in place of MetadataResponse (d)"],
        ApiKey::METADATA, MetadataResponse metadata_response brokers, metadata
    ));
    cases.extend(endpoints!(
        ["endpoints, longer, of FindCoordinatorResponse", "endpoints of FindCoordinatorResponse", "endpoints in place of FindCoordinatorResponse"],
        ApiKey::FIND_COORDINATOR, FindCoordinatorResponse find_coordinator_response coordinators, coordinator
    ));
    cases.extend(endpoints!(
        ["endpoints, longer, of DescribeClusterResponse", "endpoints of DescribeClusterResponse", "endpoints in place of DescribeClusterResponse"],
        ApiKey::DESCRIBE_CLUSTER, DescribeClusterResponse describe_cluster_response brokers, cluster
    ));
    cases.push(("versions of ApiVersionsResponse (g)", versions()));
    cases
}

/// kwire's way into a buffer that is used again.
fn into_buffer(key: ApiKey, (body, version): Body, host: &'static str) -> impl Fn(&mut Vec<u8>) {
    move |out| {
        out.clear();
        rewrite::endpoints(
            black_box(key),
            black_box(version),
            black_box(body),
            out,
            |_| Some((black_box(host), PORT)),
        )
        .expect("rewrites");
        black_box(out);
    }
}

/// kwire's way without a second buffer, over and over in the same bytes.
fn in_place(key: ApiKey, (body, version): Body, expected: &[u8]) -> Entry<'static> {
    let mut bytes = body.to_vec();
    let mut pass = move || {
        let done = rewrite::endpoints_in_place(
            black_box(key),
            black_box(version),
            black_box(&mut bytes),
            |_| Some((black_box(HOST), PORT)),
        );
        black_box(&bytes);
        (done.expect("rewrites"), bytes.as_ptr())
    };
    let before = pass();
    assert_eq!(pass(), before);
    let mut once = body.to_vec();
    rewrite::endpoints_in_place(key, version, &mut once, |_| Some((HOST, PORT))).expect("rewrites");
    assert!(once == expected, "the bytes in place differ");
    Entry::new(REWRITE, KWIRE, pass)
}

/// Takes away what a proxy does not speak.
fn versions() -> Vec<Entry<'static>> {
    let message = body(&cases::api_versions(), 4);
    let (body, version) = message;
    let ours: &'static SupportedVersions = keep(SupportedVersions::stable());
    let mut table = [None; 128];
    for (key, range) in ours.iter() {
        table[key.0 as usize] = Some((range.lowest, range.highest));
    }
    let table = keep(table);
    let mut expected = Vec::new();
    rewrite::clamp_api_versions(version, body, ours, &mut expected).expect("rewrites");
    let mut entries = passing!(REWRITE, ApiVersionsResponse api_versions_response, message, &expected, |value| {
        value.api_keys.retain_mut(|api| {
            match table.get(api.api_key as usize).copied().flatten() {
                Some((lowest, highest)) => {
                    api.min_version = api.min_version.max(lowest);
                    api.max_version = api.max_version.min(highest);
                    api.min_version <= api.max_version
                }
                None => false,
            }
        })
    });
    let mut out = Vec::new();
    let clamp = Entry::new(REWRITE, KWIRE, move || {
        out.clear();
        let done = rewrite::clamp_api_versions(black_box(version), black_box(body), ours, &mut out);
        black_box(&out);
        done
    });
    entries.insert(0, clamp);
    entries
}
