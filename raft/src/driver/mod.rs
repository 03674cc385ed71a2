//! What joins a node with a disk.

mod memory;
mod store;

pub use memory::{MemoryBarrier, MemoryError, MemoryLog, MemoryState};
pub use store::{Barrier, Installed, LogStore, StateStore};
