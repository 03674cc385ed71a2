//! One group.
//!
//! ```text
//! Empty ---> Preparing ---> Completing ---> Stable
//!   ^          ^    all have   |   leader     |
//!   |          |    joined     |   assigns    |
//!   '-- none --'---------------'--------------'  somebody joins, leaves or is gone
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use kwire_protocol::ErrorCode;

use super::{Committed, Context, Described, Identity, Join, Joined, Millis, Sync, Synced, Ticket};

/// Nobody is waited for longer to join again.
const MAX_REBALANCE_MS: u64 = 30 * 60 * 1_000;

/// The most assignors that a member may know.
const MAX_PROTOCOLS: usize = 100;

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The id that a static member keeps.
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// What was assigned to it.
    pub assignment: Bytes,
    protocols: Vec<(String, Bytes)>,
    session_ms: u64,
    rebalance_ms: u64,
    expires: Millis,
    joining: Option<Ticket>,
    syncing: Option<Ticket>,
    has_synced: bool,
}

impl Member {
    /// What it told an assignor.
    #[must_use]
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let mut protocols = self.protocols.iter();
        let found = protocols.find(|(name, _)| name == protocol);
        found.map_or_else(Bytes::new, |(_, metadata)| metadata.clone())
    }

    fn new(id: String, join: Join) -> Member {
        Member {
            id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            assignment: Bytes::new(),
            protocols: join.protocols,
            session_ms: join.session_timeout_ms,
            rebalance_ms: join.rebalance_timeout_ms.min(MAX_REBALANCE_MS),
            expires: Millis::MAX,
            joining: None,
            syncing: None,
            has_synced: false,
        }
    }

    fn is_alive(&mut self, now: Millis) {
        self.expires = now.saturating_add(self.session_ms);
    }

    fn is_waiting(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    fn bytes(&self) -> usize {
        let protocols = self.protocols.iter();
        let protocols: usize = protocols.map(|(name, m)| name.len() + m.len()).sum();
        let ids =
            self.id.len() + self.client_id.len() + self.instance_id.as_ref().map_or(0, String::len);
        protocols + ids + self.assignment.len() + size_of::<Member>()
    }
}

/// The bytes that a member holds once it has joined.
pub(super) fn bytes_of(join: &Join) -> usize {
    let protocols = join.protocols.iter();
    let protocols: usize = protocols.map(|(name, m)| name.len() + m.len()).sum();
    let ids = join.group.len() + join.client_id.len() + join.member_id.len();
    protocols + 2 * ids + size_of::<Member>()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    /// Members are to join until then; the first of all wait for it in any case.
    Preparing {
        until: Millis,
        is_initial: bool,
    },
    /// The leader is to assign until then.
    Completing {
        until: Millis,
    },
    Stable,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    state: State,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids that were given out and not used yet, and until when they are good.
    pending: BTreeMap<String, Millis>,
    committed: Option<Committed>,
    used_at: Millis,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Whether nothing is lost with it.
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_empty() && self.committed.is_none()
    }

    pub(super) fn used_at(&self) -> Millis {
        self.used_at
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.len() + self.pending.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let members: usize = self.members.values().map(Member::bytes).sum();
        let pending: usize = self.pending.keys().map(|id| id.len() + 32).sum();
        members + pending + size_of::<Group>()
    }

    pub(super) fn committed(&self) -> Option<&Committed> {
        self.committed.as_ref()
    }

    pub(super) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    pub(super) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Preparing { .. } => "PreparingRebalance",
            State::Completing { .. } => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    pub(super) fn describe(&self) -> Described {
        Described {
            state: self.state_name(),
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            members: self.members.values().cloned().collect(),
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Millis> {
        let of_state = match self.state {
            State::Preparing { until, .. } | State::Completing { until } => Some(until),
            State::Empty | State::Stable => None,
        };
        let sessions = self.members.values().filter(|member| !member.is_waiting());
        let sessions = sessions.map(|member| member.expires);
        let pending = self.pending.values().copied();
        of_state.into_iter().chain(sessions).chain(pending).min()
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        self.pending.retain(|_, until| *until > now);
        let is_gone = |member: &&Member| !member.is_waiting() && member.expires <= now;
        let gone = self.members.values().filter(is_gone);
        for id in gone.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.remove(context, &id);
        }
        match self.state {
            State::Preparing { until, .. } if until <= now => self.complete_join(context),
            State::Completing { until } if until <= now => {
                let late = self.members.values().filter(|member| !member.has_synced);
                for id in late.map(|member| member.id.clone()).collect::<Vec<_>>() {
                    self.remove(context, &id);
                }
            }
            _ => {}
        }
    }

    // Joining.

    pub(super) fn join(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        join: Join,
        new_id: String,
    ) {
        self.used_at = context.now;
        let asked = join.member_id.clone();
        if !self.can_take(&join) {
            let error = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
            return context.refuse_join(ticket, &asked, error);
        }
        let of_instance = self.of_instance(join.instance_id.as_deref());
        if asked.is_empty() {
            if let Some(old) = of_instance {
                // A static member that was started again takes its own place.
                self.drop_member(context, &old, ErrorCode::FENCED_INSTANCE_ID);
            } else if join.needs_id && join.instance_id.is_none() {
                let until = context.now.saturating_add(join.session_timeout_ms);
                self.pending.insert(new_id.clone(), until);
                return context.refuse_join(ticket, &new_id, ErrorCode::MEMBER_ID_REQUIRED);
            }
            return self.add(context, ticket, new_id, join);
        }
        if self.pending.remove(&asked).is_some() {
            return self.add(context, ticket, asked, join);
        }
        match of_instance {
            Some(id) if id != asked => {
                context.refuse_join(ticket, &asked, ErrorCode::FENCED_INSTANCE_ID);
            }
            _ if self.members.contains_key(&asked) => self.rejoin(context, ticket, asked, join),
            _ => context.refuse_join(ticket, &asked, ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    fn of_instance(&self, instance_id: Option<&str>) -> Option<String> {
        let instance_id = instance_id?;
        let mut members = self.members.values();
        let found = members.find(|member| member.instance_id.as_deref() == Some(instance_id));
        found.map(|member| member.id.clone())
    }

    /// Whether a member has an assignor that all others have.
    fn can_take(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || !(1..=MAX_PROTOCOLS).contains(&join.protocols.len()) {
            return false;
        }
        let others = self
            .members
            .values()
            .filter(|other| other.id != join.member_id);
        let mut others = others.peekable();
        if others.peek().is_none() {
            return true;
        }
        let others: Vec<&Member> = others.collect();
        let has = |member: &&Member, name: &String| member.protocols.iter().any(|(n, _)| n == name);
        let is_common = |name: &String| others.iter().all(|member| has(member, name));
        self.protocol_type == join.protocol_type
            && join.protocols.iter().any(|(name, _)| is_common(name))
    }

    fn add(&mut self, context: &mut Context<'_>, ticket: Ticket, id: String, join: Join) {
        self.protocol_type.clone_from(&join.protocol_type);
        let mut member = Member::new(id.clone(), join);
        member.joining = Some(ticket);
        self.members.insert(id, member);
        self.prepare(context);
    }

    fn rejoin(&mut self, context: &mut Context<'_>, ticket: Ticket, id: String, join: Join) {
        let is_leader = self.leader == id;
        let state = self.state;
        self.protocol_type.clone_from(&join.protocol_type);
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let is_same = member.protocols == join.protocols;
        let is_settled = match state {
            State::Stable => is_same && !is_leader,
            State::Completing { .. } => is_same,
            State::Empty | State::Preparing { .. } => false,
        };
        if is_settled {
            // It did not hear the answer, or has nothing new.
            member.is_alive(context.now);
            let joined = self.joined(&id);
            return context.joined(ticket, joined);
        }
        // Who asks twice hears of it once.
        if let Some(old) = member.joining.replace(ticket) {
            context.refuse_join(old, &id, ErrorCode::REBALANCE_IN_PROGRESS);
        }
        member.protocols = join.protocols;
        member.session_ms = join.session_timeout_ms;
        member.rebalance_ms = join.rebalance_timeout_ms.min(MAX_REBALANCE_MS);
        self.prepare(context);
    }

    /// Has all members join, and goes on if they have.
    fn prepare(&mut self, context: &mut Context<'_>) {
        let longest = self
            .members
            .values()
            .map(|member| member.rebalance_ms)
            .max();
        let longest = longest.unwrap_or(0);
        let now = context.now;
        self.state = match self.state {
            State::Preparing { until, is_initial } => State::Preparing { until, is_initial },
            State::Empty => State::Preparing {
                until: now.saturating_add(context.initial_delay_ms.min(longest)),
                is_initial: true,
            },
            State::Completing { .. } | State::Stable => {
                for member in self.members.values_mut() {
                    if let Some(ticket) = member.syncing.take() {
                        context.refuse_sync(ticket, ErrorCode::REBALANCE_IN_PROGRESS);
                        member.is_alive(now);
                    }
                }
                State::Preparing {
                    until: now.saturating_add(longest),
                    is_initial: false,
                }
            }
        };
        self.complete_if_due(context);
    }

    fn complete_if_due(&mut self, context: &mut Context<'_>) {
        let State::Preparing { until, is_initial } = self.state else {
            return;
        };
        let have_all = self.members.values().all(|member| member.joining.is_some());
        if until <= context.now || (have_all && !is_initial) {
            self.complete_join(context);
        }
    }

    /// Begins a generation with those who have joined.
    fn complete_join(&mut self, context: &mut Context<'_>) {
        self.members.retain(|_, member| member.joining.is_some());
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.state = State::Empty;
            self.protocol.clear();
            self.leader.clear();
            return;
        }
        self.protocol = self.choose_protocol();
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        let longest = self
            .members
            .values()
            .map(|member| member.rebalance_ms)
            .max();
        self.state = State::Completing {
            until: context.now.saturating_add(longest.unwrap_or(0).max(1)),
        };
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            member.is_alive(context.now);
            member.assignment = Bytes::new();
            member.has_synced = false;
            if let Some(ticket) = member.joining.take() {
                context.joined(ticket, joined);
            }
        }
    }

    /// The assignor that all have and most like best.
    fn choose_protocol(&self) -> String {
        let has = |member: &Member, name: &String| member.protocols.iter().any(|(n, _)| n == name);
        let is_common = |name: &String| self.members.values().all(|member| has(member, name));
        let mut votes: BTreeMap<&String, usize> = BTreeMap::new();
        for member in self.members.values() {
            let names = member.protocols.iter().map(|(name, _)| name);
            if let Some(best) = names.into_iter().find(|name| is_common(name)) {
                *votes.entry(best).or_default() += 1;
            }
        }
        let best = votes.into_iter().max_by_key(|(_, votes)| *votes);
        best.map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn joined(&self, id: &str) -> Joined {
        let members = if self.leader == id {
            let members = self.members.values();
            members
                .map(|member| {
                    let metadata = member.metadata(&self.protocol);
                    (member.id.clone(), member.instance_id.clone(), metadata)
                })
                .collect()
        } else {
            Vec::new()
        };
        Joined {
            error: ErrorCode::NONE,
            generation: self.generation,
            protocol_type: Some(self.protocol_type.clone()),
            protocol: Some(self.protocol.clone()),
            leader: self.leader.clone(),
            member_id: id.to_owned(),
            members,
        }
    }

    // What members do.

    /// Whether a member is who it says, and of this generation.
    fn check(&self, who: &Identity) -> Result<(), ErrorCode> {
        if let Some(id) = self.of_instance(who.instance_id.as_deref())
            && id != who.member_id
        {
            return Err(ErrorCode::FENCED_INSTANCE_ID);
        }
        if !self.members.contains_key(&who.member_id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if who.generation != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, context: &mut Context<'_>, ticket: Ticket, sync: Sync) {
        self.used_at = context.now;
        if let Err(error) = self.check(&sync.who) {
            return context.refuse_sync(ticket, error);
        }
        let differs =
            |named: &Option<String>, own: &String| named.as_ref().is_some_and(|n| n != own);
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return context.refuse_sync(ticket, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        match self.state {
            State::Empty => context.refuse_sync(ticket, ErrorCode::UNKNOWN_MEMBER_ID),
            State::Preparing { .. } => {
                context.refuse_sync(ticket, ErrorCode::REBALANCE_IN_PROGRESS);
            }
            State::Stable => self.answer_sync(context, ticket, &sync.who.member_id),
            State::Completing { .. } => {
                let is_leader = self.leader == sync.who.member_id;
                if let Some(member) = self.members.get_mut(&sync.who.member_id) {
                    member.has_synced = true;
                    if let Some(old) = member.syncing.replace(ticket) {
                        context.refuse_sync(old, ErrorCode::REBALANCE_IN_PROGRESS);
                    }
                }
                if is_leader {
                    self.assign(context, sync.assignments);
                }
            }
        }
    }

    fn assign(&mut self, context: &mut Context<'_>, assignments: Vec<(String, Bytes)>) {
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let waiting = self.members.get_mut(&id).and_then(|m| m.syncing.take());
            if let Some(ticket) = waiting {
                self.answer_sync(context, ticket, &id);
            }
        }
    }

    fn answer_sync(&mut self, context: &mut Context<'_>, ticket: Ticket, id: &str) {
        let Some(member) = self.members.get_mut(id) else {
            return context.refuse_sync(ticket, ErrorCode::UNKNOWN_MEMBER_ID);
        };
        member.is_alive(context.now);
        let synced = Synced {
            error: ErrorCode::NONE,
            protocol_type: Some(self.protocol_type.clone()),
            protocol: Some(self.protocol.clone()),
            assignment: member.assignment.clone(),
        };
        context.synced(ticket, synced);
    }

    pub(super) fn heartbeat(&mut self, context: &mut Context<'_>, who: &Identity) -> ErrorCode {
        self.used_at = context.now;
        if let Err(error) = self.check(who) {
            return error;
        }
        if let Some(member) = self.members.get_mut(&who.member_id) {
            member.is_alive(context.now);
        }
        match self.state {
            State::Empty => ErrorCode::UNKNOWN_MEMBER_ID,
            State::Preparing { .. } => ErrorCode::REBALANCE_IN_PROGRESS,
            State::Completing { .. } | State::Stable => ErrorCode::NONE,
        }
    }

    pub(super) fn leave(&mut self, context: &mut Context<'_>, who: &Identity) -> ErrorCode {
        self.used_at = context.now;
        let of_instance = self.of_instance(who.instance_id.as_deref());
        let id = match of_instance {
            // An administrator names the instance alone.
            Some(id) if who.member_id.is_empty() || id == who.member_id => id,
            Some(_) => return ErrorCode::FENCED_INSTANCE_ID,
            None if who.instance_id.is_some() => return ErrorCode::UNKNOWN_MEMBER_ID,
            None => who.member_id.clone(),
        };
        if self.pending.remove(&id).is_some() {
            return ErrorCode::NONE;
        }
        if !self.members.contains_key(&id) {
            return ErrorCode::UNKNOWN_MEMBER_ID;
        }
        self.remove(context, &id);
        ErrorCode::NONE
    }

    pub(super) fn commit(
        &mut self,
        context: &mut Context<'_>,
        who: &Identity,
        committed: Committed,
    ) -> ErrorCode {
        self.used_at = context.now;
        let is_outside = who.generation < 0 && who.member_id.is_empty();
        if !(is_outside && self.state == State::Empty) {
            if let Err(error) = self.check(who) {
                return error;
            }
            if matches!(self.state, State::Completing { .. }) {
                return ErrorCode::REBALANCE_IN_PROGRESS;
            }
            if let Some(member) = self.members.get_mut(&who.member_id) {
                member.is_alive(context.now);
            }
        }
        self.committed = Some(committed);
        ErrorCode::NONE
    }

    // Members that go.

    /// Removes a member, and has the others join again.
    fn remove(&mut self, context: &mut Context<'_>, id: &str) {
        self.drop_member(context, id, ErrorCode::UNKNOWN_MEMBER_ID);
        match self.state {
            State::Empty => {}
            _ if self.members.is_empty() => self.complete_join(context),
            State::Preparing { .. } => self.complete_if_due(context),
            State::Completing { .. } | State::Stable => self.prepare(context),
        }
    }

    /// Removes a member, and tells whoever waits in its name.
    fn drop_member(&mut self, context: &mut Context<'_>, id: &str, error: ErrorCode) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(ticket) = member.joining {
            context.refuse_join(ticket, id, error);
        }
        if let Some(ticket) = member.syncing {
            context.refuse_sync(ticket, error);
        }
    }
}
