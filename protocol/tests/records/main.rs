//! Record batches, held against those that Java wrote and against hostile bytes.
#![allow(unreachable_pub)]

#[cfg(feature = "records")]
mod common;
#[cfg(feature = "raft")]
mod control;
mod hostile;
mod java;
mod properties;
mod wrappers;
