//! What proxies need: messages in segments, looked into, and with single fields changed; held
//! against decoding, changing and encoding.
#![allow(unreachable_pub)]

#[path = "../messages/fixtures.rs"]
mod fixtures;
mod segments;
