//! Three nodes with files and sockets on this machine.

use std::path::Path;
use std::time::Duration;

use kwire_raft::Config;
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::{FileLog, FileStateStore, LogOptions};
use kwire_raft::message::Request;
use kwire_raft::node::{CallId, Destination, Event, RoleName};
use kwire_raft::types::{NodeId, Offset, ReplicaKey, Topic, Uuid};
use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter, VoterSet};
use kwire_server::clients::{Clients, Coordinator, Options, SharedMachine};
use kwire_server::listen::{Limits, Server};
use kwire_server::peers::Peers;
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
        let peers = Peers::new(runtime, node, client_id, patience, MAX_FRAME_LEN);
        Ok(Around(peers))
    });
    let runner = runner.expect("it starts");
    let clients = Clients::new(
        runner.handle(),
        topic,
        "CONTROLLER".to_owned(),
        SharedMachine::default(),
        Coordinator::new(0),
        Options::default(),
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

async fn append(member: &Member, value: &'static [u8]) -> Offset {
    let (sent, appended) = tokio::sync::oneshot::channel();
    let command = move |driver: &mut FileDriver, now| {
        let epoch = driver.node().epoch();
        let offset = driver.append(now, epoch, &[value])?;
        sent.send(offset.expect("it leads"))
            .expect("somebody waits");
        Ok(())
    };
    member.handle().command(command).expect("it runs");
    appended.await.expect("it runs")
}

async fn committed(member: &Member, offset: Offset) {
    let handle = member.handle();
    for _ in 0..1_000 {
        let known = handle.ask(|driver| driver.node().high_watermark());
        if known.await.expect("it runs") > Some(offset) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("offset {offset} is not committed");
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

    let first = leader(&members).await;
    let offset = append(&members[first], b"one").await;
    for member in &members {
        committed(member, offset).await;
    }
    members.remove(first).stop().await;
    let second = leader(&members).await;
    let offset = append(&members[second], b"two").await;
    for member in &members {
        committed(member, offset).await;
    }
    for member in members {
        member.stop().await;
    }
}
