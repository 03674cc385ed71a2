//! Whole quorums of [`kwire_raft`] in one thread: a virtual clock, a network that loses and
//! delays, disks that forget and fail, and rules that are looked at after every event.
//!
//! Everything follows from one seed: the quorum and its settings, what fails and when, what
//! clients do. A run has two phases. In the first anything may fail at any time, and nothing may
//! become untrue; in the second a majority is well for good, and has to get on with it.

pub mod app;
pub mod clock;
pub mod disk;
pub mod faults;
pub mod files;
pub mod host;
pub mod invariants;
pub mod liveness;
pub mod marks;
pub mod mutants;
pub mod oracle;
mod power;
mod ranges;
pub mod regressions;
pub mod rng;
pub mod runner;
mod setup;
pub mod shadow;
pub mod swarm;
pub mod trace;
pub mod versions;
mod wire;
mod workload;
pub mod world;
