use super::*;

struct Harness {
    groups: Groups,
    now: Millis,
    tickets: u64,
}

fn joining(member_id: &str) -> Join {
    Join {
        group: "g".to_owned(),
        member_id: member_id.to_owned(),
        client_id: "c".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![
            ("range".to_owned(), Bytes::from_static(b"r")),
            ("roundrobin".to_owned(), Bytes::from_static(b"rr")),
        ],
        needs_id: true,
        ..Join::default()
    }
}

fn who(member_id: &str, generation: i32) -> Identity {
    Identity {
        group: "g".to_owned(),
        generation,
        member_id: member_id.to_owned(),
        instance_id: None,
    }
}

impl Harness {
    fn new() -> Harness {
        Harness {
            groups: Groups::new(100, "7".to_owned()),
            now: 0,
            tickets: 0,
        }
    }

    fn pass(&mut self, ms: Millis) {
        self.now += ms;
        self.groups.handle_timeout(self.now);
    }

    fn join(&mut self, join: Join) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.groups.join(self.now, ticket, join);
        ticket
    }

    fn sync(
        &mut self,
        member_id: &str,
        generation: i32,
        assigned: &[(&str, &'static [u8])],
    ) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let assigned = assigned.iter();
        let assignments = assigned
            .map(|(id, bytes)| ((*id).to_owned(), Bytes::from_static(bytes)))
            .collect();
        let sync = Sync {
            who: who(member_id, generation),
            assignments,
            ..Sync::default()
        };
        self.groups.sync(self.now, ticket, sync);
        ticket
    }

    fn replies(&mut self) -> Vec<(Ticket, Reply)> {
        std::iter::from_fn(|| self.groups.poll_reply()).collect()
    }

    fn joined(&mut self, ticket: Ticket) -> Joined {
        match &self.replies()[..] {
            [(found, Reply::Joined(joined))] if *found == ticket => joined.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn synced(&mut self, ticket: Ticket) -> Synced {
        match &self.replies()[..] {
            [(found, Reply::Synced(synced))] if *found == ticket => synced.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn new_id(&mut self) -> String {
        let ticket = self.join(joining(""));
        let joined = self.joined(ticket);
        assert_eq!(joined.error, ErrorCode::MEMBER_ID_REQUIRED);
        joined.member_id
    }

    /// A group with one member, in its first generation.
    fn one(&mut self) -> String {
        let id = self.new_id();
        let ticket = self.join(joining(&id));
        assert_eq!(self.replies(), []);
        self.pass(100);
        let joined = self.joined(ticket);
        assert_eq!((joined.error, joined.generation), (ErrorCode::NONE, 1));
        assert_eq!((&joined.leader, joined.members.len()), (&id, 1));
        assert_eq!(joined.protocol.as_deref(), Some("range"));
        let ticket = self.sync(&id, 1, &[(&id, b"all")]);
        assert_eq!(self.synced(ticket).assignment, "all");
        id
    }
}

#[test]
fn a_member_joins_reads_and_leaves() {
    let mut h = Harness::new();
    let id = h.one();
    assert_eq!(h.groups.heartbeat(h.now, &who(&id, 1)), ErrorCode::NONE);
    let committed = Committed {
        offset: 9,
        leader_epoch: 1,
        metadata: String::new(),
    };
    let error = h.groups.commit(h.now, &who(&id, 1), committed.clone());
    assert_eq!(error, ErrorCode::NONE);
    assert_eq!(
        h.groups.commit(h.now, &who(&id, 2), committed.clone()),
        ErrorCode::ILLEGAL_GENERATION
    );
    assert_eq!(h.groups.delete("g"), ErrorCode::NON_EMPTY_GROUP);
    assert_eq!(h.groups.leave(h.now, &who(&id, -1)), ErrorCode::NONE);
    assert_eq!(
        h.groups.leave(h.now, &who(&id, -1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    assert_eq!(h.groups.committed("g"), Some(&committed));
    assert_eq!(
        h.groups.describe("g").expect("it has an offset").state,
        "Empty"
    );
    assert_eq!(h.groups.delete("g"), ErrorCode::NONE);
    assert_eq!(h.groups.committed("g"), None);
}

#[test]
fn a_second_member_has_the_first_join_again() {
    let mut h = Harness::new();
    let first = h.one();
    let second = h.new_id();
    let second_joins = h.join(joining(&second));
    assert_eq!(h.replies(), []);
    assert_eq!(
        h.groups.heartbeat(h.now, &who(&first, 1)),
        ErrorCode::REBALANCE_IN_PROGRESS
    );
    let first_joins = h.join(joining(&first));
    let replies = h.replies();
    let joined = |ticket| {
        let found = replies.iter().find(|(other, _)| *other == ticket);
        match found {
            Some((_, Reply::Joined(joined))) => joined.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(joined(first_joins).members.len(), 2, "it still leads");
    assert_eq!(joined(second_joins).members.len(), 0);
    assert_eq!(joined(second_joins).generation, 2);
    let waits = h.sync(&second, 2, &[]);
    assert_eq!(h.replies(), []);
    let leads = h.sync(&first, 2, &[(&second, b"all")]);
    let replies = h.replies();
    let assigned = |ticket| match replies.iter().find(|(other, _)| *other == ticket) {
        Some((_, Reply::Synced(synced))) => synced.assignment.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (assigned(leads), assigned(waits)),
        (Bytes::new(), Bytes::from_static(b"all"))
    );
    // Asked again, it says the same.
    let again = h.sync(&second, 2, &[]);
    assert_eq!(h.synced(again).assignment, "all");
}

#[test]
fn who_gives_no_sign_of_life_is_gone() {
    let mut h = Harness::new();
    let id = h.one();
    h.pass(9_000);
    assert_eq!(h.groups.heartbeat(h.now, &who(&id, 1)), ErrorCode::NONE);
    h.pass(9_999);
    assert_eq!(h.groups.heartbeat(h.now, &who(&id, 1)), ErrorCode::NONE);
    h.pass(10_000);
    assert_eq!(
        h.groups.heartbeat(h.now, &who(&id, 1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    assert!(h.groups.describe("g").is_none(), "it has committed nothing");
    assert_eq!(h.groups.poll_timeout(), None);
}

#[test]
fn nobody_is_waited_for_longer_than_the_rebalance_timeout() {
    let mut h = Harness::new();
    let first = h.one();
    let second = h.new_id();
    let joins = h.join(joining(&second));
    for _ in 0..10 {
        h.pass(5_999);
        let beat = h.groups.heartbeat(h.now, &who(&first, 1));
        assert_eq!(beat, ErrorCode::REBALANCE_IN_PROGRESS);
        assert_eq!(h.replies(), []);
    }
    h.pass(10);
    let joined = h.joined(joins);
    assert_eq!(
        (joined.leader.as_str(), joined.generation),
        (second.as_str(), 2)
    );
    assert_eq!(
        h.groups.heartbeat(h.now, &who(&first, 1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    // And a leader that does not assign is not waited for either.
    for _ in 0..7 {
        h.pass(9_000);
        h.groups.heartbeat(h.now, &who(&second, 2));
    }
    assert_eq!(
        h.groups.heartbeat(h.now, &who(&second, 2)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
}

#[test]
fn what_is_not_right_is_refused() {
    let mut h = Harness::new();
    let id = h.one();
    let mut refused = |join: Join| {
        let ticket = h.join(join);
        h.joined(ticket).error
    };
    let of = |change: fn(&mut Join)| {
        let mut join = joining("");
        change(&mut join);
        join
    };
    let no_group = of(|join| join.group.clear());
    assert_eq!(refused(no_group), ErrorCode::INVALID_GROUP_ID);
    let short = of(|join| join.session_timeout_ms = 1);
    assert_eq!(refused(short), ErrorCode::INVALID_SESSION_TIMEOUT);
    let other_type = of(|join| join.protocol_type = "connect".to_owned());
    assert_eq!(refused(other_type), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let other_assignor = of(|join| join.protocols = vec![("x".to_owned(), Bytes::new())]);
    assert_eq!(
        refused(other_assignor),
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL
    );
    let none = of(|join| join.protocols.clear());
    assert_eq!(refused(none), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(refused(joining("nobody")), ErrorCode::UNKNOWN_MEMBER_ID);
    let ticket = h.sync("nobody", 1, &[]);
    assert_eq!(h.synced(ticket).error, ErrorCode::UNKNOWN_MEMBER_ID);
    let ticket = h.sync(&id, 3, &[]);
    assert_eq!(h.synced(ticket).error, ErrorCode::ILLEGAL_GENERATION);
    let committed = Committed {
        offset: 1,
        leader_epoch: -1,
        metadata: "x".repeat(5_000),
    };
    let error = h.groups.commit(h.now, &who(&id, 1), committed);
    assert_eq!(error, ErrorCode::OFFSET_METADATA_TOO_LARGE);
}

#[test]
fn a_static_member_takes_its_own_place() {
    let mut h = Harness::new();
    let statically = |member_id: &str| Join {
        instance_id: Some("i".to_owned()),
        ..joining(member_id)
    };
    let ticket = h.join(statically(""));
    h.pass(100);
    let old = h.joined(ticket).member_id;
    let ticket = h.join(statically(""));
    let new = h.joined(ticket);
    assert_eq!((new.error, new.generation), (ErrorCode::NONE, 2));
    assert_ne!(new.member_id, old);
    let old = Identity {
        instance_id: Some("i".to_owned()),
        ..who(&old, 2)
    };
    assert_eq!(
        h.groups.heartbeat(h.now, &old),
        ErrorCode::FENCED_INSTANCE_ID
    );
}

#[test]
fn anybody_may_commit_for_a_group_without_members() {
    let mut h = Harness::new();
    let committed = |offset| Committed {
        offset,
        leader_epoch: -1,
        metadata: String::new(),
    };
    assert_eq!(
        h.groups.commit(0, &who("", -1), committed(3)),
        ErrorCode::NONE
    );
    h.one();
    assert_eq!(
        h.groups.commit(h.now, &who("", -1), committed(4)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    assert_eq!(h.groups.committed("g"), Some(&committed(3)));
}

#[test]
fn there_are_only_so_many() {
    let mut h = Harness::new();
    let committed = Committed {
        offset: 1,
        leader_epoch: -1,
        metadata: String::new(),
    };
    for number in 0..MAX_GROUPS + 5 {
        let who = Identity {
            group: number.to_string(),
            generation: -1,
            ..Identity::default()
        };
        let at = Millis::try_from(number).expect("few");
        assert_eq!(
            h.groups.commit(at, &who, committed.clone()),
            ErrorCode::NONE
        );
    }
    assert_eq!(h.groups.list().count(), MAX_GROUPS);
    assert!(h.groups.committed("4").is_none() && h.groups.committed("5").is_some());
    let mut last = ErrorCode::NONE;
    for _ in 0..=MAX_MEMBERS {
        let ticket = h.join(joining(""));
        last = h.joined(ticket).error;
    }
    assert_eq!(last, ErrorCode::GROUP_MAX_SIZE_REACHED);
    h.pass(10_000);
    assert!(h.groups.describe("g").is_none(), "nobody came back");
    let large = Join {
        protocols: vec![("range".to_owned(), Bytes::from(vec![0; MAX_BYTES]))],
        ..joining("")
    };
    let ticket = h.join(large);
    assert_eq!(h.joined(ticket).error, ErrorCode::GROUP_MAX_SIZE_REACHED);
}
