//! Bytes that nobody means well with, and what they may cost.
//!
//! The tests of this crate take messages that Kafka's Java classes wrote, find every length, count
//! and tag in them, and put in what an attacker would; besides, they build the worst bytes that a
//! schema permits. All of it is decoded under an allocator that counts, and held against the bounds
//! that the documentation of [`Limits`](kwire_protocol::Limits) states.
//!
//! It is a crate of its own because that allocator replaces the one of every program that it is in.

pub mod cost;
pub mod damage;
pub mod fixtures;
pub mod layout;
pub mod messages;
pub mod worst;
