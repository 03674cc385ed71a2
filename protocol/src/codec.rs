//! Messages by name, for tools: bytes to JSON and back through the generated structs.

use std::fmt;

use serde_json::Value;

use crate::json::{FromJsonError, Mode};
use crate::runtime::{DecodeError, EncodeError, Limits};
use crate::schema::{Kind, Schema};

/// What can be done with a message whose type is not known when compiling.
///
/// A table of all of them is made by `for_each_message!(kwire_protocol::codec_table)`, in the
/// crate that needs it: it compiles the code of every message.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::type_complexity)] // Names for the two signatures would hide what they say.
pub struct Codec {
    /// The message's schema.
    pub schema: &'static Schema,
    /// Decodes a message that fills the bytes, and encodes it again.
    pub recode: fn(&[u8], i16, &Limits) -> Result<Vec<u8>, CodecError>,
    /// Encodes a message that is given as JSON.
    pub encode_json: fn(&Value, i16, Mode) -> Result<Vec<u8>, CodecError>,
}

impl Codec {
    /// The JSON of a message that fills `bytes`, and the bytes that the decoded value encodes to.
    ///
    /// # Errors
    /// When the bytes are not the message, or encoding refuses what decoding let through.
    pub fn to_json(
        &self,
        bytes: &[u8],
        version: i16,
        limits: &Limits,
    ) -> Result<(Value, Vec<u8>), CodecError> {
        let recoded = (self.recode)(bytes, version, limits)?;
        let json = crate::json::bytes_to_json(self.schema, version, &recoded, limits)
            .map_err(CodecError::Decode)?;
        Ok((json, recoded))
    }
}

/// Why a message could not be decoded, encoded or read from JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are not the message.
    Decode(DecodeError),
    /// The version cannot carry the value.
    Encode(EncodeError),
    /// The JSON is not the message.
    Json(FromJsonError),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Decode(error) => error.fmt(f),
            CodecError::Encode(error) => error.fmt(f),
            CodecError::Json(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CodecError {}

/// Names that other releases use for messages with the same bytes.
const RENAMED: &[(&str, &str)] = &[
    ("AlterIsrRequest", "AlterPartitionRequest"),
    ("AlterIsrResponse", "AlterPartitionResponse"),
    (
        "ListClientMetricsResourcesRequest",
        "ListConfigResourcesRequest",
    ),
    (
        "ListClientMetricsResourcesResponse",
        "ListConfigResourcesResponse",
    ),
];

/// Finds a message by the name and version that any release from 2.8 on gives it.
///
/// Besides renamed messages these are the coordinator keys of 3.x, whose version was what is
/// their record type now: `GroupMetadataKey` version 2 is version 0 today.
pub fn find<'t>(table: &'t [Codec], name: &str, version: i16) -> Option<(&'t Codec, i16)> {
    let renamed = RENAMED.iter().find(|(old, _)| *old == name);
    let name = renamed.map_or(name, |(_, new)| *new);
    let codec = table.iter().find(|codec| codec.schema.name == name)?;
    let is_record_type =
        codec.schema.kind == Kind::CoordinatorKey && codec.schema.api_key == Some(version);
    Some((codec, if is_record_type { 0 } else { version }))
}

/// Makes a table of [`Codec`]s out of the messages that `for_each_message!` names.
#[macro_export]
macro_rules! codec_table {
    ($($name:ident),* $(,)?) => {
        &[$($crate::codec::Codec {
            schema: <$crate::messages::$name as $crate::Message>::SCHEMA,
            recode: |bytes, version, limits| {
                let message: $crate::messages::$name =
                    $crate::Message::decode_with(bytes, version, limits)
                        .map_err($crate::codec::CodecError::Decode)?;
                let mut out = ::std::vec::Vec::with_capacity(bytes.len());
                $crate::Message::encode(&message, version, &mut out)
                    .map_err($crate::codec::CodecError::Encode)?;
                Ok(out)
            },
            encode_json: |json, version, mode| {
                let message: $crate::messages::$name =
                    $crate::json::from_json(json, version, mode)
                        .map_err($crate::codec::CodecError::Json)?;
                let mut out = ::std::vec::Vec::new();
                $crate::Message::encode(&message, version, &mut out)
                    .map_err($crate::codec::CodecError::Encode)?;
                Ok(out)
            },
        }),*]
    };
}
