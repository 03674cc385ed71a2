//! An election state that lives in memory.

use std::convert::Infallible;

use super::store::StateStore;
use crate::types::{NodeId, QuorumState};

/// An election state in memory: durable at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryState {
    state: Option<QuorumState>,
}

impl MemoryState {
    /// A state that was never saved.
    #[must_use]
    pub fn new() -> MemoryState {
        MemoryState::default()
    }

    /// What was saved last.
    #[must_use]
    pub fn saved(&self) -> Option<QuorumState> {
        self.state
    }
}

impl StateStore for MemoryState {
    type Error = Infallible;

    fn load(&mut self) -> Result<Option<QuorumState>, Infallible> {
        Ok(self.state)
    }

    fn save(&mut self, state: &QuorumState, _: i16, _: &[NodeId]) -> Result<(), Infallible> {
        self.state = Some(*state);
        Ok(())
    }
}
