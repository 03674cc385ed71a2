//! What several tests share: the fixtures and a table of all messages.

use kwire_protocol::codec::Codec;
use serde_json::Value;

pub use crate::fixtures::{lines, unhex};

/// Every message, by name.
pub static CODECS: &[Codec] = kwire_protocol::for_each_message!(kwire_protocol::codec_table);

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether two values are the same, the order of fields included, to which `==` is blind.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut fields = a.iter().zip(b);
            a.len() == b.len() && fields.all(|((k, a), (l, b))| k == l && same(a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => a == b,
    }
}
