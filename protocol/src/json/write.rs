//! Messages to JSON.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::UNKNOWN_TAGS;
use crate::runtime::{
    Blob, DecodeError, DecodeErrorKind, EncodeError, Limits, Message, Str, UnknownTags, Uuid,
};
use crate::schema::{FieldSchema, Schema};
use crate::walk::{Build, Walk};

/// Why a message has no JSON form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToJsonError {
    /// The version cannot carry the value: Java's converter refuses it likewise.
    Encode(EncodeError),
    /// The bytes are not the message.
    Decode(DecodeError),
}

impl fmt::Display for ToJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToJsonError::Encode(error) => error.fmt(f),
            ToJsonError::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ToJsonError {}

/// A message's JSON at a version: its fields in the order of the schema, tagged ones only if
/// they are not at their default.
///
/// # Errors
/// When the version cannot carry the value.
pub fn to_json<M: Message>(message: &M, version: i16) -> Result<Value, ToJsonError> {
    let mut bytes = Vec::new();
    message
        .encode(version, &mut bytes)
        .map_err(ToJsonError::Encode)?;
    bytes_to_json(M::SCHEMA, version, &bytes, &Limits::NONE).map_err(ToJsonError::Decode)
}

/// The JSON of a message that is there as bytes, without the generated structs.
///
/// # Errors
/// When the bytes are not this message at this version, or the limits are passed. The JSON is paid
/// for out of [`Limits::max_allocated_bytes`], and takes several times as much as the message.
pub fn bytes_to_json(
    schema: &'static Schema,
    version: i16,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Value, DecodeError> {
    let mut build = JsonBuild;
    let mut walk = Walk::new(schema, version, bytes, limits, &mut build);
    let value = match walk.message() {
        Ok(value) => value,
        Err(error) => return Err(walk.locate(error)),
    };
    match walk.rest().len() {
        0 => Ok(value),
        left => {
            let kind = DecodeErrorKind::TrailingBytes { left };
            Err(walk.locate(DecodeError::new(kind, bytes.len() - left)))
        }
    }
}

struct JsonBuild;

impl Build for JsonBuild {
    // With its name, and a place in a map, which has room for more than it holds.
    const COST: usize = 2 * (size_of::<Value>() + size_of::<String>() + 2 * size_of::<usize>());
    type Value = Value;
    type Struct = Map<String, Value>;

    fn bool(&mut self, value: bool) -> Value {
        value.into()
    }

    fn int(&mut self, value: i64) -> Value {
        value.into()
    }

    fn float(&mut self, value: f64) -> Value {
        // JSON has no numbers for these; Jackson writes the same words.
        if value.is_nan() {
            return "NaN".into();
        }
        if value.is_infinite() {
            return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
        }
        value.into()
    }

    fn uuid(&mut self, value: Uuid) -> Value {
        value.to_string().into()
    }

    fn string(&mut self, value: Str<'_>) -> Value {
        value.into_owned().into()
    }

    fn bytes(&mut self, value: Blob<'_>) -> Value {
        STANDARD.encode(&*value).into()
    }

    fn array(&mut self, values: Vec<Value>) -> Value {
        values.into()
    }

    fn field(&mut self, to: &mut Map<String, Value>, field: &'static FieldSchema, value: Value) {
        to.insert(field.name.to_owned(), value);
    }

    fn unknown_tags(&mut self, to: &mut Map<String, Value>, tags: &UnknownTags) {
        let list = tags.as_slice().iter().map(|unknown| {
            let hex: String = unknown.data.iter().map(|b| format!("{b:02x}")).collect();
            Value::from(vec![Value::from(unknown.tag), Value::from(hex)])
        });
        to.insert(UNKNOWN_TAGS.to_owned(), list.collect());
    }

    fn finish(&mut self, fields: Map<String, Value>) -> Value {
        fields.into()
    }
}
