//! A whole server: directory, log, node, listeners and workload.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use kwire_protocol::Uuid;
use kwire_raft::driver::StateStore;
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::{FileLog, FileStateStore, LogError, StateError};
use kwire_raft::message::Request;
use kwire_raft::node::{CallId, Destination, Event, RoleName};
use kwire_raft::types::{Epoch, Instant, NodeId, Offset, Topic};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tracing::{info, warn};

use crate::clients::{self, Clients, Coordinator, SharedMachine, replay, restore};
use crate::config::{Retention, ServerConfig};
use crate::directory::{Directory, DirectoryError, QUORUM_STATE, Unformatted};
use crate::format::{self, FormatError};
use crate::listen;
use crate::peers::{KafkasNodes, Peers};
use crate::runner::{
    self, FileDriver, FileDriverError, Gone, Handle, Runner, StartError, Surroundings,
};
use crate::snapshots::Snapshots;
use crate::workload::{Acknowledged, Load, Report, Workload, WrongSize};

/// What a server is to be, beside its properties.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its properties.
    pub config: ServerConfig,
    /// The topic that is replicated.
    pub topic: Topic,
    /// What it writes while it leads.
    pub load: Option<Load>,
    /// The directory's id, which it has to have, or gets if it is new.
    pub directory_id: Option<Uuid>,
    /// What to do about a directory that nobody formatted.
    pub unformatted: Unformatted,
    /// Whether to start although the log's `quorum-state` is lost.
    pub accept_lost_state: bool,
}

/// A server that runs.
pub struct Server {
    runner: Runner,
    runtime: Runtime,
    addresses: Vec<(String, SocketAddr)>,
    reports: mpsc::Receiver<Report>,
    stopped: mpsc::Receiver<bool>,
    acknowledged: SharedAcknowledged,
    directory: Directory,
}

/// What a node is, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is.
    pub role: RoleName,
    /// In which epoch.
    pub epoch: Epoch,
    /// Who leads that, where known.
    pub leader: Option<NodeId>,
    /// Before which offset the log is committed, as far as the node knows.
    pub high_watermark: Option<Offset>,
    /// Where its log ends.
    pub log_end: Offset,
    /// What its workload knows to be committed.
    pub acknowledged: Option<Acknowledged>,
}

type SharedAcknowledged = Arc<Mutex<Option<Acknowledged>>>;

/// Why a server does not run.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// Its directory cannot be used.
    Directory(DirectoryError),
    /// The voters that it was formatted with cannot be read or passed on.
    Format(FormatError),
    /// Its log cannot be.
    Log(LogError),
    /// What it must not forget about elections cannot be read.
    State(StateError),
    /// That is lost: it might vote twice in an epoch.
    LostState {
        /// The directory of the log.
        partition: PathBuf,
        /// Where the log ends.
        end: Offset,
    },
    /// What it is to write cannot be written.
    Load(WrongSize),
    /// It cannot listen.
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// The node does not start.
    Start(StartError),
    /// The system has no threads for it.
    Io(io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Directory(error) => write!(f, "{error}"),
            ServerError::Format(error) => write!(f, "{error}"),
            ServerError::Log(error) => write!(f, "{error}"),
            ServerError::Load(error) => write!(f, "{error}"),
            ServerError::State(error) => write!(f, "{error}"),
            ServerError::LostState { partition, end } => write!(
                f,
                "{}: it is not there, and the log beside it ends at offset {end}: this node does \
                 not know for whom it voted, and two votes in an epoch can cost what is \
                 committed; put the file back, or, if the other voters have a leader of a later \
                 epoch by now (`kwire quorum status`), start once with \
                 --accept-lost-quorum-state",
                partition.join(QUORUM_STATE).display()
            ),
            ServerError::Listen { address, error } => {
                write!(f, "cannot listen on {address}: {error}")
            }
            ServerError::Start(error) => write!(f, "{error}"),
            ServerError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ServerError {}

/// What a node's thread sees of the rest.
struct Around {
    peers: Peers,
    machine: SharedMachine,
    snapshots: Option<Snapshots>,
    workload: Option<Workload>,
    reports: mpsc::Sender<Report>,
    acknowledged: SharedAcknowledged,
    stopped: mpsc::Sender<bool>,
}

impl Surroundings for Around {
    fn send(&mut self, call: CallId, to: Destination, request: Request) {
        self.peers.send(call, to, request);
    }

    fn event(&mut self, _: &FileDriver, event: &Event) {
        if let Event::ShutdownComplete { in_time } = event {
            // Nobody may be waiting.
            let _ = self.stopped.send(*in_time);
        }
    }

    fn work(&mut self, driver: &mut FileDriver, now: Instant) -> Result<Instant, FileDriverError> {
        let mut again = {
            let mut machine = self.machine.lock();
            let replay_again = replay(&mut machine, driver, now)?;
            match &mut self.snapshots {
                Some(snapshots) => snapshots.turn(&mut machine, driver, now)?.min(replay_again),
                None => replay_again,
            }
        };
        let Some(workload) = &mut self.workload else {
            return Ok(again);
        };
        again = again.min(workload.work(driver, now)?);
        *lock(&self.acknowledged) = workload.acknowledged();
        if let Some(report) = workload.report() {
            let _ = self.reports.send(report);
        }
        Ok(again)
    }
}

impl Server {
    /// Starts a server. It listens before the node asks for votes.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn start(options: &Options) -> Result<Server, ServerError> {
        let config = &options.config;
        let directory = Directory::take(
            &config.log_dir,
            config.node_id,
            options.directory_id,
            None,
            options.unformatted,
        )
        .map_err(ServerError::Directory)?;
        if config.voters.is_empty() {
            format::adopt_voters(directory.path(), &options.topic).map_err(ServerError::Format)?;
        }
        let workload = options
            .load
            .map(|load| Workload::new(load, node_seed(directory.id)))
            .transpose()
            .map_err(ServerError::Load)?;
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(ServerError::Io)?;
        let listeners = listen(&runtime, config)?;
        // Before there is a node, which would go on if this failed.
        let addresses = addresses_of(&listeners)?;
        let files =
            StdFiles::partition(directory.path(), &options.topic).map_err(ServerError::Io)?;
        let log = FileLog::open(files.clone(), config.log_options(options.topic.clone()))
            .map_err(ServerError::Log)?;
        info!("{}", log.recovery());
        let mut state = FileStateStore::new(files.clone());
        let is_lost = log.end() > 0 && state.load().map_err(ServerError::State)?.is_none();
        if is_lost && !options.accept_lost_state {
            return Err(ServerError::LostState {
                partition: files.path().to_owned(),
                end: log.end(),
            });
        }
        if is_lost {
            warn!("quorum-state is lost: this node may vote again where it has voted");
        }
        let mut node = config.node(
            options.topic.clone(),
            directory.cluster_id.clone(),
            directory.id,
        );
        node.seed = seed(directory.id);
        let (to_reports, reports) = mpsc::channel();
        let (to_stopped, stopped) = mpsc::channel();
        let client_id = format!("raft-client-{}", config.node_id);
        let patience = Duration::from_millis(config.quorum.request_timeout_ms);
        let machine = SharedMachine::default();
        let kafkas = KafkasNodes::default();
        restore(&mut machine.lock(), &log).map_err(ServerError::Log)?;
        let retention = retention_of(options);
        let acknowledged = SharedAcknowledged::default();
        let surroundings = |handle: Handle| {
            let snapshots = |retention| Snapshots::start(retention, handle.clone());
            Ok(Around {
                machine: machine.clone(),
                snapshots: retention.map(snapshots).transpose()?,
                peers: Peers::new(
                    runtime.handle().clone(),
                    handle,
                    client_id,
                    patience,
                    max_answer_bytes(config),
                    kafkas.clone(),
                    directory.cluster_id.clone(),
                ),
                workload,
                reports: to_reports,
                acknowledged: acknowledged.clone(),
                stopped: to_stopped,
            })
        };
        let runner = runner::start(node, log, state, surroundings).map_err(ServerError::Start)?;
        tell_of_voters(&runtime, &runner.handle(), config);
        let shared = clients::Shared {
            machine,
            coordinator: Coordinator::new(config.clients.initial_rebalance_delay_ms),
            kafkas,
        };
        for (name, listener) in listeners {
            let clients = Clients::new(
                runner.handle(),
                options.topic.clone(),
                name,
                shared.clone(),
                config.clients.clone(),
                config.settings.clone(),
            );
            let server = listen::Server::new(clients, config.connections);
            runtime.spawn(server.run(listener));
        }
        Ok(Server {
            runner,
            runtime,
            addresses,
            reports,
            stopped,
            acknowledged,
            directory,
        })
    }

    /// The way to the node.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.runner.handle()
    }

    /// Its log directory.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Where it listens, by the listeners' names.
    #[must_use]
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// What it reports while it leads, about every five seconds.
    #[must_use]
    pub fn reports(&self) -> &mpsc::Receiver<Report> {
        &self.reports
    }

    /// What the node is, and how far it is.
    ///
    /// # Errors
    /// When it has stopped.
    pub fn progress(&self) -> Result<Progress, Gone> {
        let acknowledged = self.acknowledged.clone();
        let handle = self.handle();
        self.runtime.block_on(handle.ask(move |driver| {
            let node = driver.node();
            Progress {
                role: node.role(),
                epoch: node.epoch(),
                leader: node.leader(),
                high_watermark: node.high_watermark(),
                log_end: node.log_end().offset,
                acknowledged: *lock(&acknowledged),
            }
        }))
    }

    /// Hands over to other voters and stops. Whether that took no longer than `timeout`.
    ///
    /// # Errors
    /// Why the node stopped before, if it did.
    pub fn shut_down(self, timeout: Duration) -> Result<bool, FileDriverError> {
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let asked = self
            .handle()
            .command(move |driver, now| driver.command(now, |node| node.shut_down(now, ms)));
        // A node that is gone says why below.
        let in_time = match asked {
            Ok(()) => self.stopped.recv_timeout(timeout * 2).unwrap_or(false),
            Err(_) => false,
        };
        self.stop().map(|()| in_time)
    }

    /// Stops at once.
    ///
    /// # Errors
    /// Why the node stopped before, if it did.
    pub fn stop(self) -> Result<(), FileDriverError> {
        self.handle().stop();
        let result = self.runner.join();
        self.runtime.shutdown_background();
        result
    }
}

/// Says so if this node could vote and does not.
fn tell_of_voters(runtime: &Runtime, node: &Handle, config: &ServerConfig) {
    let voters = runtime.block_on(node.ask(|driver| {
        let node = driver.node();
        (!node.is_voter()).then(|| node.voters().clone())
    }));
    // A node that is gone says why.
    let Ok(Some(voters)) = voters else { return };
    let id = config.node_id;
    let ids: Vec<String> = voters.ids().map(|id| id.to_string()).collect();
    let ids = ids.join(", ");
    if !config.is_controller || config.quorum.auto_join {
        info!("node {id} is no voter; those that it knows: {ids}");
    } else if voters.is_empty() {
        warn!("node {id} knows no voters yet, and asks for them");
    } else if voters.get(id).is_some() {
        warn!("node {id} is a voter with another log directory: with this one it does not vote");
    } else if config.voters.is_empty() {
        warn!(
            "node {id} is not among the voters ({ids}): it does not vote until `kwire quorum add` \
             makes it one"
        );
    } else {
        warn!("controller.quorum.voters does not name node {id}, only {ids}: it does not vote");
    }
}

fn listen(
    runtime: &Runtime,
    config: &ServerConfig,
) -> Result<Vec<(String, TcpListener)>, ServerError> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let host = match listener.address.host.as_str() {
            "" => "0.0.0.0",
            host => host,
        };
        let address = (host, listener.address.port);
        let listening = runtime.block_on(TcpListener::bind(address));
        let listening = listening.map_err(|error| ServerError::Listen {
            address: listener.address.to_string(),
            error,
        })?;
        bound.push((listener.name.clone(), listening));
    }
    Ok(bound)
}

fn addresses_of(
    listeners: &[(String, TcpListener)],
) -> Result<Vec<(String, SocketAddr)>, ServerError> {
    let address = |(name, listener): &(String, TcpListener)| {
        let address = listener.local_addr().map_err(ServerError::Io)?;
        Ok((name.clone(), address))
    };
    listeners.iter().map(address).collect()
}

fn lock(acknowledged: &SharedAcknowledged) -> std::sync::MutexGuard<'_, Option<Acknowledged>> {
    acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is kept of the log. A snapshot of a metadata log would have to hold the metadata, which is
/// for controllers to know.
fn retention_of(options: &Options) -> Option<Retention> {
    let retention = options.config.retention;
    let is_metadata = options.topic == Topic::cluster_metadata();
    match retention {
        None => info!(
            "no snapshots are made and nothing is deleted, as none of {} is set",
            Retention::PROPERTIES.join(", ")
        ),
        Some(_) if is_metadata => warn!(
            "no snapshots are made and nothing is deleted, whatever the properties say: a snapshot \
             of a metadata log is for controllers to make"
        ),
        Some(retention) => info!(
            ?retention,
            "snapshots are made, and what is before them is deleted"
        ),
    }
    retention.filter(|_| !is_metadata)
}

/// The longest answer that is read: of what this node asks for, with a batch that is longer than it
/// asked. `socket.request.max.bytes` is for requests.
fn max_answer_bytes(config: &ServerConfig) -> usize {
    let quorum = &config.quorum;
    let asked = quorum.fetch_max_bytes.max(quorum.fetch_snapshot_max_bytes);
    let asked = usize::try_from(asked).unwrap_or(0);
    asked.saturating_add(16 << 20).max(config.max_request_bytes)
}

/// Jitter that differs between nodes, and from one start to the next.
fn seed(directory_id: Uuid) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos());
    node_seed(directory_id) ^ u64::try_from(now & u128::from(u64::MAX)).unwrap_or(0)
}

fn node_seed(directory_id: Uuid) -> u64 {
    let bytes = directory_id.to_bytes();
    bytes.iter().fold(0, |seed: u64, byte| {
        seed.rotate_left(8).wrapping_mul(31) ^ u64::from(*byte)
    })
}
