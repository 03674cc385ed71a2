//! Kafka's UUIDs, written as URL-safe base64.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A UUID: a topic id, a directory id, a client instance id.
///
/// Kafka prints it as 22 characters of URL-safe base64 without padding, and so does `Display`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// Sixteen zero bytes: no id at all, and the default of every UUID field.
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// The id of the cluster metadata topic.
    pub const METADATA_TOPIC_ID: Uuid = Uuid::from_parts(0, 1);

    /// From the sixteen bytes on the wire.
    pub const fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    /// From the most and the least significant half, as Java's constructor takes them.
    pub const fn from_parts(most: u64, least: u64) -> Uuid {
        Uuid((((most as u128) << 64) | least as u128).to_be_bytes())
    }

    /// The sixteen bytes on the wire.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Whether all bytes are zero.
    #[inline]
    pub fn is_zero(self) -> bool {
        self == Uuid::ZERO
    }
}

impl fmt::Display for Uuid {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 22];
        match URL_SAFE_NO_PAD.encode_slice(self.0, &mut text) {
            Ok(_) => f.write_str(std::str::from_utf8(&text).unwrap_or_default()),
            Err(_) => Err(fmt::Error),
        }
    }
}

impl fmt::Debug for Uuid {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a UUID in Kafka's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseUuidError;

impl fmt::Display for ParseUuidError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUID: 22 characters of URL-safe base64 without padding are wanted")
    }
}

impl std::error::Error for ParseUuidError {}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    /// Reads 22 characters of URL-safe base64; padding is accepted, as Java does.
    #[inline]
    fn from_str(text: &str) -> Result<Uuid, ParseUuidError> {
        let text = text.trim_end_matches('=');
        let mut bytes = [0; 18];
        let len = URL_SAFE_NO_PAD
            .decode_slice(text, &mut bytes)
            .map_err(|_| ParseUuidError)?;
        let bytes = bytes.get(..len).ok_or(ParseUuidError)?;
        Ok(Uuid(bytes.try_into().map_err(|_| ParseUuidError)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let id = Uuid::from_parts(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
        assert_eq!(id.to_string(), "ASNFZ4mrze_-3LqYdlQyEA");
        assert_eq!("ASNFZ4mrze_-3LqYdlQyEA".parse(), Ok(id));
        assert_eq!("ASNFZ4mrze_-3LqYdlQyEA==".parse(), Ok(id));
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(
            Uuid::METADATA_TOPIC_ID.to_string(),
            "AAAAAAAAAAAAAAAAAAAAAQ"
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "A",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "ASNFZ4mrze/+3LqYdlQyEA",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(ParseUuidError), "{text}");
        }
    }
}
