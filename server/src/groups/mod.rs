//! The coordinator of consumer groups of the classic protocol: a state machine without I/O, to
//! which time is told.
//!
//! It is the smallest honest form: groups and their offsets are in the memory of the leader, and
//! gone with it. Members find the next leader and join anew; where nothing is committed there they
//! begin where their `auto.offset.reset` says. There is one partition, and so one offset a group.

mod group;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kwire_protocol::ErrorCode;

use self::group::Group;
pub use self::group::Member;

/// The most groups. Empty ones make room for others.
const MAX_GROUPS: usize = 1_000;
/// The most members of a group, those included that have an id and have not joined yet.
const MAX_MEMBERS: usize = 1_000;
/// The most bytes that all members' ids, subscriptions and assignments may have. Those of a group
/// are in one answer.
const MAX_BYTES: usize = 2 << 20;
/// The most bytes of a group's id: all ids are in one answer.
const MAX_ID_BYTES: usize = 1_000;
/// The most bytes of what is committed beside an offset: `offset.metadata.max.bytes`.
const MAX_METADATA: usize = 4_096;
/// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
const SESSION_MS: std::ops::RangeInclusive<u64> = 6_000..=1_800_000;

/// Milliseconds of a clock that never goes back.
pub type Millis = u64;

/// Who waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A JoinGroup request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// The group.
    pub group: String,
    /// The member's id; empty if it has none yet.
    pub member_id: String,
    /// The id that a static member keeps (KIP-345).
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// After how long without a sign of life the member is taken for gone.
    pub session_timeout_ms: u64,
    /// How long the others may wait for it to join again.
    pub rebalance_timeout_ms: u64,
    /// What kind of group it is, such as `consumer`.
    pub protocol_type: String,
    /// The assignors that the member knows, and what it tells them.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether it has to ask again with the id that it is given (KIP-394).
    pub needs_id: bool,
}

/// The answer to a JoinGroup request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// The error, if it is one.
    pub error: ErrorCode,
    /// The generation; -1 with an error.
    pub generation: i32,
    /// The kind of the group.
    pub protocol_type: Option<String>,
    /// The assignor that all know.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: String,
    /// The member that is answered.
    pub member_id: String,
    /// For the leader, the members: id, instance id, and what each tells the assignor.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// A SyncGroup request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// Who asks.
    pub who: Identity,
    /// The kind of the group, if it is named.
    pub protocol_type: Option<String>,
    /// The assignor, if it is named.
    pub protocol: Option<String>,
    /// What the leader assigns: member and assignment.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to a SyncGroup request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// The error, if it is one.
    pub error: ErrorCode,
    /// The kind of the group.
    pub protocol_type: Option<String>,
    /// The assignor.
    pub protocol: Option<String>,
    /// What was assigned to the member.
    pub assignment: Bytes,
}

/// What had to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// For a JoinGroup.
    Joined(Joined),
    /// For a SyncGroup.
    Synced(Synced),
}

/// A member of a generation, as requests name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The group.
    pub group: String,
    /// The generation; -1 for those who are not members.
    pub generation: i32,
    /// The member's id.
    pub member_id: String,
    /// The id that a static member keeps.
    pub instance_id: Option<String>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset of the next record to read.
    pub offset: i64,
    /// The epoch of the last record that was read, or -1.
    pub leader_epoch: i32,
    /// Whatever the member wants to remember.
    pub metadata: String,
}

/// A group, for tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Kafka's name of the state.
    pub state: &'static str,
    /// The kind of the group.
    pub protocol_type: String,
    /// The assignor, in a generation.
    pub protocol: String,
    /// The members.
    pub members: Vec<Member>,
}

/// All groups. See the [module](self).
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<String, Group>,
    replies: VecDeque<(Ticket, Reply)>,
    initial_delay_ms: u64,
    /// What the ids of members have in common that are given out here, and nowhere else.
    nonce: String,
    given: u64,
}

/// What groups leave behind while they are worked on.
struct Context<'g> {
    now: Millis,
    replies: &'g mut VecDeque<(Ticket, Reply)>,
    initial_delay_ms: u64,
}

impl Context<'_> {
    fn joined(&mut self, ticket: Ticket, joined: Joined) {
        self.replies.push_back((ticket, Reply::Joined(joined)));
    }

    fn refuse_join(&mut self, ticket: Ticket, member_id: &str, error: ErrorCode) {
        let joined = Joined {
            error,
            generation: -1,
            member_id: member_id.to_owned(),
            ..Joined::default()
        };
        self.joined(ticket, joined);
    }

    fn synced(&mut self, ticket: Ticket, synced: Synced) {
        self.replies.push_back((ticket, Reply::Synced(synced)));
    }

    fn refuse_sync(&mut self, ticket: Ticket, error: ErrorCode) {
        let synced = Synced {
            error,
            ..Synced::default()
        };
        self.synced(ticket, synced);
    }
}

impl Groups {
    /// No groups. The first members wait `initial_delay_ms` for others. Members' ids contain
    /// `nonce`, which no other coordinator of the cluster may have had.
    #[must_use]
    pub fn new(initial_delay_ms: u64, nonce: String) -> Groups {
        Groups {
            initial_delay_ms,
            nonce,
            ..Groups::default()
        }
    }

    /// The next reply to somebody who waited.
    pub fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        self.replies.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.groups.values().filter_map(Group::next_timeout).min()
    }

    /// A moment came.
    pub fn handle_timeout(&mut self, now: Millis) {
        let (groups, mut context) = self.parts(now);
        for group in groups.values_mut() {
            group.expire(&mut context);
        }
        groups.retain(|_, group| !group.is_forgettable());
    }

    /// A member joins, or joins again. It is replied to under `ticket`.
    pub fn join(&mut self, now: Millis, ticket: Ticket, join: Join) {
        self.handle_timeout(now);
        if let Err(error) = self.check_join(&join) {
            let (_, mut context) = self.parts(now);
            return context.refuse_join(ticket, &join.member_id, error);
        }
        self.given += 1;
        let new_id = format!("{}-{}-{}", join.client_id, self.nonce, self.given);
        let name = join.group.clone();
        let (groups, mut context) = self.parts(now);
        let group = groups.entry(name).or_default();
        group.join(&mut context, ticket, join, new_id);
        self.forget_unused();
    }

    fn check_join(&mut self, join: &Join) -> Result<(), ErrorCode> {
        if join.group.is_empty() || join.group.len() > MAX_ID_BYTES {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        if !SESSION_MS.contains(&join.session_timeout_ms) {
            return Err(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        let group = self.groups.get(&join.group);
        if group.is_none() && !join.member_id.is_empty() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        // An id is given to whoever asks for one, be it that nobody comes back with it.
        let size = group.map_or(0, Group::member_count);
        let is_new = join.member_id.is_empty();
        if is_new && (size >= MAX_MEMBERS || (group.is_none() && !self.has_room())) {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        let held: usize = self.groups.values().map(Group::bytes).sum();
        if held + group::bytes_of(join) > MAX_BYTES {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        Ok(())
    }

    /// Whether there may be another group: the empty one that was used least recently goes for it.
    fn has_room(&mut self) -> bool {
        if self.groups.len() < MAX_GROUPS {
            return true;
        }
        let empty = self.groups.iter().filter(|(_, group)| group.is_empty());
        let oldest = empty.min_by_key(|(_, group)| group.used_at());
        let oldest = oldest.map(|(name, _)| name.clone());
        oldest.is_some_and(|name| self.groups.remove(&name).is_some())
    }

    fn forget_unused(&mut self) {
        self.groups.retain(|_, group| !group.is_forgettable());
    }

    /// A member asks for its assignment; the leader brings them. It is replied to under `ticket`.
    pub fn sync(&mut self, now: Millis, ticket: Ticket, sync: Sync) {
        self.handle_timeout(now);
        let held: usize = self.groups.values().map(Group::bytes).sum();
        let brought: usize = sync.assignments.iter().map(|(_, bytes)| bytes.len()).sum();
        let (groups, mut context) = self.parts(now);
        match groups.get_mut(&sync.who.group) {
            Some(_) if held + brought > MAX_BYTES => {
                context.refuse_sync(ticket, ErrorCode::GROUP_MAX_SIZE_REACHED);
            }
            Some(group) => group.sync(&mut context, ticket, sync),
            None => context.refuse_sync(ticket, ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    /// A member is alive.
    pub fn heartbeat(&mut self, now: Millis, who: &Identity) -> ErrorCode {
        self.handle_timeout(now);
        let (groups, mut context) = self.parts(now);
        match groups.get_mut(&who.group) {
            Some(group) => group.heartbeat(&mut context, who),
            None => ErrorCode::UNKNOWN_MEMBER_ID,
        }
    }

    /// A member leaves. The generation does not matter.
    pub fn leave(&mut self, now: Millis, who: &Identity) -> ErrorCode {
        self.handle_timeout(now);
        let (groups, mut context) = self.parts(now);
        let error = match groups.get_mut(&who.group) {
            Some(group) => group.leave(&mut context, who),
            None => ErrorCode::UNKNOWN_MEMBER_ID,
        };
        self.forget_unused();
        error
    }

    /// A member, or somebody else while the group is empty, commits an offset.
    pub fn commit(&mut self, now: Millis, who: &Identity, committed: Committed) -> ErrorCode {
        self.handle_timeout(now);
        if committed.metadata.len() > MAX_METADATA {
            return ErrorCode::OFFSET_METADATA_TOO_LARGE;
        }
        if !self.groups.contains_key(&who.group) {
            let error = match () {
                () if who.group.is_empty() || who.group.len() > MAX_ID_BYTES => {
                    ErrorCode::INVALID_GROUP_ID
                }
                () if who.generation >= 0 => ErrorCode::ILLEGAL_GENERATION,
                () if !self.has_room() => ErrorCode::GROUP_MAX_SIZE_REACHED,
                () => ErrorCode::NONE,
            };
            if error.is_error() {
                return error;
            }
        }
        let (groups, mut context) = self.parts(now);
        let group = groups.entry(who.group.clone()).or_default();
        let error = group.commit(&mut context, who, committed);
        self.forget_unused();
        error
    }

    /// What a group committed.
    #[must_use]
    pub fn committed(&self, group: &str) -> Option<&Committed> {
        self.groups.get(group)?.committed()
    }

    /// The groups.
    pub fn list(&self) -> impl Iterator<Item = (&str, &'static str, &str)> {
        self.groups
            .iter()
            .map(|(name, group)| (name.as_str(), group.state_name(), group.protocol_type()))
    }

    /// A group, for tools.
    #[must_use]
    pub fn describe(&self, group: &str) -> Option<Described> {
        self.groups.get(group).map(Group::describe)
    }

    /// Forgets a group that has no members.
    pub fn delete(&mut self, group: &str) -> ErrorCode {
        match self.groups.get(group) {
            None => ErrorCode::GROUP_ID_NOT_FOUND,
            Some(found) if !found.is_empty() => ErrorCode::NON_EMPTY_GROUP,
            Some(_) => {
                self.groups.remove(group);
                ErrorCode::NONE
            }
        }
    }

    fn parts(&mut self, now: Millis) -> (&mut BTreeMap<String, Group>, Context<'_>) {
        let context = Context {
            now,
            replies: &mut self.replies,
            initial_delay_ms: self.initial_delay_ms,
        };
        (&mut self.groups, context)
    }
}
