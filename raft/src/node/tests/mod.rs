//! Tests of the node: a state, an input, and what it asks for.

mod appends;
mod changes;
mod cluster;
mod describe;
mod fetch_serving;
mod fetching;
mod harness;
pub(crate) mod messages;
mod robust;
mod snapshots;
mod start;
mod states;
mod updates;
mod votes;
