//! The state in which a node starts, and what it saves in each state.

use super::harness::*;
use super::states::*;
use crate::config::Config;
use crate::control::Control;
use crate::node::{DiskOp, Node, Output, RoleName, StartError};
use crate::types::{Instant, QuorumState, Recovered, ReplicaKey};
use crate::voters::VoterSet;

/// How a node starts that finds this.
fn start(recovered: Recovered) -> (Harness, Vec<Output>) {
    let mut h = Harness::with(config(0, &[0, 1, 2]), recovered);
    let outputs = h.settle();
    (h, outputs)
}

#[test]
fn without_a_file_it_starts_unattached_in_epoch_0() {
    let mut h = Harness::new(&[0, 1, 2]);
    let outputs = h.settle();
    assert_eq!(h.state(), (RoleName::Unattached, 0, None, None));
    assert_eq!(saves(&outputs), [], "nothing is to be remembered");
}

#[test]
fn an_epoch_below_the_logs_gives_way_with_its_vote() {
    for voted in [None, Some(key(0)), Some(key(1))] {
        for leader in [None, Some(0), Some(1)] {
            let (h, outputs) = start(stored(LAST_EPOCH - 1, leader, voted));
            assert_eq!(h.state(), (RoleName::Unattached, LAST_EPOCH, None, None));
            assert_eq!(saves(&outputs), [(LAST_EPOCH, None, None)]);
        }
    }
    let mut log_alone = stored(0, None, None);
    log_alone.quorum_state = None;
    let (h, _) = start(log_alone);
    assert_eq!(h.state(), (RoleName::Unattached, LAST_EPOCH, None, None));
}

/// KAFKA-10527: not the leader of the same epoch again.
#[test]
fn a_leader_starts_resigned() {
    let (mut h, outputs) = start(stored(EPOCH, Some(0), None));
    assert_eq!(h.state(), (RoleName::Resigned, EPOCH, Some(0), None));
    assert_eq!(saves(&outputs), []);
    assert_eq!(h.node.high_watermark(), None);
    h.pass_election_timer();
    assert_eq!(h.node.epoch(), EPOCH + 1);
    assert_ne!(h.node.role(), RoleName::Leader);
}

#[test]
fn who_voted_for_itself_starts_as_candidate() {
    let own_without_directory = ReplicaKey {
        id: 0,
        directory_id: None,
    };
    for voted in [key(0), own_without_directory] {
        let (h, outputs) = start(stored(EPOCH, None, Some(voted)));
        assert_eq!(h.state(), (RoleName::Candidate, EPOCH, None, Some(0)));
        assert_eq!(h.node.voted(), Some(key(0)), "with its directory now");
        assert_eq!(saves(&outputs).len(), usize::from(voted != key(0)));
        assert_eq!(asked(&outputs), [(1, "vote"), (2, "vote")]);
    }
}

/// It lost that election: its log may have records of the epoch, with which nobody can stand in it.
/// Kafka's node stands all the same.
#[test]
fn who_voted_for_itself_and_learned_of_the_leader_follows_it() {
    let (h, _) = start(stored(EPOCH, Some(1), Some(key(0))));
    assert_eq!(h.state(), (RoleName::Follower, EPOCH, Some(1), Some(0)));
}

#[test]
fn a_vote_of_its_former_directory_is_not_its_own() {
    let former = ReplicaKey {
        id: 0,
        directory_id: Some(directory(77)),
    };
    let (h, _) = start(stored(EPOCH, None, Some(former)));
    assert_eq!(h.node.role(), RoleName::Unattached);
    assert_eq!(h.node.voted(), Some(former));
}

#[test]
fn a_follower_starts_as_follower_with_its_vote() {
    for voted in [None, Some(key(1)), Some(key(2))] {
        let (h, outputs) = start(stored(EPOCH, Some(1), voted));
        assert_eq!(h.node.role(), RoleName::Follower);
        assert_eq!((h.node.epoch(), h.node.leader()), (EPOCH, Some(1)));
        assert_eq!(h.node.voted(), voted);
        assert_eq!(saves(&outputs), []);
        assert_eq!(asked(&outputs), [(1, "fetch")]);
    }
}

#[test]
fn a_leader_that_listens_nobody_knows_where_is_remembered() {
    let (h, outputs) = start(stored(EPOCH, Some(STRANGER), Some(key(2))));
    let expected = (RoleName::Unattached, EPOCH, Some(STRANGER), Some(2));
    assert_eq!(h.state(), expected);
    assert_eq!(saves(&outputs), []);
}

#[test]
fn without_leader_it_starts_unattached_with_its_vote() {
    let (h, _) = start(stored(EPOCH, None, Some(key(1))));
    assert_eq!(h.state(), (RoleName::Unattached, EPOCH, None, Some(1)));
    let (h, _) = start(stored(EPOCH, None, None));
    assert_eq!(h.state(), (RoleName::Unattached, EPOCH, None, None));
}

#[test]
fn what_cannot_be_its_state_is_refused() {
    let anonymous = Config {
        id: None,
        ..config(0, &[0, 1])
    };
    let new = |config: Config, recovered| Node::new(Instant(0), config, recovered).map(|_| ());
    assert_eq!(
        new(anonymous.clone(), stored(EPOCH, None, Some(key(1)))),
        Err(StartError::VoteWithoutId)
    );
    assert_eq!(new(anonymous, stored(EPOCH, Some(1), None)), Ok(()));
    let negative = Config {
        id: Some(-3),
        ..config(0, &[0, 1])
    };
    assert_eq!(
        new(negative, Recovered::default()),
        Err(StartError::NegativeId(-3))
    );
    assert_eq!(
        new(config(0, &[0]), stored(-1, None, None)),
        Err(StartError::NegativeState)
    );
    let hasty = Config {
        election_timeout_ms: 0,
        ..config(0, &[0])
    };
    assert_eq!(
        new(hasty, Recovered::default()),
        Err(StartError::NoTimeout(
            "controller.quorum.election.timeout.ms"
        ))
    );
    let impatient = Config {
        fetch_timeout_ms: 0,
        ..config(0, &[0])
    };
    assert_eq!(
        new(impatient, Recovered::default()),
        Err(StartError::NoTimeout("controller.quorum.fetch.timeout.ms"))
    );
}

#[test]
fn a_lone_voter_elects_itself_before_anything_else() {
    let states = [
        (None, EPOCH + 1, "unattached"),
        (Some((None, Some(key(0)))), EPOCH, "candidate"),
        (Some((None, Some(key(1)))), EPOCH + 1, "voted for another"),
        (Some((Some(1), None)), EPOCH + 1, "follower"),
        (Some((Some(0), None)), EPOCH + 1, "resigned"),
    ];
    for (saved, epoch, what) in states {
        let (leader, voted) = saved.unwrap_or_default();
        let mut h = Harness::with(config(0, &[0]), stored(EPOCH, leader, voted));
        assert_eq!(
            h.state(),
            (RoleName::Leader, epoch, Some(0), None),
            "{what}"
        );
        let outputs = h.settle();
        assert_eq!(
            saves(&outputs).last(),
            Some(&(epoch, Some(0), None)),
            "{what}"
        );
        assert_eq!(h.node.high_watermark(), Some(END + 1), "{what}");
    }
}

/// Section 2's table: what is on disk in each state.
#[test]
fn each_state_has_its_saved_form() {
    let own = Some(0);
    let table = [
        (State::Unattached, (EPOCH, None, None)),
        (State::UnattachedVoted, (EPOCH, None, Some(1))),
        (State::UnattachedLeader, (EPOCH, Some(STRANGER), None)),
        (State::Prospective, (EPOCH, None, None)),
        (State::ProspectiveVoted, (EPOCH, None, Some(1))),
        (State::ProspectiveLeader, (EPOCH, Some(1), None)),
        (State::Candidate, (EPOCH, None, own)),
        (State::Leader, (EPOCH, own, None)),
        (State::Follower, (EPOCH, Some(1), None)),
        (State::Resigned, (EPOCH, own, None)),
    ];
    for (state, (epoch, leader, voted)) in table {
        let saved = state.reach().node.saved;
        let voted = voted.map(key);
        let expected = QuorumState {
            epoch,
            leader,
            voted,
        };
        assert_eq!(saved, expected, "{state:?}");
    }
}

#[test]
fn prospective_and_resigned_are_entered_without_a_save() {
    let mut h = State::Unattached.reach();
    let outputs = h.pass_election_timer();
    assert_eq!(h.node.role(), RoleName::Prospective);
    assert_eq!(saves(&outputs), []);

    let mut h = State::Leader.reach();
    h.node.resign(h.now, EPOCH);
    assert_eq!(h.node.role(), RoleName::Resigned);
    assert_eq!(saves(&h.settle()), []);
}

#[test]
fn a_vote_given_while_prospective_is_saved() {
    let mut h = State::Prospective.reach();
    let (_, outputs) = h.request(2, vote(1, EPOCH, false).into());
    assert_eq!(h.state(), (RoleName::Prospective, EPOCH, None, Some(1)));
    assert_eq!(saves(&outputs), [(EPOCH, None, Some(1))]);
}

#[test]
fn a_vote_is_kept_when_the_leader_of_its_epoch_turns_up() {
    let mut h = State::UnattachedVoted.reach();
    let (_, outputs) = h.request(1, begin(2, EPOCH).into());
    assert_eq!(h.state(), (RoleName::Follower, EPOCH, Some(2), Some(1)));
    assert_eq!(saves(&outputs), [(EPOCH, Some(2), Some(1))]);
    // And is gone in the next epoch.
    h.request(1, begin(2, EPOCH + 1).into());
    assert_eq!(h.state(), (RoleName::Follower, EPOCH + 1, Some(2), None));
}

/// The last record counts, committed or not; and no longer when it is truncated.
#[test]
fn the_form_of_the_file_follows_the_last_kraft_version() {
    let voters: VoterSet = [voter(0), voter(1), voter(3)].into_iter().collect();
    let mut recovered = stored(EPOCH, Some(1), None);
    recovered.controls = vec![(8, Control::KRaftVersion(1)), (9, Control::Voters(voters))];
    let (mut h, _) = start(recovered);
    let form = |outputs: &[Output]| {
        let save = disk_ops(outputs).into_iter().find_map(|op| match op {
            DiskOp::SaveQuorumState {
                kraft_version,
                voters,
                ..
            } => Some((kraft_version, voters)),
            _ => None,
        });
        save.expect("a new epoch is saved")
    };
    let (_, outputs) = h.request(1, begin(1, EPOCH + 1).into());
    assert_eq!(form(&outputs), (1, vec![0, 1, 3]));
    h.node.membership.truncate_end(8);
    let (_, outputs) = h.request(1, begin(1, EPOCH + 2).into());
    assert_eq!(form(&outputs), (0, vec![0, 1, 2]));
}

#[test]
fn a_node_that_starts_waits_for_one_and_a_half_election_timeouts_at_most() {
    for seed in 0..1_000 {
        let config = Config {
            seed,
            ..config(0, &[0, 1, 2])
        };
        let h = Harness::with(config, Recovered::default());
        let wait = h.node.election_timer().since(h.now);
        assert!((1_000..1_500).contains(&wait), "{wait} ms with seed {seed}");
    }
}
