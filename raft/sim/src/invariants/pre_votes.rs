//! Who has a leader that works, or leads, encourages nobody to stand (KIP-996, KAFKA-17807).

use kwire_raft::message::{Request, Response};
use kwire_raft::node::RoleName;

use super::{Invariant, View};

pub(super) struct PreVotes;

impl Invariant for PreVotes {
    fn name(&self) -> &'static str {
        "pre-votes"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        for (from, request, response) in view.replies() {
            let Some(node) = view.hosts[from].node else {
                continue;
            };
            let has_leader = node.role() == RoleName::Leader || node.has_working_leader();
            if has_leader && grants_pre_vote(request, response) {
                return Err(format!("machine {from} has a leader and grants a pre-vote"));
            }
        }
        Ok(())
    }
}

fn grants_pre_vote(request: &Request, response: &Response) -> bool {
    let (Request::Vote(asked), Response::Vote(answer)) = (request, response) else {
        return false;
    };
    let asked = asked.topics.first().and_then(|t| t.partitions.first());
    let answer = answer.topics.first().and_then(|t| t.partitions.first());
    asked.is_some_and(|asked| asked.pre_vote) && answer.is_some_and(|answer| answer.vote_granted)
}
