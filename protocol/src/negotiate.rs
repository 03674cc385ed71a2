//! Which version of each API two nodes speak with each other (KIP-35, KIP-511).
//!
//! The client's side: send an ApiVersions request at the highest version there is, give the
//! response's body to [`ApiVersionsAnswer::decode`], ask again if it says so, and look versions
//! up in [`Negotiated`]. The server's side: [`SupportedVersions::answer`].
//!
//! ```
//! use kwire_protocol::ApiKey;
//! use kwire_protocol::messages::ApiVersionsRequest;
//! use kwire_protocol::negotiate::{ApiVersionsAnswer, Negotiated, SupportedVersions};
//! use kwire_protocol::schema::VersionRange;
//! use kwire_protocol::{Limits, Message};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A server that has Fetch up to version 12 only, and is asked at a version to come.
//! let server = SupportedVersions::stable().narrow(ApiKey::FETCH, VersionRange::new(0, 12));
//! let (version, answer) = server.answer(99);
//! let body = answer.encode_to_vec(version)?;
//!
//! // The client is told to ask again, and does.
//! let version = match ApiVersionsAnswer::decode(99, &body, &Limits::DEFAULT)? {
//!     ApiVersionsAnswer::AskAgain { version } => version,
//!     other => panic!("{other:?}"),
//! };
//! let (_, answer) = server.answer(version);
//!
//! let negotiated = Negotiated::new(SupportedVersions::stable(), &answer);
//! assert_eq!(negotiated.version(ApiKey::FETCH)?, 12);
//! assert_eq!(negotiated.version_of::<ApiVersionsRequest>()?, 5);
//! # Ok(())
//! # }
//! ```

use std::fmt;

use crate::api::APIS;
use crate::messages::ApiVersionsResponse;
use crate::messages::api_versions_response::ApiVersion;
use crate::runtime::{DecodeError, Limits, Message, Request};
use crate::schema::VersionRange;
use crate::{ApiKey, ErrorCode};

/// Ranges by API, ascending, each API once.
type Ranges = Vec<(ApiKey, VersionRange)>;

#[inline]
fn find(ranges: &Ranges, api_key: ApiKey) -> Option<VersionRange> {
    let row = ranges
        .binary_search_by_key(&api_key, |(key, _)| *key)
        .ok()?;
    ranges.get(row).map(|(_, range)| *range)
}

/// The APIs that a node speaks, and the versions of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupportedVersions {
    ranges: Ranges,
}

impl SupportedVersions {
    /// All that this crate can read and write, but for the highest version of an API where
    /// Kafka still changes that.
    #[inline]
    pub fn stable() -> SupportedVersions {
        SupportedVersions::of(false)
    }

    /// All that this crate can read and write, unstable versions too.
    #[inline]
    pub fn all() -> SupportedVersions {
        SupportedVersions::of(true)
    }

    #[inline]
    fn of(unstable: bool) -> SupportedVersions {
        let ranges = APIS.iter().map(|info| {
            let VersionRange { lowest, highest } = info.versions;
            let drop = i16::from(info.latest_version_unstable && !unstable);
            (info.key, VersionRange::new(lowest, highest - drop))
        });
        SupportedVersions {
            ranges: ranges.filter(|(_, range)| !range.is_empty()).collect(),
        }
    }

    /// Keeps only the versions of an API that are in `range` too; without any the API goes.
    #[must_use]
    #[inline]
    pub fn narrow(mut self, api_key: ApiKey, range: VersionRange) -> SupportedVersions {
        for (key, ours) in &mut self.ranges {
            if *key == api_key {
                *ours = ours.intersect(range);
            }
        }
        self.ranges.retain(|(_, range)| !range.is_empty());
        self
    }

    /// Keeps only the APIs for which `keep` is true.
    #[must_use]
    #[inline]
    pub fn retain(mut self, mut keep: impl FnMut(ApiKey) -> bool) -> SupportedVersions {
        self.ranges.retain(|(key, _)| keep(*key));
        self
    }

    /// The versions of an API, of which there is at least one; `None` if it is not supported.
    #[inline]
    pub fn get(&self, api_key: ApiKey) -> Option<VersionRange> {
        find(&self.ranges, api_key)
    }

    /// As [`SupportedVersions::get`], for keys that are asked for in order: looks at `next` first,
    /// and leaves there where the next key may be.
    #[inline]
    pub(crate) fn get_next(&self, next: &mut usize, api_key: ApiKey) -> Option<VersionRange> {
        if self
            .ranges
            .get(*next)
            .is_none_or(|(key, _)| *key != api_key)
        {
            let place = self.ranges.binary_search_by_key(&api_key, |(key, _)| *key);
            *next = place.ok()?;
        }
        let (_, range) = self.ranges.get(*next)?;
        *next += 1;
        Some(*range)
    }

    /// The APIs and their versions, by key.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (ApiKey, VersionRange)> {
        self.ranges.iter().copied()
    }

    /// The APIs and their versions as an ApiVersions response lists them.
    #[inline]
    pub fn to_api_keys(&self) -> Vec<ApiVersion> {
        self.iter().map(api_version).collect()
    }

    /// What a server answers to an ApiVersions request of some version: the response, and the
    /// version at which to encode it. Its header has version 0 in any case.
    ///
    /// If the version is not supported, that is error 35 at version 0, with the supported
    /// versions of ApiVersions alone (KIP-511). Such a request's body must not be decoded. Otherwise
    /// it is the list of all APIs; features and throttling time are left to the caller.
    #[inline]
    pub fn answer(&self, requested_version: i16) -> (i16, ApiVersionsResponse<'static>) {
        let ours = self.get(ApiKey::API_VERSIONS);
        let mut response = ApiVersionsResponse::default();
        if ours.is_some_and(|range| range.contains(requested_version)) {
            response.api_keys = self.to_api_keys();
            return (requested_version, response);
        }
        response.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
        let listed = ours.map(|range| api_version((ApiKey::API_VERSIONS, range)));
        response.api_keys = listed.into_iter().collect();
        (0, response)
    }
}

#[inline]
fn api_version((key, range): (ApiKey, VersionRange)) -> ApiVersion {
    ApiVersion {
        api_key: key.0,
        min_version: range.lowest,
        max_version: range.highest,
        ..ApiVersion::default()
    }
}

/// The versions that both ends of a connection have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    ours: SupportedVersions,
    theirs: Ranges,
}

impl Negotiated {
    /// What we and the sender of an ApiVersions response have in common. Its error code is not
    /// looked at; see [`ApiVersionsAnswer`].
    #[inline]
    pub fn new(ours: SupportedVersions, response: &ApiVersionsResponse<'_>) -> Negotiated {
        let theirs = response.api_keys.iter().map(|api| {
            let range = VersionRange::new(api.min_version, api.max_version);
            (ApiKey(api.api_key), range)
        });
        Negotiated::from_ranges(ours, theirs)
    }

    /// As [`Negotiated::new`], from their ranges. Of an API that comes twice the last counts, as
    /// in Java; one whose lowest version is above its highest has no version in common with ours.
    #[inline]
    pub fn from_ranges(
        ours: SupportedVersions,
        theirs: impl IntoIterator<Item = (ApiKey, VersionRange)>,
    ) -> Negotiated {
        let mut theirs: Ranges = theirs.into_iter().collect();
        // The sort is stable: reversed, the last of equal keys comes first and stays.
        theirs.reverse();
        theirs.sort_by_key(|(key, _)| *key);
        theirs.dedup_by_key(|(key, _)| *key);
        Negotiated { ours, theirs }
    }

    /// The highest version of an API that both ends have.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn version(&self, api_key: ApiKey) -> Result<i16, NoCommonVersion> {
        let ours = self.ours.get(api_key);
        let theirs = find(&self.theirs, api_key);
        let error = NoCommonVersion {
            api_key,
            ours,
            theirs,
        };
        let common = ours
            .zip(theirs)
            .map(|(ours, theirs)| ours.intersect(theirs));
        match common {
            // Their range may be reversed, and ours inside it out.
            Some(common) if !common.is_empty() => Ok(common.highest),
            _ => Err(error),
        }
    }

    /// The highest version of a request that both ends have.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn version_of<R: Request>(&self) -> Result<i16, NoCommonVersion> {
        self.version(R::API_KEY)
    }

    /// Our versions of every API.
    #[inline]
    pub fn ours(&self) -> &SupportedVersions {
        &self.ours
    }

    /// Their versions of an API, whether we know it or not; possibly reversed.
    #[inline]
    pub fn theirs(&self, api_key: ApiKey) -> Option<VersionRange> {
        find(&self.theirs, api_key)
    }

    /// The APIs with a version in common, by key, and the highest such version of each.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (ApiKey, i16)> {
        self.ours
            .iter()
            .filter_map(|(key, _)| Some((key, self.version(key).ok()?)))
    }
}

/// An API of which two nodes have no version in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCommonVersion {
    /// The API.
    pub api_key: ApiKey,
    /// Our versions; `None` if we do not have the API.
    pub ours: Option<VersionRange>,
    /// Their versions; `None` if they do not have the API.
    pub theirs: Option<VersionRange>,
}

impl fmt::Display for NoCommonVersion {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.api_key)?;
        match (self.theirs, self.ours) {
            (Some(theirs), Some(ours)) => write!(f, "the broker has {theirs}, we have {ours}"),
            (None, Some(ours)) => write!(f, "the broker lacks this API, we have {ours}"),
            (Some(theirs), None) => write!(f, "the broker has {theirs}, we lack this API"),
            (None, None) => f.write_str("neither the broker nor we have this API"),
        }
    }
}

impl std::error::Error for NoCommonVersion {}

/// What an ApiVersions response means to the client that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiVersionsAnswer<'a> {
    /// The broker's versions: see [`Negotiated::new`].
    Versions(ApiVersionsResponse<'a>),
    /// The broker lacks the version of the request; ask again at this one, which is lower.
    AskAgain {
        /// The version.
        version: i16,
    },
    /// The broker refuses, and asking again does not help.
    Refused(ErrorCode),
}

impl<'a> ApiVersionsAnswer<'a> {
    /// Reads the body of the response to an ApiVersions request of version `asked`.
    ///
    /// # Errors
    /// When it is malformed or passes the limits.
    #[inline]
    pub fn decode(
        asked: i16,
        body: &'a [u8],
        limits: &Limits,
    ) -> Result<ApiVersionsAnswer<'a>, DecodeError> {
        let (_, response) = decode_api_versions_response(asked, body, limits)?;
        Ok(ApiVersionsAnswer::of(asked, response))
    }

    /// Judges the response to an ApiVersions request of version `asked`.
    ///
    /// With error 35 the client falls back to the highest version of ApiVersions that the
    /// response lists, or to 0 if it lists none, as brokers before 2.4 do (KIP-511). A broker
    /// that lists no version below `asked` is not asked again, so that this comes to an end.
    #[inline]
    pub fn of(asked: i16, response: ApiVersionsResponse<'a>) -> ApiVersionsAnswer<'a> {
        let error = ErrorCode(response.error_code);
        if !error.is_error() {
            return ApiVersionsAnswer::Versions(response);
        }
        let mut listed = response.api_keys.iter().rev();
        let listed = listed.find(|api| ApiKey(api.api_key) == ApiKey::API_VERSIONS);
        let version = listed.map_or(0, |api| api.max_version);
        if error == ErrorCode::UNSUPPORTED_VERSION && (0..asked).contains(&version) {
            ApiVersionsAnswer::AskAgain { version }
        } else {
            ApiVersionsAnswer::Refused(error)
        }
    }
}

/// Reads the body of the response to an ApiVersions request of version `asked`, and gives the
/// version at which it was read: 0 if the broker lacks `asked` (KIP-511). Kafka's test raft server
/// answers so without saying that it lacks it, and all other versions are in that answer.
///
/// # Errors
/// When it is malformed or passes the limits.
#[inline]
pub fn decode_api_versions_response<'a>(
    asked: i16,
    body: &'a [u8],
    limits: &Limits,
) -> Result<(i16, ApiVersionsResponse<'a>), DecodeError> {
    // The error code comes first in every version.
    let unsupported = body.starts_with(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
    if unsupported && asked != 0 {
        match ApiVersionsResponse::decode_with(body, 0, limits) {
            Ok(response) => return Ok((0, response)),
            // Possibly the error at the version asked for. If it is not, this is the better error.
            Err(error) => {
                return ApiVersionsResponse::decode_with(body, asked, limits)
                    .map(|response| (asked, response))
                    .map_err(|_| error);
            }
        }
    }
    match ApiVersionsResponse::decode_with(body, asked, limits) {
        Ok(response) => Ok((asked, response)),
        // No body is one at version 0 and at another: a count of four bytes begins with a 0, which
        // is a null where it has one, and between, versions are longer.
        Err(error) if asked != 0 && ApiVersionsResponse::SCHEMA.versions.contains(asked) => {
            let at_0 = ApiVersionsResponse::decode_with(body, 0, limits);
            at_0.map(|response| (0, response)).map_err(|_| error)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FETCH: ApiKey = ApiKey::FETCH;

    fn with(theirs: &[(ApiKey, i16, i16)]) -> Negotiated {
        let theirs = theirs
            .iter()
            .map(|(key, lowest, highest)| (*key, VersionRange::new(*lowest, *highest)));
        let ours = SupportedVersions::stable().narrow(FETCH, VersionRange::new(4, 18));
        Negotiated::from_ranges(ours, theirs)
    }

    #[test]
    fn a_server_that_answers_at_version_0_and_does_not_say_so() {
        let (_, response) = SupportedVersions::stable().answer(4);
        let body = response.encode_to_vec(0).unwrap();
        for asked in 0..=5 {
            let answer = ApiVersionsAnswer::decode(asked, &body, &Limits::DEFAULT).unwrap();
            let ApiVersionsAnswer::Versions(read) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!(read.api_keys.len(), response.api_keys.len(), "{asked}");
            let cut = &body[..body.len() - 1];
            assert!(ApiVersionsAnswer::decode(asked, cut, &Limits::DEFAULT).is_err());
        }
    }

    fn refusal(theirs: &[(ApiKey, i16, i16)], api_key: ApiKey) -> String {
        with(theirs).version(api_key).unwrap_err().to_string()
    }

    #[test]
    fn the_highest_common_version() {
        assert_eq!(with(&[(FETCH, 0, 12)]).version(FETCH), Ok(12));
        assert_eq!(with(&[(FETCH, 0, 4)]).version(FETCH), Ok(4));
        assert_eq!(with(&[(FETCH, 18, 30)]).version(FETCH), Ok(18));
        assert_eq!(with(&[(FETCH, i16::MIN, i16::MAX)]).version(FETCH), Ok(18));
        let negotiated = with(&[
            (ApiKey(999), 0, 1),
            (ApiKey::API_VERSIONS, 0, 4),
            (FETCH, 0, 5),
        ]);
        assert_eq!(
            negotiated.iter().collect::<Vec<_>>(),
            [(FETCH, 5), (ApiKey::API_VERSIONS, 4)]
        );
        assert_eq!(
            negotiated.theirs(ApiKey(999)),
            Some(VersionRange::new(0, 1))
        );
        assert_eq!(negotiated.ours().get(FETCH), Some(VersionRange::new(4, 18)));
    }

    #[test]
    fn no_common_version_says_who_has_what() {
        assert_eq!(
            refusal(&[(FETCH, 0, 2)], FETCH),
            "Fetch: the broker has 0-2, we have 4-18"
        );
        assert_eq!(
            refusal(&[(FETCH, 19, 20)], FETCH),
            "Fetch: the broker has 19-20, we have 4-18"
        );
        assert_eq!(
            refusal(&[], FETCH),
            "Fetch: the broker lacks this API, we have 4-18"
        );
        assert_eq!(
            refusal(&[(ApiKey(999), 0, 3)], ApiKey(999)),
            "API 999: the broker has 0-3, we lack this API"
        );
        assert_eq!(
            refusal(&[], ApiKey(999)),
            "API 999: neither the broker nor we have this API"
        );
        let error = with(&[(FETCH, 0, 2)]).version(FETCH).unwrap_err();
        assert_eq!(error.api_key, FETCH);
        assert_eq!(error.ours, Some(VersionRange::new(4, 18)));
        assert_eq!(error.theirs, Some(VersionRange::new(0, 2)));
    }

    #[test]
    fn odd_answers() {
        assert_eq!(
            refusal(&[(FETCH, 12, 4)], FETCH),
            "Fetch: the broker has none, we have 4-18"
        );
        assert_eq!(
            refusal(&[(FETCH, i16::MAX, i16::MIN)], FETCH),
            "Fetch: the broker has none, we have 4-18"
        );
        assert_eq!(
            refusal(&[(FETCH, -5, -1)], FETCH),
            "Fetch: the broker has -5--1, we have 4-18"
        );
        let twice = [(FETCH, 0, 9), (ApiKey::API_VERSIONS, 0, 0), (FETCH, 0, 7)];
        assert_eq!(with(&twice).version(FETCH), Ok(7));
        assert_eq!(with(&twice).iter().count(), 2);
        let twice = [(FETCH, 0, 9), (FETCH, 7, 0)];
        assert!(with(&twice).version(FETCH).is_err());
    }

    #[test]
    fn unstable_versions_have_to_be_asked_for() {
        let mut unstable = 0;
        for info in APIS {
            let stable = SupportedVersions::stable().get(info.key);
            assert_eq!(SupportedVersions::all().get(info.key), Some(info.versions));
            if info.latest_version_unstable {
                unstable += 1;
                let VersionRange { lowest, highest } = info.versions;
                assert_eq!(stable, Some(VersionRange::new(lowest, highest - 1)));
            } else {
                assert_eq!(stable, Some(info.versions));
            }
        }
        assert!(unstable > 0);
    }

    #[test]
    fn ranges_can_be_narrowed() {
        let all = SupportedVersions::all;
        let narrowed = all().narrow(FETCH, VersionRange::new(12, 99));
        assert_eq!(narrowed.get(FETCH), Some(VersionRange::new(12, 18)));
        assert_eq!(all().narrow(FETCH, VersionRange::NONE).get(FETCH), None);
        assert_eq!(all().narrow(ApiKey(999), VersionRange::NONE), all());
        let only = all().retain(|key| key == FETCH);
        assert_eq!(
            only.iter().collect::<Vec<_>>(),
            [(FETCH, VersionRange::new(0, 18))]
        );
        assert_eq!(SupportedVersions::default().iter().count(), 0);
    }

    #[test]
    fn servers_answer_at_version_0_what_they_do_not_support() {
        let server = SupportedVersions::stable();
        for asked in [6, 99, i16::MAX, -1] {
            let (version, response) = server.answer(asked);
            assert_eq!(version, 0);
            let bytes = response.encode_to_vec(0).unwrap();
            assert_eq!(bytes, [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5]);
        }
        for asked in 0..=5 {
            let (version, response) = server.answer(asked);
            assert_eq!((version, response.error_code), (asked, 0));
            assert_eq!(response.api_keys.len(), server.iter().count());
            assert!(response.encode_to_vec(version).is_ok());
        }
        let (version, response) = SupportedVersions::default().answer(3);
        assert_eq!((version, response.error_code), (0, 35));
        assert!(response.api_keys.is_empty());
    }

    fn answer(asked: i16, body: &[u8]) -> ApiVersionsAnswer<'_> {
        ApiVersionsAnswer::decode(asked, body, &Limits::DEFAULT).unwrap()
    }

    #[test]
    fn clients_fall_back() {
        let listed = [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 3];
        assert_eq!(
            answer(5, &listed),
            ApiVersionsAnswer::AskAgain { version: 3 }
        );
        assert_eq!(
            answer(99, &listed),
            ApiVersionsAnswer::AskAgain { version: 3 }
        );
        // Brokers before 2.4 list nothing.
        let nothing = [0, 35, 0, 0, 0, 0];
        assert_eq!(
            answer(3, &nothing),
            ApiVersionsAnswer::AskAgain { version: 0 }
        );
        // Something, but not ApiVersions.
        let other = [0, 35, 0, 0, 0, 1, 0, 1, 0, 0, 0, 3];
        assert_eq!(
            answer(3, &other),
            ApiVersionsAnswer::AskAgain { version: 0 }
        );
    }

    #[test]
    fn falling_back_comes_to_an_end() {
        let refused = ApiVersionsAnswer::Refused(ErrorCode::UNSUPPORTED_VERSION);
        assert_eq!(answer(0, &[0, 35, 0, 0, 0, 0]), refused);
        // The broker has what it refused, or less than nothing.
        assert_eq!(answer(3, &[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 3]), refused);
        assert_eq!(answer(3, &[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 9]), refused);
        assert_eq!(
            answer(3, &[0, 35, 0, 0, 0, 1, 0, 18, 0xff, 0xff, 0xff, 0xff]),
            refused
        );
    }

    #[test]
    fn other_answers() {
        let (version, response) = SupportedVersions::stable().answer(3);
        let body = response.encode_to_vec(version).unwrap();
        assert_eq!(answer(3, &body), ApiVersionsAnswer::Versions(response));
        let denied = ApiVersionsResponse {
            error_code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0,
            ..Default::default()
        };
        assert_eq!(
            answer(3, &denied.encode_to_vec(3).unwrap()),
            ApiVersionsAnswer::Refused(ErrorCode::CLUSTER_AUTHORIZATION_FAILED)
        );
    }

    #[test]
    fn the_error_may_come_at_the_version_asked_for() {
        let response = ApiVersionsResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION.0,
            api_keys: vec![api_version((ApiKey::API_VERSIONS, VersionRange::new(0, 2)))],
            ..Default::default()
        };
        for asked in 0..=5 {
            let body = response.encode_to_vec(asked).unwrap();
            let decoded = decode_api_versions_response(asked, &body, &Limits::DEFAULT);
            assert_eq!(decoded, Ok((asked, response.clone())));
        }
        // Neither: the error is that of version 0.
        let error = decode_api_versions_response(5, &[0, 35, 9], &Limits::DEFAULT).unwrap_err();
        assert_eq!(error.version(), 0);
        // A request at a version that we lack ourselves is only answered at version 0.
        assert!(decode_api_versions_response(99, &[0, 0, 0, 0, 0, 0], &Limits::DEFAULT).is_err());
    }
}
