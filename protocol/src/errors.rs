//! Kafka's error codes, as responses carry them in fields named `errorCode`.
//!
//! Generated messages keep such a field as the `i16` that it is on the wire; [`ErrorCode`] gives
//! it a name. Codes of releases to come are representable, and not retriable.
//!
//! ```
//! use kwire_protocol::ErrorCode;
//!
//! let error = ErrorCode(6);
//! assert_eq!(error, ErrorCode::NOT_LEADER_OR_FOLLOWER);
//! assert_eq!(error.to_string(), "NOT_LEADER_OR_FOLLOWER");
//! assert!(error.is_error() && error.is_retriable());
//! assert_eq!(ErrorCode(999).to_string(), "error 999");
//! ```

use std::fmt;

#[rustfmt::skip]
mod codes;

pub use codes::ERRORS;

/// The code of an error; 0 means that there is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

/// One of Kafka's errors.
#[derive(Debug)]
#[non_exhaustive]
pub struct ErrorInfo {
    /// The code.
    pub code: ErrorCode,
    /// The name, such as `NOT_LEADER_OR_FOLLOWER`.
    pub name: &'static str,
    /// Whether the same request may succeed later, as Java's `RetriableException` says.
    pub retriable: bool,
    /// The name of Java's exception class, without its package; `None` for code 0.
    pub exception: Option<&'static str>,
}

impl ErrorCode {
    /// The error's row in the table; `None` for a code that Kafka does not have.
    #[inline]
    pub fn info(self) -> Option<&'static ErrorInfo> {
        let row = ERRORS.binary_search_by_key(&self, |info| info.code).ok()?;
        ERRORS.get(row)
    }

    /// The error's name; `None` for a code that Kafka does not have.
    #[inline]
    pub fn name(self) -> Option<&'static str> {
        self.info().map(|info| info.name)
    }

    /// The code of the error with this name, whatever its case.
    #[inline]
    pub fn from_name(name: &str) -> Option<ErrorCode> {
        let info = ERRORS
            .iter()
            .find(|info| info.name.eq_ignore_ascii_case(name))?;
        Some(info.code)
    }

    /// Whether the same request may succeed later. Unknown codes are not retriable, as in Java,
    /// which takes them for `UNKNOWN_SERVER_ERROR`.
    #[inline]
    pub fn is_retriable(self) -> bool {
        self.info().is_some_and(|info| info.retriable)
    }

    /// Whether this is an error at all: anything but 0.
    pub const fn is_error(self) -> bool {
        self.0 != 0
    }
}

impl From<i16> for ErrorCode {
    #[inline]
    fn from(code: i16) -> ErrorCode {
        ErrorCode(code)
    }
}

impl From<ErrorCode> for i16 {
    #[inline]
    fn from(code: ErrorCode) -> i16 {
        code.0
    }
}

impl fmt::Display for ErrorCode {
    /// The name, or `error 999`.
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    /// The name and the code.
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "ErrorCode({})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn as_in_the_table() {
        let table: Value = serde_json::from_str(include_str!("../tables/errors.json")).unwrap();
        let rows = table["errors"].as_array().unwrap();
        assert_eq!(rows.len(), ERRORS.len());
        for row in rows {
            let code = ErrorCode(row["code"].as_i64().unwrap() as i16);
            let name = row["name"].as_str().unwrap();
            let info = code.info().unwrap();
            assert_eq!(info.code, code);
            assert_eq!(code.name(), Some(name));
            assert_eq!(code.to_string(), name);
            assert_eq!(ErrorCode::from_name(&name.to_lowercase()), Some(code));
            assert_eq!(code.is_retriable(), row["retriable"].as_bool().unwrap());
            assert_eq!(info.exception, row["exception"].as_str());
            assert_eq!(code.is_error(), name != "NONE");
        }
        assert!(ERRORS.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn unknown_codes() {
        let unknown = ErrorCode::from(999);
        assert_eq!(unknown.name(), None);
        assert!(unknown.is_error() && !unknown.is_retriable());
        assert_eq!(format!("{unknown} {unknown:?}"), "error 999 ErrorCode(999)");
        assert_eq!(i16::from(unknown), 999);
        assert_eq!(ErrorCode::from_name("NO_SUCH_ERROR"), None);
        assert_eq!(
            format!("{:?}", ErrorCode::UNSUPPORTED_VERSION),
            "UNSUPPORTED_VERSION (35)"
        );
        assert_eq!(ErrorCode::default(), ErrorCode::NONE);
    }
}
