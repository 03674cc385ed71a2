//! A leader answers fetches of its own epoch only: an acknowledgement of another one means
//! another log.

use kwire_raft::message::{Request, Response};

use super::{Invariant, View};

pub(super) struct Fetches;

impl Invariant for Fetches {
    fn name(&self) -> &'static str {
        "fetches"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        for (from, request, response) in view.replies() {
            let (Request::Fetch(asked), Response::Fetch(answer)) = (request, response) else {
                continue;
            };
            let asked = asked.topics[0].partitions[0].current_leader_epoch;
            let answer = answer.responses.first().and_then(|t| t.partitions.first());
            let Some(answer) = answer.filter(|answer| answer.error_code == 0) else {
                continue;
            };
            let led = answer.current_leader.leader_epoch;
            if led != asked {
                return Err(format!(
                    "machine {from} leads epoch {led} and serves a fetch of epoch {asked}"
                ));
            }
        }
        Ok(())
    }
}
