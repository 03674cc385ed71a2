//! The log and its snapshots, in Kafka's own format.

pub mod files;
pub mod snapshot;
