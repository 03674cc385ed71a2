//! Tests of the node: a state, an input, and what it asks for.

mod cluster;
mod fetch_serving;
mod fetching;
mod harness;
mod messages;
mod snapshots;
