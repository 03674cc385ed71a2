//! A bounded model check of the raft node.
//!
//! Three nodes, each the production [`Node`](kwire_raft::Node) in the production
//! [`Driver`](kwire_raft::driver::Driver) with a log in memory, are led through every order of
//! events within bounds: messages arrive in any order, late, twice or never, timers run out at any
//! moment, nodes crash and lose what was not durable, disks take their time.
//!
//! - Time stands still. A timer runs or does not, and any that runs may run out next. What numbers
//!   calls and disk operations is counted from the same start in each state, so that states which
//!   differ in nothing else are one.
//! - A node's step is run once, by the node, and looked up when the same state meets the same event
//!   again ([`catalog`]).
//! - Between two nodes there is one request that its sender waits for. A request that was given up
//!   may still arrive; how many of these are on their way at a time is a bound.
//! - States are told apart by 64 bits. Of ten million, two are taken for one with a probability of
//!   3 in a million.
//!
//! After each step the properties are looked at ([`ghost`], and the steps of single nodes in
//! [`catalog`]). The search is breadth first: the first violation has the shortest trace.
//! An exploration that hits a cap, or does not come across what it ought to ([`witness`]), fails.
//!
//! ```text
//! cargo xtask model
//! cargo xtask model --mutations -- --scenario removals --mutation two-voter-changes
//! ```

pub mod bounds;
pub mod catalog;
pub mod explore;
pub mod ghost;
pub mod local;
pub mod packet;
pub mod report;
pub mod scenario;
pub mod scenarios;
pub mod script;
pub mod store;
pub mod traces;
pub mod view;
pub mod witness;
pub mod world;
