//! Messages, held against what Kafka's own classes wrote, refused and sent.
//!
//! One program for all of it: each would compile the code of every message.
#![allow(unreachable_pub)]

mod common;
mod corpus;
mod fixtures;
mod frames;
mod headers;
mod hostile;
mod interop;
mod matrix;
mod probes;
mod segments;
