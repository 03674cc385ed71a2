//! The machines of a run as they are before it: formatted disks, configurations.

use bytes::Bytes;
use kwire_raft::Config;
use kwire_raft::log::snapshot::{SnapshotOptions, SnapshotWriter};
use kwire_raft::types::{NodeId, OffsetAndEpoch, ReplicaKey, Uuid};
use kwire_raft::voters::{KRaftVersions, Voter, VoterSet};

use crate::clock::Clock;
use crate::disk::{Disk, SimLog};
use crate::host::{Host, LISTENER, address, endpoints};
use crate::rng::{Salt, Stream};
use crate::swarm::Options;
use crate::versions::Versions;

/// The directory that a machine has, the first or a later one.
#[must_use]
pub(crate) fn directory(index: usize, generation: u64) -> Uuid {
    Uuid::from_parts(0x6469_7265_0000_0000 | index as u64, 1 + generation)
}

/// The id of a machine's node.
#[must_use]
pub(crate) fn node_id(index: usize) -> NodeId {
    NodeId::try_from(index).unwrap_or(NodeId::MAX) + 1
}

/// The voters at the beginning.
fn first_voters(options: &Options) -> VoterSet {
    let with_directories = options.kraft_version > 0;
    let voter = |index| Voter {
        key: ReplicaKey {
            id: node_id(index),
            directory_id: with_directories.then(|| directory(index, 0)),
        },
        endpoints: endpoints(index, 0),
        kraft_versions: KRaftVersions::SUPPORTED,
    };
    (0..options.voters).map(voter).collect()
}

fn bootstrap(voters: VoterSet) -> (OffsetAndEpoch, Bytes) {
    let id = OffsetAndEpoch::BOOTSTRAP;
    let options = SnapshotOptions::new(id, 0, 0).with_voters(voters);
    let writer = SnapshotWriter::new(options);
    let bytes = writer.finish().expect("control batches only");
    (id, bytes.into())
}

/// All machines, which are off.
pub(crate) fn hosts<L: SimLog>(options: &Options) -> Vec<Host<L>> {
    let mut clocks = Stream::new(options.seed, Salt::Clock);
    let mut swarm = Stream::new(options.seed.rotate_left(32), Salt::Swarm);
    let voters = first_voters(options);
    let count = options.voters + options.observers;
    (0..count)
        .map(|index| {
            let is_voter = index < options.voters;
            let nameless = !is_voter && options.kraft_version == 0 && swarm.permille(300);
            let config = config(options, index, &voters, nameless);
            let old = options.mixed_versions && swarm.permille(500);
            let versions = if old {
                Versions::draw(&mut swarm, options.kraft_version > 0)
            } else {
                Versions::newest()
            };
            let has_voters = options.kraft_version > 0 && is_voter;
            let disk = Disk::format(has_voters.then(|| bootstrap(voters.clone())));
            let clock = Clock::draw(&mut clocks, options.drift_permille);
            Host::new(index, config, clock, versions, disk)
        })
        .collect()
}

fn config(options: &Options, index: usize, voters: &VoterSet, nameless: bool) -> Config {
    let timers = &options.timers;
    let id = (!nameless).then(|| node_id(index));
    let is_voter = index < options.voters;
    let mut config = Config::new(id, directory(index, 0));
    config.cluster_id = "simulated".to_owned();
    config.listener = LISTENER.to_owned();
    config.endpoints = endpoints(index, 0);
    if options.kraft_version == 0 {
        config.static_voters = voters.clone();
    }
    if options.kraft_version > 0 || index % 2 == 1 {
        // Voters come and go: all machines are worth asking.
        let count = options.voters + options.observers;
        config.bootstrap_servers = (0..count).map(|i| address(i, 0)).collect();
    }
    config.election_timeout_ms = timers.election_timeout_ms;
    config.election_backoff_max_ms = timers.election_timeout_ms;
    config.fetch_timeout_ms = timers.fetch_timeout_ms;
    config.request_timeout_ms = timers.request_timeout_ms;
    config.retry_backoff_ms = timers.retry_backoff_ms;
    config.append_linger_ms = timers.append_linger_ms;
    config.fetch_max_wait_ms = timers.fetch_max_wait_ms;
    config.fetch_max_bytes = timers.fetch_max_bytes;
    config.fetch_snapshot_max_bytes = timers.fetch_snapshot_max_bytes;
    config.max_batch_bytes = 4_000;
    config.auto_join = options.auto_join && !is_voter && !nameless;
    config.can_become_voter = !nameless;
    config
}
