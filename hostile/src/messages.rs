//! Every message, as functions that decode it.

use bytes::Bytes;
use kwire_protocol::schema::Schema;
use kwire_protocol::{DecodeError, IntoOwned, Limits, Message};

/// A message, and the ways to decode it.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// Its field table.
    pub schema: &'static Schema,
    /// Decodes it, borrowing from the bytes.
    pub borrowed: fn(&[u8], i16, &Limits) -> Result<(), DecodeError>,
    /// Decodes it to a value that borrows nothing.
    pub owned: fn(&Bytes, i16, &Limits) -> Result<(), DecodeError>,
    /// Decodes it, borrowing, and cuts it loose from the bytes afterwards.
    pub loose: fn(&[u8], i16, &Limits) -> Result<(), DecodeError>,
}

macro_rules! table {
    ($($name:ident),* $(,)?) => {
        &[$(Codec {
            schema: <kwire_protocol::messages::$name as Message>::SCHEMA,
            borrowed: |bytes, version, limits| {
                kwire_protocol::messages::$name::decode_with(bytes, version, limits).map(drop)
            },
            owned: |frame, version, limits| {
                kwire_protocol::messages::$name::decode_shared(frame, version, limits).map(drop)
            },
            loose: |bytes, version, limits| {
                let message = kwire_protocol::messages::$name::decode_with(bytes, version, limits);
                message.map(|message| {
                    let _ = message.into_owned();
                })
            },
        }),*]
    };
}

/// Every message, by name.
pub static ALL: &[Codec] = kwire_protocol::for_each_message!(table);

/// The message of a name.
pub fn named(name: &str) -> Option<&'static Codec> {
    ALL.iter().find(|codec| codec.schema.name == name)
}
