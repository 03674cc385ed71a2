//! Tests of the node: a state, an input, and what it asks for.

mod begin;
mod cluster;
mod end;
mod fetch_serving;
mod harness;
mod hostile;
mod leading;
mod messages;
mod pre_votes;
mod responses;
mod shutdown;
mod start;
mod states;
mod transitions;
mod votes;
