//! The traits of messages, and what every message can do.

use std::borrow::Cow;

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
use super::segments::Gather;
use super::{Array, Blob, Counter, Fixed, Leaves, Limits, Reader, Sink, Writer};
use crate::schema::Schema;
use crate::segments::{DEFAULT_THRESHOLD, Segments};
use crate::walk;

/// A string: part of the frame, or owned. Derefs to `str`; made by `"x".into()`.
pub type Str<'a> = Cow<'a, str>;

/// A struct that can be read, at any version of its message.
pub trait Read<'a>: Default {
    /// The least that it takes on the wire in any version.
    const MIN_LEN: usize;

    /// Reads the version's fields over the present ones; the others stay.
    ///
    /// # Errors
    /// When the bytes are not such a struct.
    fn read<'r, L: Leaves<'r, 'a>>(
        &mut self,
        r: &mut Reader<'r, 'a, L>,
        version: i16,
    ) -> Result<(), DecodeError>;
}

/// A struct that can be written, at any version of its message.
pub trait Write {
    /// Writes the version's fields.
    ///
    /// # Errors
    /// When the value is not one that the version can carry.
    fn write<'m, S: Sink<'m>>(&'m self, s: &mut S, version: i16) -> Result<(), EncodeError>;
}

/// A value that can be cut loose from what it borrows.
pub trait IntoOwned {
    /// The same type, borrowing nothing.
    type Owned: 'static;

    /// Copies what is borrowed. Shared bytes stay shared.
    fn into_owned(self) -> Self::Owned;
}

impl IntoOwned for Str<'_> {
    type Owned = Str<'static>;

    fn into_owned(self) -> Str<'static> {
        Cow::Owned(Cow::into_owned(self))
    }
}

impl IntoOwned for Blob<'_> {
    type Owned = Blob<'static>;

    fn into_owned(self) -> Blob<'static> {
        Blob::Shared(self.into_bytes())
    }
}

impl<T: Fixed> IntoOwned for Array<'_, T> {
    type Owned = Array<'static, T>;

    fn into_owned(self) -> Array<'static, T> {
        Array::into_owned(self)
    }
}

impl<T: IntoOwned> IntoOwned for Option<T> {
    type Owned = Option<T::Owned>;

    #[inline]
    fn into_owned(self) -> Option<T::Owned> {
        self.map(T::into_owned)
    }
}

impl<T: IntoOwned> IntoOwned for Vec<T> {
    type Owned = Vec<T::Owned>;

    #[inline]
    fn into_owned(self) -> Vec<T::Owned> {
        self.into_iter().map(T::into_owned).collect()
    }
}

/// A message of Kafka's protocol: a request, a response, a header, or a record.
pub trait Message: Write + Default + Sized {
    /// Name, versions and fields.
    const SCHEMA: &'static Schema;

    /// Reads a message that fills `bytes`. Strings, bytes and arrays borrow from them.
    ///
    /// # Errors
    /// When the bytes are not this message at this version, or the default limits are passed.
    #[inline]
    fn decode<'a>(bytes: &'a [u8], version: i16) -> Result<Self, DecodeError>
    where
        Self: Read<'a>,
    {
        Self::decode_with(bytes, version, &Limits::DEFAULT)
    }

    /// As [`Message::decode`], with other limits.
    ///
    /// # Errors
    /// When the bytes are not this message at this version, or the limits are passed.
    #[inline]
    fn decode_with<'a>(bytes: &'a [u8], version: i16, limits: &Limits) -> Result<Self, DecodeError>
    where
        Self: Read<'a>,
    {
        let mut message = Self::default();
        read_message(&mut message, bytes, version, limits)?;
        Ok(message)
    }

    /// As [`Message::decode_with`], but the message borrows nothing: bytes and records share the
    /// frame, strings and arrays of numbers are copied. For those who hand a message on.
    ///
    /// # Errors
    /// When the bytes are not this message at this version, or the limits are passed.
    #[inline]
    fn decode_shared(frame: &Bytes, version: i16, limits: &Limits) -> Result<Self, DecodeError>
    where
        Self: Read<'static>,
    {
        let flexible = Self::SCHEMA.flexible.contains(version);
        let mut message = Self::default();
        read_whole(
            &mut message,
            Reader::sharing(frame, flexible, limits),
            frame,
            version,
        )?;
        Ok(message)
    }

    /// Reads a message from the start of `bytes`, and gives what follows it.
    ///
    /// # Errors
    /// When the bytes do not begin with this message at this version, or the limits are passed.
    #[inline]
    fn decode_prefix<'a>(
        bytes: &'a [u8],
        version: i16,
        limits: &Limits,
    ) -> Result<(Self, &'a [u8]), DecodeError>
    where
        Self: Read<'a>,
    {
        let mut reader = Reader::new(bytes, Self::SCHEMA.flexible.contains(version), limits);
        let mut message = Self::default();
        read_start(&mut message, &mut reader, bytes, version)?;
        Ok((message, reader.rest()))
    }

    /// Appends the message's bytes to `out`, which is left as it was if that fails.
    ///
    /// # Errors
    /// When the value is not one that the version can carry.
    #[inline]
    fn encode(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let schema = Self::SCHEMA;
        if !schema.versions.contains(version) {
            return Err(unsupported_encode(schema, version));
        }
        let start = out.len();
        let mut writer = Writer::new(std::mem::take(out), schema.flexible.contains(version));
        let result = self.write(&mut writer, version);
        *out = writer.into_inner();
        result.map_err(|error| walk::locate_encode(error, schema, version, out, start))
    }

    /// The message's bytes in a vector of just that size.
    ///
    /// # Errors
    /// When the value is not one that the version can carry.
    #[inline]
    fn encode_to_vec(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(self.encoded_len(version)?);
        self.encode(version, &mut out)?;
        Ok(out)
    }

    /// The message's bytes without a copy of its bulk bytes: see [`segments`](crate::segments).
    ///
    /// # Errors
    /// When the value is not one that the version can carry.
    #[inline]
    fn encode_segments(&self, version: i16) -> Result<Segments<'_>, EncodeError> {
        self.encode_segments_with(version, DEFAULT_THRESHOLD, Vec::new())
    }

    /// As [`Message::encode_segments`], behind what is in `buffer`. `bytes` and `records` of
    /// `threshold` bytes or more stay where they are.
    ///
    /// # Errors
    /// When the value is not one that the version can carry.
    #[inline]
    fn encode_segments_with(
        &self,
        version: i16,
        threshold: usize,
        buffer: Vec<u8>,
    ) -> Result<Segments<'_>, EncodeError> {
        let schema = Self::SCHEMA;
        if !schema.versions.contains(version) {
            return Err(unsupported_encode(schema, version));
        }
        let start = buffer.len();
        let mut sink = Gather::new(buffer, schema.flexible.contains(version), threshold);
        let result = self.write(&mut sink, version);
        let segments = Segments::new(sink.into_parts());
        match result {
            Ok(()) => Ok(segments),
            Err(error) => {
                let mut out = segments.to_vec();
                Err(walk::locate_encode(error, schema, version, &mut out, start))
            }
        }
    }

    /// How many bytes the message takes.
    ///
    /// # Errors
    /// When the value is not one that the version can carry.
    #[inline]
    fn encoded_len(&self, version: i16) -> Result<usize, EncodeError> {
        let schema = Self::SCHEMA;
        if !schema.versions.contains(version) {
            return Err(unsupported_encode(schema, version));
        }
        let mut counter = Counter::new(schema.flexible.contains(version));
        match self.write(&mut counter, version) {
            Ok(()) => Ok(counter.len()),
            // Writing finds the same error, and knows the field.
            Err(error) => match self.encode(version, &mut Vec::new()) {
                Err(located) => Err(located),
                Ok(()) => Err(error),
            },
        }
    }
}

/// A request, with the response that answers it.
pub trait Request: Message {
    /// The API's key.
    const API_KEY: crate::ApiKey;
    /// The response of the same API.
    type Response<'r>: Message + Read<'r>;
}

/// Reads a message over its defaults, and says where in it an error lies. The message is read
/// into its place: moving it costs as much as reading a small one.
#[inline]
fn read_start<'r, 'a, M: Message + Read<'a>, L: Leaves<'r, 'a>>(
    message: &mut M,
    reader: &mut Reader<'r, 'a, L>,
    bytes: &'r [u8],
    version: i16,
) -> Result<(), DecodeError> {
    if !M::SCHEMA.versions.contains(version) {
        return Err(unsupported_decode(M::SCHEMA, version));
    }
    let limits = reader.limits();
    let Err(error) = message.read(reader, version) else {
        return Ok(());
    };
    Err(walk::locate_decode(
        error,
        M::SCHEMA,
        version,
        bytes,
        &limits,
    ))
}

/// Reads a message that fills `bytes` over a default one.
#[inline(always)]
pub(crate) fn read_message<'a, M: Message + Read<'a>>(
    message: &mut M,
    bytes: &'a [u8],
    version: i16,
    limits: &Limits,
) -> Result<(), DecodeError> {
    let flexible = M::SCHEMA.flexible.contains(version);
    read_whole(
        message,
        Reader::new(bytes, flexible, limits),
        bytes,
        version,
    )
}

/// As [`read_start`], if nothing follows the message.
#[inline]
fn read_whole<'r, 'a, M: Message + Read<'a>, L: Leaves<'r, 'a>>(
    message: &mut M,
    mut reader: Reader<'r, 'a, L>,
    bytes: &'r [u8],
    version: i16,
) -> Result<(), DecodeError> {
    read_start(message, &mut reader, bytes, version)?;
    let left = reader.rest().len();
    if left == 0 {
        return Ok(());
    }
    let error = DecodeError::new(DecodeErrorKind::TrailingBytes { left }, bytes.len() - left);
    Err(error.located(M::SCHEMA.name, version, String::new()))
}

#[cold]
#[inline(never)]
pub(crate) fn unsupported_decode(schema: &'static Schema, version: i16) -> DecodeError {
    let kind = DecodeErrorKind::UnsupportedVersion {
        lowest: schema.versions.lowest,
        highest: schema.versions.highest,
    };
    DecodeError::new(kind, 0).located(schema.name, version, String::new())
}

#[cold]
#[inline(never)]
pub(crate) fn unsupported_encode(schema: &'static Schema, version: i16) -> EncodeError {
    let kind = EncodeErrorKind::UnsupportedVersion {
        lowest: schema.versions.lowest,
        highest: schema.versions.highest,
    };
    EncodeError::new(kind).located(schema.name, version, String::new())
}

#[cfg(all(test, feature = "clients"))]
mod tests {
    use super::*;
    use crate::messages::{ProduceRequest, produce_request};

    #[test]
    fn shared_records_are_parts_of_the_frame() {
        let request = ProduceRequest {
            topic_data: vec![produce_request::TopicProduceData {
                name: "t".into(),
                partition_data: vec![produce_request::PartitionProduceData {
                    records: Some(b"opaque".into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let frame = Bytes::from(request.encode_to_vec(11).unwrap());
        let owned = ProduceRequest::decode_shared(&frame, 11, &Limits::DEFAULT).unwrap();
        assert_eq!(owned, request);
        let Some(Blob::Shared(records)) = &owned.topic_data[0].partition_data[0].records else {
            panic!("{owned:?}");
        };
        assert!(frame.as_ptr_range().contains(&records.as_ptr()));
        let trailing = [&frame[..], b"x"].concat().into();
        assert!(ProduceRequest::decode_shared(&trailing, 11, &Limits::DEFAULT).is_err());
    }
}
