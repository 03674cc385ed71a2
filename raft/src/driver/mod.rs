//! What joins a node with a disk.

mod store;

pub use store::{Barrier, Installed, LogStore, StateStore};
