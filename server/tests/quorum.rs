//! Three nodes with files and sockets on this machine.

use std::path::Path;
use std::time::Duration;

use kwire_raft::Config;
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::{FileLog, FileStateStore, LogOptions};
use kwire_raft::message::Request;
use kwire_raft::node::{CallId, Destination, Event, RoleName};
use kwire_raft::types::{Epoch, NodeId, Offset, ReplicaKey, Topic, Uuid};
use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter, VoterSet};
use kwire_server::clients::{Clients, Coordinator, Options, Shared, SharedMachine};
use kwire_server::config::Settings;
use kwire_server::listen::{Limits, Server};
use kwire_server::peers::{KafkasNodes, Peers};
use kwire_server::runner::{self, FileDriver, Handle, Runner, Surroundings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const MAX_FRAME_LEN: usize = 100 << 20;

struct Around(Peers);

impl Surroundings for Around {
    fn send(&mut self, call: CallId, to: Destination, request: Request) {
        self.0.send(call, to, request);
    }

    fn event(&mut self, _: &FileDriver, _: &Event) {}
}

struct Member {
    runner: Runner,
    accepting: JoinHandle<()>,
}

impl Member {
    fn handle(&self) -> Handle {
        self.runner.handle()
    }

    async fn stop(self) {
        self.accepting.abort();
        self.handle().stop();
        let joined = tokio::task::spawn_blocking(|| self.runner.join()).await;
        joined.expect("no panic").expect("no error");
    }
}

fn voter(id: NodeId, port: u16) -> Voter {
    Voter {
        key: ReplicaKey {
            id,
            directory_id: None,
        },
        endpoints: Endpoints::one("CONTROLLER", Address::new("127.0.0.1", port)),
        kraft_versions: KRaftVersions::default(),
    }
}

fn start(id: NodeId, voters: &VoterSet, dir: &Path, listener: TcpListener) -> Member {
    let directory_id = Uuid::from_parts(9, u64::from(id.unsigned_abs()));
    let topic = Topic::performance_test();
    let config = Config {
        cluster_id: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        topic: topic.clone(),
        static_voters: voters.clone(),
        endpoints: voters.get(id).expect("a voter").endpoints.clone(),
        election_timeout_ms: 300,
        fetch_timeout_ms: 600,
        seed: u64::from(id.unsigned_abs()),
        ..Config::new(Some(id), directory_id)
    };
    let files = StdFiles::partition(&dir.join(id.to_string()), &topic).expect("a directory");
    let log = FileLog::open(files.clone(), LogOptions::new(topic.clone())).expect("a log");
    let state = FileStateStore::new(files);
    let runtime = tokio::runtime::Handle::current();
    let runner = runner::start(config, log, state, |node| {
        let client_id = format!("raft-client-{id}");
        let patience = Duration::from_secs(2);
        Ok(Around(Peers::new(
            runtime,
            node,
            client_id,
            patience,
            MAX_FRAME_LEN,
            KafkasNodes::default(),
            "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        )))
    });
    let runner = runner.expect("it starts");
    let shared = Shared {
        machine: SharedMachine::default(),
        coordinator: Coordinator::new(0),
        kafkas: KafkasNodes::default(),
    };
    let clients = Clients::new(
        runner.handle(),
        topic,
        "CONTROLLER".to_owned(),
        shared,
        Options::default(),
        Settings::default(),
    );
    let server = Server::new(clients, Limits::new(MAX_FRAME_LEN));
    let accepting = tokio::spawn(server.run(listener));
    Member { runner, accepting }
}

async fn leader(members: &[Member]) -> usize {
    for _ in 0..1_000 {
        for (index, member) in members.iter().enumerate() {
            let role = member.handle().ask(|driver| driver.node().role()).await;
            if role.expect("it runs") == RoleName::Leader {
                return index;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody leads");
}

/// Has a leader append a value; the epoch and the offset that it got. Nothing if it leads no more.
async fn append(member: &Member, value: &'static [u8]) -> Option<(Epoch, Offset)> {
    let (sent, appended) = tokio::sync::oneshot::channel();
    let command = move |driver: &mut FileDriver, now| {
        let epoch = driver.node().epoch();
        let offset = driver.append(now, epoch, &[value])?;
        let at = offset.ok().map(|offset| (epoch, offset));
        sent.send(at).expect("somebody waits");
        Ok(())
    };
    member.handle().command(command).expect("it runs");
    appended.await.expect("it runs")
}

/// Whether a member comes to know that an offset of an epoch is committed. It does not if another
/// epoch begins before: whoever leads that need not have what nobody knew to be committed.
async fn is_committed(member: &Member, epoch: Epoch, offset: Offset) -> bool {
    let handle = member.handle();
    let mut seen = None;
    for _ in 0..2_000 {
        let known = handle.ask(|driver| {
            let node = driver.node();
            (node.epoch(), node.high_watermark())
        });
        let (now, high_watermark) = known.await.expect("it runs");
        if now == epoch && high_watermark > Some(offset) {
            return true;
        }
        if now > epoch {
            return false;
        }
        seen = Some((now, high_watermark));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("offset {offset} of epoch {epoch} is not committed: {seen:?}");
}

/// Appends a value, again if its leader loses it, until all members know that it is committed.
/// Returns who leads.
async fn commit(members: &[Member], value: &'static [u8]) -> usize {
    'again: for _ in 0..100 {
        let at = leader(members).await;
        let Some((epoch, offset)) = append(&members[at], value).await else {
            continue;
        };
        for member in members {
            if !is_committed(member, epoch, offset).await {
                continue 'again;
            }
        }
        return at;
    }
    panic!("no leader stays for long enough");
}

#[tokio::test]
async fn three_nodes_replicate_and_survive_their_leader() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        listeners.push(listener);
    }
    let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
    let voters: VoterSet = (1..)
        .zip(&listeners)
        .map(|(id, l)| voter(id, port(l)))
        .collect();
    let mut members: Vec<Member> = (1..)
        .zip(listeners)
        .map(|(id, listener)| start(id, &voters, dir.path(), listener))
        .collect();

    let first = commit(&members, b"one").await;
    members.remove(first).stop().await;
    commit(&members, b"two").await;
    for member in members {
        member.stop().await;
    }
}
