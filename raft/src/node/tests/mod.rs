//! Tests of the node: a state, an input, and what it asks for.

mod cluster;
mod fetch_serving;
mod harness;
mod messages;
