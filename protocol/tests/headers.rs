//! The header versions of every API and version, as Java's `ApiMessageType` has them.

use std::path::Path;

use kwire_protocol::ApiKey;
use kwire_protocol::api::APIS;
use kwire_protocol::frame::{decode_request_header, decode_response_header};
use kwire_protocol::schema::VersionRange;

const RELEASES: [&str; 4] = ["k282", "k392", "k431", "k440"];

/// APIs that had other names: the release, that name, and today's.
const RENAMED: &[(&str, &str, &str)] = &[
    ("k282", "AlterIsr", "AlterPartition"),
    ("k392", "ListClientMetricsResources", "ListConfigResources"),
];

/// Versions of releases that the table lacks: none, as it has the removed ones too.
const ABSENT: &[(&str, &str, VersionRange)] = &[];

/// A line of the fixtures.
struct Row {
    key: ApiKey,
    name: String,
    versions: VersionRange,
    requests: Vec<i16>,
    responses: Vec<i16>,
}

fn rows(release: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/java")
        .join(format!("headers-{release}.txt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let digits = |text: &str| text.bytes().map(|digit| i16::from(digit - b'0')).collect();
    let row = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [key, name, versions, "req", requests, "resp", responses] = words[..] else {
            panic!("{release}: {line}");
        };
        let (lowest, highest) = versions.split_once('-').unwrap();
        let row = Row {
            key: ApiKey(key.parse().unwrap()),
            name: name.to_owned(),
            versions: VersionRange::new(lowest.parse().unwrap(), highest.parse().unwrap()),
            requests: digits(requests),
            responses: digits(responses),
        };
        assert_eq!(
            row.requests.len() as i16,
            row.versions.highest - row.versions.lowest + 1
        );
        assert_eq!(row.responses.len(), row.requests.len());
        row
    };
    text.lines().map(row).collect()
}

#[test]
fn as_java_says() {
    let mut absent = Vec::new();
    let mut renamed = Vec::new();
    let mut wrong = Vec::new();
    for release in RELEASES {
        let (mut apis, mut pairs) = (0, 0);
        for row in rows(release) {
            apis += 1;
            let Some(info) = row.key.info() else {
                absent.push((release, row.name, row.versions));
                continue;
            };
            if info.name != row.name {
                renamed.push((release, row.name.clone(), info.name));
            }
            let versions = row.versions.lowest..=row.versions.highest;
            let headers = row.requests.iter().zip(&row.responses);
            for (version, (request, response)) in versions.zip(headers) {
                pairs += 1;
                if !info.versions.contains(version) {
                    let version = VersionRange::new(version, version);
                    absent.push((release, row.name.clone(), version));
                    continue;
                }
                let java = (Some(*request), Some(*response));
                let table = (
                    info.request_header_version(version),
                    info.response_header_version(version),
                );
                let decoded = (
                    request_header_version(row.key, version),
                    response_header_version(row.key, version),
                );
                if table != java || decoded != java {
                    wrong.push(format!(
                        "{release}: {} v{version}: Java has {java:?}, the table {table:?}, \
                         decoding {decoded:?}",
                        row.name
                    ));
                }
            }
        }
        println!("{release}: {apis} APIs, {pairs} versions");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let absent: Vec<_> = absent
        .iter()
        .map(|(release, name, versions)| (*release, name.as_str(), *versions))
        .collect();
    assert_eq!(absent, ABSENT);
    let renamed: Vec<_> = renamed
        .iter()
        .map(|(release, name, today)| (*release, name.as_str(), *today))
        .collect();
    assert_eq!(renamed, RENAMED);
}

#[test]
fn every_version_of_the_table_is_of_some_release() {
    let rows: Vec<Row> = RELEASES.into_iter().flat_map(rows).collect();
    for info in APIS {
        for version in info.versions.lowest..=info.versions.highest {
            assert!(
                rows.iter()
                    .any(|row| row.key == info.key && row.versions.contains(version)),
                "no release has {} v{version}",
                info.name
            );
        }
    }
}

/// The version at which the header of a request is read.
fn request_header_version(key: ApiKey, version: i16) -> Option<i16> {
    let mut bytes = Vec::new();
    bytes.extend(key.0.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    // A correlation id, and either no client id or the empty one, and no tagged fields.
    bytes.extend([0, 0, 0, 9, 0, 0, 0]);
    let parts = decode_request_header(&bytes).ok()?;
    let taken = [8, 10, 11][parts.header_version as usize];
    assert_eq!(parts.body, &bytes[taken..]);
    assert_eq!(parts.header.correlation_id, 9);
    Some(parts.header_version)
}

/// The version at which the header of a response is read.
fn response_header_version(key: ApiKey, version: i16) -> Option<i16> {
    let bytes = [0, 0, 0, 9, 0];
    let parts = decode_response_header(key, version, &bytes).ok()?;
    let taken = [4, 5][parts.header_version as usize];
    assert_eq!(parts.body, &bytes[taken..]);
    assert_eq!(parts.header.correlation_id, 9);
    Some(parts.header_version)
}
