//! Tests of the node: a state, an input, and what it asks for.

mod cluster;
mod harness;
mod start;
mod states;
mod votes;
