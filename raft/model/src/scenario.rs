//! What is explored: where it starts, and how far it goes.

use kwire_raft::config::Config;
use kwire_raft::control::Control;
use kwire_raft::types::{NodeId, ReplicaKey};
use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter, VoterSet};

use crate::bounds::Bounds;
use crate::local::{Local, Stepped, directory};
use crate::script::Script;
use crate::store::{ModelLog, ModelState};
use crate::witness::Witness;
use crate::world::{Model, NODES, World};

/// Which rules the quorum has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Voters of the configuration: kraft.version 0.
    Static,
    /// Voters of the log, with their directories: kraft.version 1.
    Dynamic,
}

const LISTENER: &str = "CONTROLLER";

/// Three nodes that never ran before.
///
/// # Errors
/// When they do not start.
pub fn starts(quorum: Quorum) -> Result<Vec<Stepped>, String> {
    let ids: Vec<NodeId> = (0..NODES).map(|id| id as NodeId).collect();
    ids.iter().map(|&id| start(quorum, id, &ids)).collect()
}

fn start(quorum: Quorum, id: NodeId, ids: &[NodeId]) -> Result<Stepped, String> {
    let voters: VoterSet = ids.iter().map(|&id| voter(quorum, id)).collect();
    let mut config = Config {
        cluster_id: "c".to_owned(),
        endpoints: endpoints(id),
        // One batch a Fetch: where a follower may stop is one of the things to try.
        fetch_max_bytes: 1,
        ..Config::new(Some(id), directory(id, 0))
    };
    let log = match quorum {
        Quorum::Static => {
            config.static_voters = voters;
            ModelLog::default()
        }
        Quorum::Dynamic => {
            ModelLog::formatted(vec![Control::KRaftVersion(1), Control::Voters(voters)])
        }
    };
    Local::start(config, log, ModelState::default())
}

/// Where a node listens.
pub(crate) fn endpoints(id: NodeId) -> Endpoints {
    let port = 9_000 + u16::try_from(id).unwrap_or(0);
    Endpoints::one(LISTENER, Address::new("h", port))
}

fn voter(quorum: Quorum, id: NodeId) -> Voter {
    let directory_id = (quorum == Quorum::Dynamic).then(|| directory(id, 0));
    Voter {
        key: ReplicaKey { id, directory_id },
        endpoints: endpoints(id),
        kraft_versions: KRaftVersions::SUPPORTED,
    }
}

/// Where an exploration starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With nodes that never ran.
    Fresh,
    /// With node 0 leading epoch 1, which both others follow, its first record committed.
    Led,
    /// The same, and then node 2 was removed from the voters, and follows as an observer.
    Removed,
}

/// The rules of an exploration and its first state.
///
/// # Errors
/// When something is wrong on the way there.
pub fn begin(scenario: &Scenario) -> Result<(Model, World), String> {
    if scenario.start == Start::Fresh {
        return Model::new(scenario.bounds, starts(scenario.quorum)?);
    }
    let mut script = Script::new(scenario.quorum);
    script.elect(0, 1);
    script.settle(&[0, 1, 2]);
    if scenario.start == Start::Removed {
        script.model.bounds.removals = 1;
        script.remove(0, 2);
        script.settle(&[0, 1, 2]);
        // The observer learns that it is committed only with its next Fetch.
        assert_eq!(script.view(0).voters.len(), NODES - 1, "node 2 is removed");
    }
    if let Some(violation) = script.violation {
        return Err(violation);
    }
    let Script {
        mut model,
        mut world,
        ..
    } = script;
    model.forget_used(&mut world);
    model.lift_symmetry();
    model.bounds = scenario.bounds;
    Ok((model, world))
}

/// An exploration.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The rules.
    pub quorum: Quorum,
    /// Where it starts.
    pub start: Start,
    /// How far it goes.
    pub bounds: Bounds,
    /// What it has to come across.
    pub wants: &'static [Witness],
}
