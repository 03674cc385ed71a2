//! Tests of the node: a state, an input, and what it asks for.

mod ahead;
mod appends;
mod begin;
mod changes;
mod cluster;
mod describe;
mod end;
mod fetch_serving;
mod fetching;
mod harness;
mod hostile;
mod leading;
pub(crate) mod messages;
mod pre_votes;
mod refused;
mod responses;
mod robust;
mod shutdown;
mod snapshots;
mod start;
mod states;
mod transitions;
mod updates;
mod votes;
