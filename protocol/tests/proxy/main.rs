//! What proxies need: messages in segments, looked into, and with single fields changed; held
//! against decoding, changing and encoding.
#![allow(unreachable_pub)]

mod bodies;
#[path = "../messages/fixtures.rs"]
mod fixtures;
mod peek;
mod rewrite;
mod segments;
