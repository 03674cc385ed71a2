//! The few things that a log asks of a file system.

mod seed;

pub(crate) use seed::Seed;
