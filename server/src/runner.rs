//! The thread that runs a node: inputs in, effects out.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as Clock};

use kwire_raft::Config;
use kwire_raft::driver::{
    Barrier, Chore, Disk, Driver, DriverError, Effect, ErrorOf, LogRange, LogStore,
};
use kwire_raft::log::{FileLog, FileStateStore, LogError};
use kwire_raft::message::{Request, Response};
use kwire_raft::node::{CallError, CallId, Destination, Event, Incoming, IoId, Token};
use kwire_raft::types::{Epoch, Instant, NodeId, Offset};
use tokio::sync::{oneshot, watch};
use tracing::{debug, error, info, warn};

/// The driver of a node that has its log in files.
pub type FileDriver = Driver<FileLog, FileStateStore>;
/// Why it stopped.
pub type FileDriverError = ErrorOf<FileLog, FileStateStore>;

/// How often the same is said of a node.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// The most that is said of all nodes in that time.
const MAX_SAID: usize = 100;

type FileBarrier = <FileLog as LogStore>::Barrier;
type Syncs = mpsc::Sender<(IoId, FileBarrier)>;
type Chores = mpsc::Sender<Chore<LogError>>;
type Command = Box<dyn FnOnce(&mut FileDriver, Instant) -> Result<(), FileDriverError> + Send>;

/// Something for the node's thread.
enum Input {
    Request {
        version: i16,
        request: Request,
        answer: oneshot::Sender<Answered>,
    },
    Answer {
        call: CallId,
        answer: Result<Response, CallError>,
    },
    Synced {
        id: IoId,
        outcome: Result<(), LogError>,
    },
    ChoreDone(Result<(), LogError>),
    Command(Command),
    Stop,
}

/// The way to a node's thread. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
    status: watch::Receiver<Status>,
}

/// What clients of a node wait for. It is published after each round of inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The epoch.
    pub epoch: Epoch,
    /// Its leader, where known.
    pub leader: Option<NodeId>,
    /// Where this node's epoch starts, if it leads.
    pub leads_from: Option<Offset>,
    /// The offset before which the log is committed, as far as the node knows.
    pub high_watermark: Option<Offset>,
    /// The offset before which this node's log is durable.
    pub flushed: Offset,
}

impl Status {
    fn of(driver: &FileDriver) -> Status {
        let node = driver.node();
        Status {
            epoch: node.epoch(),
            leader: node.leader(),
            leads_from: node.epoch_start(),
            high_watermark: node.high_watermark(),
            flushed: node.flushed(),
        }
    }
}

/// A node's answer to a request.
#[derive(Debug)]
pub struct Answered {
    response: Response,
    /// What it lacks.
    records: Option<<FileLog as LogStore>::Range>,
}

impl Answered {
    /// The whole answer. What is still in a file is read by a thread that may wait for the disk:
    /// the node's goes on, and so do other connections.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn complete(self) -> io::Result<Response> {
        let Answered { response, records } = self;
        let is_in_file = records.as_ref().is_some_and(|r| !r.is_in_memory());
        let complete = || {
            let completed = LogRange::complete(response, records);
            completed.map_err(|failure| {
                error!("records cannot be read: {failure}");
                io::Error::other(failure)
            })
        };
        if !is_in_file {
            return complete();
        }
        let completed = tokio::task::spawn_blocking(complete).await;
        completed.map_err(io::Error::other)?
    }
}

/// The node's thread is gone: it stopped, or its disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the node has stopped")
    }
}

impl std::error::Error for Gone {}

impl Handle {
    /// Gives the node a request, and waits for its answer.
    ///
    /// # Errors
    /// When the node stops before it answers.
    pub async fn request(&self, version: i16, request: Request) -> Result<Answered, Gone> {
        let (answer, answered) = oneshot::channel();
        self.send(Input::Request {
            version,
            request,
            answer,
        })?;
        answered.await.map_err(|_| Gone)
    }

    /// Tells the node what became of a request of its own.
    ///
    /// # Errors
    /// When the node has stopped.
    pub fn answer(&self, call: CallId, answer: Result<Response, CallError>) -> Result<(), Gone> {
        self.send(Input::Answer { call, answer })
    }

    /// Runs a command on the node's thread.
    ///
    /// # Errors
    /// When the node has stopped.
    pub fn command(
        &self,
        command: impl FnOnce(&mut FileDriver, Instant) -> Result<(), FileDriverError> + Send + 'static,
    ) -> Result<(), Gone> {
        self.send(Input::Command(Box::new(command)))
    }

    /// Runs a command on the node's thread, and waits for what it returns.
    ///
    /// # Errors
    /// When the node stops before.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&FileDriver) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        self.command(move |driver, _| {
            // Who asked may have stopped waiting.
            let _ = answer.send(question(driver));
            Ok(())
        })?;
        answered.await.map_err(|_| Gone)
    }

    /// What the node is and how far it is, to look at and to wait for.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Ends the node's thread, as a crash would for the other nodes; its log is closed, so that it
    /// need not be mended at the next start. See
    /// [`Node::shut_down`](kwire_raft::Node::shut_down) for a gentler way.
    pub fn stop(&self) {
        // It may have stopped by itself.
        let _ = self.send(Input::Stop);
    }

    fn send(&self, input: Input) -> Result<(), Gone> {
        self.inputs.send(input).map_err(|_| Gone)
    }
}

/// What a node's thread calls: to send requests, and to tell of events. Both must not block.
pub trait Surroundings: Send + 'static {
    /// A request is to be sent; its outcome goes to [`Handle::answer`].
    fn send(&mut self, call: CallId, to: Destination, request: Request);

    /// Something happened to the node.
    fn event(&mut self, driver: &FileDriver, event: &Event);

    /// Its turn, after each round of inputs: appends what it wants to. Returns when it wants
    /// another, if nothing happens before.
    ///
    /// # Errors
    /// When the disk failed.
    fn work(&mut self, driver: &mut FileDriver, now: Instant) -> Result<Instant, FileDriverError> {
        let _ = (driver, now);
        Ok(Instant::NEVER)
    }
}

/// A node's thread.
pub struct Runner {
    handle: Handle,
    thread: JoinHandle<Result<(), FileDriverError>>,
}

impl Runner {
    /// The way to the node.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the thread's end.
    ///
    /// # Errors
    /// Why the node stopped, if nobody asked for it.
    ///
    /// # Panics
    /// If the thread did: an invariant of the node was broken.
    pub fn join(self) -> Result<(), FileDriverError> {
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Starts a node on a thread of its own. `surroundings` is given the way to it.
///
/// # Errors
/// When the stores cannot be read, the node cannot start with them, or there are no more threads.
pub fn start<S: Surroundings>(
    mut config: Config,
    log: FileLog,
    state: FileStateStore,
    surroundings: impl FnOnce(Handle) -> io::Result<S>,
) -> Result<Runner, StartError> {
    let clock = Clock::now();
    config.epoch_millis = time_of_day_ms();
    let driver = Driver::new(Instant(0), config, Disk::Asynchronous, log, state)?;
    let (inputs, received) = mpsc::channel();
    let (publish, status) = watch::channel(Status::of(&driver));
    let handle = Handle { inputs, status };
    let (syncs, syncing) = start_syncing(handle.clone())?;
    let (chores, doing_chores) = start_chores(handle.clone())?;
    let node = Running {
        driver,
        clock,
        received,
        syncs,
        syncing,
        chores,
        doing_chores,
        publish,
        surroundings: surroundings(handle.clone())?,
        waiting: BTreeMap::new(),
        tokens: 0,
        said: Said::default(),
    };
    let thread = thread::Builder::new()
        .name("raft".to_owned())
        .spawn(move || node.run())?;
    Ok(Runner { handle, thread })
}

/// Why a node did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Its stores or its state.
    Driver(FileDriverError),
    /// There are no more threads.
    Thread(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Driver(error) => write!(f, "{error}"),
            StartError::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<FileDriverError> for StartError {
    fn from(error: FileDriverError) -> Self {
        StartError::Driver(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        StartError::Thread(error)
    }
}

/// Milliseconds since 1970.
pub(crate) fn time_of_day_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// The thread that makes the log durable, one barrier after the other.
fn start_syncing(handle: Handle) -> io::Result<(Syncs, JoinHandle<()>)> {
    let (syncs, received) = mpsc::channel::<(IoId, FileBarrier)>();
    let thread = thread::Builder::new()
        .name("sync".to_owned())
        .spawn(move || {
            for (id, barrier) in received {
                let outcome = barrier.sync();
                if handle.send(Input::Synced { id, outcome }).is_err() {
                    return;
                }
            }
        })?;
    Ok((syncs, thread))
}

/// The thread that does what nothing waits for, such as removing what was deleted.
fn start_chores(handle: Handle) -> io::Result<(Chores, JoinHandle<()>)> {
    let (chores, received) = mpsc::channel::<Chore<LogError>>();
    let thread = thread::Builder::new()
        .name("chores".to_owned())
        .spawn(move || {
            for chore in received {
                let outcome = chore.run();
                // A node that has stopped leaves none undone.
                let _ = handle.send(Input::ChoreDone(outcome));
            }
        })?;
    Ok((chores, thread))
}

struct Running<S> {
    driver: FileDriver,
    clock: Clock,
    received: mpsc::Receiver<Input>,
    syncs: Syncs,
    syncing: JoinHandle<()>,
    chores: Chores,
    doing_chores: JoinHandle<()>,
    publish: watch::Sender<Status>,
    surroundings: S,
    waiting: BTreeMap<Token, oneshot::Sender<Answered>>,
    tokens: u64,
    said: Said,
}

impl<S: Surroundings> Running<S> {
    fn run(mut self) -> Result<(), FileDriverError> {
        let result = self.run_to_the_end().and_then(|()| self.close());
        if let Err(error) = &result {
            error!("the node stops: {error}");
        }
        result
    }

    /// Leaves nothing behind: no thread that still writes, and no log to be mended.
    fn close(self) -> Result<(), FileDriverError> {
        drop((self.syncs, self.chores));
        // A thread that panicked has said so, and the log is closed all the same.
        let _ = self.syncing.join();
        let _ = self.doing_chores.join();
        let (log, _) = self.driver.into_stores();
        log.close().map_err(DriverError::Log)
    }

    fn run_to_the_end(&mut self) -> Result<(), FileDriverError> {
        self.do_effects()?;
        self.publish();
        let mut work_at = Instant::NEVER;
        loop {
            match self.received.recv_timeout(self.patience(work_at)) {
                Ok(input) => {
                    if !self.take(input)? {
                        return Ok(());
                    }
                    // Whatever else has come shares the node's next batch.
                    while let Ok(input) = self.received.try_recv() {
                        if !self.take(input)? {
                            return Ok(());
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let now = self.now();
            work_at = self.surroundings.work(&mut self.driver, now)?;
            if self.driver.poll_timeout() <= now {
                self.driver.timeout(now)?;
            }
            self.do_effects()?;
            self.publish();
        }
    }

    /// Tells those who wait, if there is something new.
    fn publish(&self) {
        let new = Status::of(&self.driver);
        self.publish.send_if_modified(|old| {
            let is_new = *old != new;
            *old = new;
            is_new
        });
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn patience(&self, work_at: Instant) -> Duration {
        let at = self.driver.poll_timeout().min(work_at);
        // Waiting for ever is not something that a channel can do.
        Duration::from_millis(at.since(self.now()).min(3_600_000))
    }

    /// Whether to go on.
    fn take(&mut self, input: Input) -> Result<bool, FileDriverError> {
        let now = self.now();
        match input {
            Input::Request {
                version,
                request,
                answer,
            } => {
                self.tokens += 1;
                let token = Token(self.tokens);
                self.waiting.insert(token, answer);
                let incoming = Incoming {
                    token,
                    version,
                    request,
                };
                self.driver.request(now, incoming)?;
            }
            Input::Answer { call, answer } => self.driver.answer(now, call, answer)?,
            Input::Synced { id, outcome } => self.driver.synced(now, id, outcome)?,
            Input::ChoreDone(outcome) => self.driver.chore_done(outcome)?,
            Input::Command(command) => {
                // Whoever hears what came of it does not look at what the node was before.
                self.publish();
                command(&mut self.driver, now)?;
            }
            Input::Stop => return Ok(false),
        }
        Ok(true)
    }

    fn do_effects(&mut self) -> Result<(), FileDriverError> {
        while let Some(effect) = self.driver.poll_effect() {
            match effect {
                Effect::Send { call, to, request } => self.surroundings.send(call, to, request),
                Effect::Reply {
                    token,
                    response,
                    records,
                } => {
                    if let Some(answer) = self.waiting.remove(&token) {
                        // The connection may be gone.
                        let _ = answer.send(Answered { response, records });
                    }
                }
                Effect::Sync { id, barrier } => {
                    // The thread lives as long as this one.
                    let _ = self.syncs.send((id, barrier));
                }
                Effect::Notify(event) => {
                    self.log_event(&event);
                    self.surroundings.event(&self.driver, &event);
                }
                effect => debug!("an effect that is not known: {effect:?}"),
            }
        }
        while let Some(chore) = self.driver.poll_chore() {
            // As above.
            let _ = self.chores.send(chore);
        }
        Ok(())
    }
}

/// What was said of other nodes of late, so that what does not end is not said all the time.
#[derive(Default)]
struct Said(BTreeMap<(Option<NodeId>, String), Clock>);

impl Said {
    /// Whether something is to be said.
    fn is_news(&mut self, peer: Option<NodeId>, what: &str) -> bool {
        let now = Clock::now();
        self.0.retain(|_, at| now.duration_since(*at) < SAY_AGAIN);
        let key = (peer, what.to_owned());
        // Whoever can make it say ever new things is not to fill the log either.
        if self.0.len() >= MAX_SAID || self.0.contains_key(&key) {
            return false;
        }
        self.0.insert(key, now);
        true
    }
}

impl<S> Running<S> {
    fn log_event(&mut self, event: &Event) {
        match event {
            Event::Leader { epoch, leader } => match leader {
                Some(leader) => info!(epoch, leader, "the leader is known"),
                None => info!(epoch, "there is no leader yet"),
            },
            Event::SnapshotInstalled { id } => info!(%id, "a snapshot took the place of the log"),
            Event::PeerMisbehaved { peer, what } if self.said.is_news(*peer, what) => {
                warn!(?peer, "{what}");
            }
            Event::ShutdownComplete { in_time } => info!(in_time, "the shutdown is complete"),
            event => debug!(?event),
        }
    }
}
