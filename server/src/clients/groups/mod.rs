//! The APIs of consumer groups: the leader of the quorum is the coordinator of all groups.

mod members;
mod offsets;
mod tools;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kwire_protocol::messages::find_coordinator_response::Coordinator as Found;
use kwire_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use kwire_protocol::{ApiKey, ErrorCode};
use kwire_raft::types::Epoch;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Answer, Caller, Clients, Head, check_count};
use crate::groups::{Groups, Millis, Reply, Ticket};
use crate::runner::Status;

/// Versions that ask for several coordinators at once (KIP-699).
const SEVERAL_SINCE: i16 = 4;
/// The key type of groups.
const OF_GROUP: i8 = 0;
/// How often somebody who waits looks whether something is due.
const LOOK: Duration = Duration::from_millis(200);

/// The groups that this node coordinates while it leads. Cheap to clone.
#[derive(Clone)]
pub struct Coordinator {
    shared: Arc<Mutex<Shared>>,
    initial_delay_ms: u64,
}

struct Shared {
    /// The epoch in which this node leads, as far as the groups know.
    epoch: Option<Epoch>,
    groups: Groups,
    tickets: u64,
    waiting: BTreeMap<Ticket, oneshot::Sender<Reply>>,
    started: Instant,
}

impl Shared {
    fn now(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn deliver(&mut self) {
        while let Some((ticket, reply)) = self.groups.poll_reply() {
            if let Some(waiting) = self.waiting.remove(&ticket) {
                // The connection may be gone.
                let _ = waiting.send(reply);
            }
        }
    }
}

impl Coordinator {
    /// A coordinator without groups. The first members of a group wait so long for others.
    #[must_use]
    pub fn new(initial_delay_ms: u64) -> Coordinator {
        Coordinator {
            shared: Arc::new(Mutex::new(Shared {
                epoch: None,
                groups: Groups::default(),
                tickets: 0,
                waiting: BTreeMap::new(),
                started: Instant::now(),
            })),
            initial_delay_ms,
        }
    }

    /// The groups of the epoch that this node leads. With another epoch they begin anew: meanwhile
    /// somebody else may have coordinated them.
    fn lock(&self, status: &Status) -> Option<MutexGuard<'_, Shared>> {
        status.leads_from?;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.epoch.is_some_and(|known| known > status.epoch) {
            return None;
        }
        if shared.epoch != Some(status.epoch) {
            shared.epoch = Some(status.epoch);
            // An epoch has one leader, so that no other coordinator gives out the same ids.
            shared.groups = Groups::new(self.initial_delay_ms, status.epoch.to_string());
            // Who waited is told by the end of the channel.
            shared.waiting.clear();
        }
        Some(shared)
    }
}

impl Clients {
    pub(super) async fn group_request(
        &self,
        caller: Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        match head.api_key {
            ApiKey::FIND_COORDINATOR => self.find_coordinator(caller, head, body).await,
            ApiKey::JOIN_GROUP => self.join_group(caller, head, body).await,
            ApiKey::SYNC_GROUP => self.sync_group(head, body).await,
            ApiKey::HEARTBEAT => self.heartbeat(head, body),
            ApiKey::LEAVE_GROUP => self.leave_group(head, body),
            ApiKey::OFFSET_COMMIT => self.offset_commit(head, body),
            ApiKey::OFFSET_FETCH => self.offset_fetch(head, body),
            ApiKey::LIST_GROUPS => self.list_groups(head, body),
            ApiKey::DESCRIBE_GROUPS => self.describe_groups(head, body),
            ApiKey::DELETE_GROUPS => self.delete_groups(head, body),
            _ => super::refuse::unsupported(head),
        }
    }

    /// Asks the groups, if this node coordinates them.
    fn with_groups<T>(
        &self,
        question: impl FnOnce(&mut Groups, Millis) -> T,
    ) -> Result<T, ErrorCode> {
        let status = *self.node.status().borrow();
        let mut shared = self
            .shared
            .coordinator
            .lock(&status)
            .ok_or(ErrorCode::NOT_COORDINATOR)?;
        let now = shared.now();
        let answer = question(&mut shared.groups, now);
        shared.deliver();
        Ok(answer)
    }

    /// Asks the groups, and waits for their reply.
    async fn wait_for_groups(
        &self,
        question: impl FnOnce(&mut Groups, Millis, Ticket),
    ) -> Result<Reply, ErrorCode> {
        let mut replied = {
            let status = *self.node.status().borrow();
            let mut shared = self
                .shared
                .coordinator
                .lock(&status)
                .ok_or(ErrorCode::NOT_COORDINATOR)?;
            shared.tickets += 1;
            let ticket = Ticket(shared.tickets);
            let (reply, replied) = oneshot::channel();
            shared.waiting.insert(ticket, reply);
            let now = shared.now();
            question(&mut shared.groups, now, ticket);
            shared.deliver();
            replied
        };
        // Whoever waits has an eye on the clock, for all.
        loop {
            match tokio::time::timeout(LOOK, &mut replied).await {
                Ok(reply) => return reply.map_err(|_| ErrorCode::NOT_COORDINATOR),
                Err(_) => self.with_groups(|groups, now| {
                    if groups.poll_timeout().is_some_and(|at| at <= now) {
                        groups.handle_timeout(now);
                    }
                })?,
            }
        }
    }

    async fn find_coordinator(
        &self,
        caller: Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        let request: FindCoordinatorRequest<'static> = head.decode(body)?;
        check_count("groups", request.coordinator_keys.len())?;
        let cluster = self.cluster(caller).await?;
        let error = match cluster.leader() {
            // There are no transactions, and no share groups.
            _ if request.key_type != OF_GROUP => ErrorCode::INVALID_REQUEST,
            Some(_) => ErrorCode::NONE,
            None => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        };
        let leader = cluster.leader().filter(|_| !error.is_error());
        let node_id = leader.map_or(-1, |leader| leader.id);
        let host = leader.map(|leader| leader.host.clone()).unwrap_or_default();
        let port = leader.map_or(-1, |leader| leader.port);
        let mut response = FindCoordinatorResponse::default();
        if head.version >= SEVERAL_SINCE {
            let keys = request.coordinator_keys.into_iter();
            response.coordinators = keys
                .map(|key| Found {
                    key,
                    node_id,
                    host: host.clone().into(),
                    port,
                    error_code: error.0,
                    ..Default::default()
                })
                .collect();
        } else {
            response.error_code = error.0;
            response.node_id = node_id;
            response.host = host.into();
            response.port = port;
        }
        head.answer(&response)
    }
}
