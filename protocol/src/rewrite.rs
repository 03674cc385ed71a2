//! Changes single fields of a response by splicing, for proxies: all other bytes go through as
//! they are, unknown tagged fields and odd encodings too.
//!
//! [`endpoints`] and [`endpoints_in_place`] put a proxy's own addresses in the place of the
//! brokers', [`api_versions`] takes away APIs and versions that a proxy cannot pass on. What they
//! write is what decoding, changing and encoding writes, as long as the response is encoded as
//! Kafka encodes it.
//!
//! ```
//! # #[cfg(feature = "clients")] {
//! use kwire_protocol::messages::{MetadataResponse, metadata_response};
//! use kwire_protocol::{ApiKey, Message, rewrite};
//!
//! let response = MetadataResponse {
//!     brokers: vec![metadata_response::MetadataResponseBroker {
//!         node_id: 3,
//!         host: "kafka-3.internal".into(),
//!         port: 9092,
//!         ..Default::default()
//!     }],
//!     ..Default::default()
//! };
//! let mut body = response.encode_to_vec(12)?;
//! let changed = rewrite::endpoints_in_place(ApiKey::METADATA, 12, &mut body, |broker| {
//!     Some(("proxy.example", 19_000 + broker.node_id as u16))
//! })?;
//! assert_eq!(changed, 1);
//! let seen = MetadataResponse::decode(&body, 12)?;
//! assert_eq!((&*seen.brokers[0].host, seen.brokers[0].port), ("proxy.example", 19_003));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod api_versions;
mod endpoints;

pub use api_versions::{api_versions, clamp_api_versions};
pub use endpoints::{
    ENDPOINT_APIS, Endpoint, RewriteError, endpoints, endpoints_in_place, has_endpoints,
};

#[inline]
fn put_uvarint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
