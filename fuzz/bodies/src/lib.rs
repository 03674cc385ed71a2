//! What each fuzz target does with its bytes, and which bytes it begins with.
//!
//! A body panics when something does not hold that has to hold for all bytes; it gives nothing
//! back. The same bodies run under a fuzzer (`fuzz/`), and in this crate's tests over the seeds and
//! over what fuzzers have found.

mod explain;
mod fixtures;
mod frame;
mod input;
mod json;
mod message;
mod records;
mod schema;

pub use explain::explain;
pub use fixtures::{hex, unhex};
pub use frame::frame;
pub use json::{json, json_input};
pub use message::{message, message_input};
pub use records::records;
pub use schema::{schema, schema_input};

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target and of its directory of seeds.
    pub name: &'static str,
    /// What it does with its bytes.
    pub body: fn(&[u8]),
    /// The inputs to begin with, made out of the fixtures.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// The longest input that is worth trying: longer ones cost time and reach nothing new.
    pub max_len: usize,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "message",
        body: message,
        seeds: message::seeds,
        max_len: 2048,
    },
    Target {
        name: "frame",
        body: frame,
        seeds: frame::seeds,
        max_len: 2048,
    },
    Target {
        name: "records",
        body: records,
        seeds: records::seeds,
        max_len: 4096,
    },
    Target {
        name: "json",
        body: json,
        seeds: json::seeds,
        max_len: 4096,
    },
    Target {
        name: "schema",
        body: schema,
        seeds: schema::seeds,
        max_len: 4096,
    },
    Target {
        name: "explain",
        body: explain,
        seeds: explain::seeds,
        max_len: 4096,
    },
];
