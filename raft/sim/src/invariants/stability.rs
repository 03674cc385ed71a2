//! In a network that lets some pairs through only, the first leader stays (KIP-996).

use kwire_raft::node::RoleName;

use super::{Invariant, View};
use crate::swarm::Options;

#[derive(Default)]
pub(super) struct Stability {
    first: Option<(i32, usize)>,
}

impl Invariant for Stability {
    fn name(&self) -> &'static str {
        "stability"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        if !applies(view.options, view.now) || node.role() != RoleName::Leader {
            return Ok(());
        }
        let now = (node.epoch(), host.index);
        let first = *self.first.get_or_insert(now);
        if first != now {
            return Err(format!(
                "machine {} leads epoch {}, after machine {} led {}",
                now.1, now.0, first.1, first.0
            ));
        }
        Ok(())
    }
}

fn applies(options: &Options, now: crate::clock::Micros) -> bool {
    now < options.safety
}
