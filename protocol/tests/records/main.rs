//! Record batches, held against those that Java wrote and against hostile bytes.

#[cfg(feature = "raft")]
mod control;
mod hostile;
mod java;
