//! Connections of clients and of other nodes: a task for each.
//!
//! Requests of a connection are taken one after the other, and answered in their order. One whose
//! answer has to wait for a commit does not keep the next from being taken: its answer waits in a
//! queue, and so do those of later requests behind it.
//!
//! # What answers may hold
//! Of each connection, at most
//! - 64 short answers, of 16 KiB, and those that wait for a commit;
//! - a long one, behind which no further request is taken, and another if that waited for a commit.
//!
//! A long answer has 4 MiB at most if it has no records of the log; to a replica, or to whoever says
//! that it is one, what `controller.quorum.fetch.max.bytes` or
//! `controller.quorum.fetch.snapshot.max.bytes` allows, or a single batch that is longer. What
//! consumers are answered in long answers is 128 MiB for all of them together. For all connections
//! it is `max.connections` times as much. One that does not read loses its place after
//! [`Limits::stalled`].

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::clients::{Answer, Caller, Clients};
use crate::connection::{READ_AHEAD, read_len};
use crate::room::{FREE_BYTES, Held, Room};

/// What connections may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request: `socket.request.max.bytes`.
    pub max_frame_len: usize,
    /// The most connections at a time: `max.connections`. For one more, the quietest is closed.
    pub max_connections: usize,
    /// How long a connection on which nothing happens stays open: `connections.max.idle.ms`.
    pub idle: Duration,
    /// How long a request that has begun, or an answer, may take to go over the network; for a
    /// request, waiting for room is part of it.
    pub stalled: Duration,
    /// The most bytes of requests that are held for all connections together:
    /// `queued.max.request.bytes`. Short ones do not count.
    pub held_bytes: usize,
}

impl Limits {
    /// Kafka's defaults, where it has bounds by default.
    #[must_use]
    pub fn new(max_frame_len: usize) -> Limits {
        Limits {
            max_frame_len,
            max_connections: 1_000,
            idle: Duration::from_secs(600),
            stalled: Duration::from_secs(30),
            held_bytes: 256 << 20,
        }
    }
}

/// The most answers of a connection that wait in its queue.
const MAX_IN_FLIGHT: usize = 64;

/// Answers requests on a listener until its task is dropped.
pub struct Server {
    clients: Arc<Clients>,
    limits: Limits,
    connections: Mutex<Connections>,
    /// Answers share none: whoever does not read them would keep records from the followers, which
    /// takes its quorum from the leader. They are bounded for each connection.
    requests: Room,
}

/// An answer on its way out.
struct Queued {
    answer: Answer,
    /// Held by one that is long: until it is written, no further request is taken.
    _long: Option<OwnedSemaphorePermit>,
}

/// The connections that there are, in the order in which they came.
#[derive(Default)]
struct Connections {
    open: BTreeMap<u64, Arc<Connection>>,
    next: u64,
    /// Whether it was said that there are too many.
    is_told: bool,
}

/// What is known of a connection.
struct Connection {
    /// Whether it ever asked anything, and when something happened last.
    last: Mutex<(bool, Instant)>,
    /// Its place is needed.
    leave: Notify,
}

impl Connection {
    fn new() -> Connection {
        Connection {
            last: Mutex::new((false, Instant::now())),
            leave: Notify::new(),
        }
    }

    fn last(&self) -> (bool, Instant) {
        *lock(&self.last)
    }

    /// Something was asked or answered.
    fn touch(&self) {
        *lock(&self.last) = (true, Instant::now());
    }
}

/// Gives up a connection's place when it ends.
struct Place {
    server: Arc<Server>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.server.connections).open.remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// A server of a node's clients.
    #[must_use]
    pub fn new(clients: Clients, limits: Limits) -> Server {
        // A request that may be sent has to have room.
        let held = limits.held_bytes.max(limits.max_frame_len);
        Server {
            clients: Arc::new(clients),
            limits,
            connections: Mutex::default(),
            requests: Room::new(held),
        }
    }

    /// Accepts connections for ever.
    pub async fn run(self, listener: TcpListener) {
        let server = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, from)) => server.clone().accepted(stream, from),
                Err(error) => {
                    // Such as too many open files: others may close some.
                    warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn accepted(self: Arc<Self>, stream: TcpStream, from: SocketAddr) {
        let (connection, number) = self.seat(from);
        let place = Place {
            server: self,
            number,
        };
        tokio::spawn(async move {
            let served = place.server.serve(stream, from, &connection);
            let ended = tokio::select! {
                served = served => served,
                () = connection.leave.notified() => Err(io::Error::other("others need its place")),
            };
            if let Err(error) = ended {
                debug!(%from, "connection closed: {error}");
            }
        });
    }

    /// A place for a connection. If all are taken, the one goes that never asked anything, or else
    /// was quiet for the longest: the nodes of a quorum come by this way too, and whoever opens
    /// connections and does nothing must not keep them out.
    fn seat(&self, from: SocketAddr) -> (Arc<Connection>, u64) {
        let connection = Arc::new(Connection::new());
        let mut connections = lock(&self.connections);
        let open = connections.open.len();
        if open >= self.limits.max_connections {
            let quietest = connections.open.iter().min_by_key(|(_, open)| open.last());
            if let Some(number) = quietest.map(|(number, _)| *number)
                && let Some(quietest) = connections.open.remove(&number)
            {
                // Once for a flood of them: it would fill the log.
                if !connections.is_told {
                    warn!(%from, "{open} connections are as many as there may be: quiet ones are closed for new ones");
                }
                connections.is_told = true;
                quietest.leave.notify_one();
            }
        } else if open <= self.limits.max_connections / 2 {
            connections.is_told = false;
        }
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, Arc::clone(&connection));
        (connection, number)
    }

    async fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        connection: &Connection,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let (from, to) = stream.into_split();
        let from = BufReader::with_capacity(READ_AHEAD, from);
        let (queue, queued) = mpsc::channel(MAX_IN_FLIGHT);
        // Both halves are of one task, and need no locks; it may move from thread to thread.
        let under_way = AtomicUsize::new(0);
        let caller = Caller {
            peer,
            local,
            is_kafkas: None,
        };
        let reading = self.take_requests(caller, from, queue, &under_way, connection);
        let writing = self.write_answers(queued, to, &under_way, connection);
        // The first error ends both; the end of requests lets the answers out.
        tokio::try_join!(reading, writing).map(|_| ())
    }

    async fn take_requests(
        &self,
        mut caller: Caller,
        mut from: impl AsyncRead + Unpin,
        queue: Sender<Queued>,
        under_way: &AtomicUsize,
        connection: &Connection,
    ) -> io::Result<()> {
        let place = Arc::new(Semaphore::new(1));
        loop {
            // Whoever does not read a long answer is not given another: it may say that it is a
            // replica, whose answers are the longest.
            let long = Arc::clone(&place).acquire_owned().await;
            let long = long.map_err(io::Error::other)?;
            let Some((request, held)) = self.read_request(&mut from, under_way).await? else {
                return Ok(());
            };
            connection.touch();
            let answer = self.clients.answer(&mut caller, &request).await?;
            drop((request, held));
            let is_long = match &answer {
                Answer::Nothing => continue,
                Answer::Held(frame, _) | Answer::Frame(frame) => frame.remaining() > FREE_BYTES,
                // It is made when it is its turn.
                Answer::Later(_) => false,
            };
            let queued = Queued {
                answer,
                _long: is_long.then_some(long),
            };
            under_way.fetch_add(1, Ordering::Relaxed);
            let sent = queue.send(queued).await;
            // The other half knows why it has ended.
            if sent.is_err() {
                return Ok(());
            }
        }
    }

    async fn read_request(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        under_way: &AtomicUsize,
    ) -> io::Result<Option<(Bytes, Held)>> {
        let limits = &self.limits;
        let mut prefix = [0; 4];
        // Not cancelled within: nothing has been read when it waits here.
        loop {
            match timeout(limits.idle, from.read(&mut prefix[..1])).await {
                Ok(Ok(0)) => return Ok(None),
                Ok(Ok(_)) => break,
                Ok(Err(error)) => return Err(error),
                // Somebody who waits for an answer is not idle.
                Err(_) if under_way.load(Ordering::Relaxed) > 0 => {}
                Err(_) => return Err(io::Error::other("idle for too long")),
            }
        }
        let request = timeout(limits.stalled, async {
            let len = read_len(from, prefix[0], limits.max_frame_len).await?;
            self.requests.read(from, len).await
        });
        let late = |_| io::Error::other("a request took too long to come");
        request.await.map_err(late)?.map(Some)
    }

    async fn write_answers(
        &self,
        mut queued: Receiver<Queued>,
        mut to: impl AsyncWrite + Unpin,
        under_way: &AtomicUsize,
        connection: &Connection,
    ) -> io::Result<()> {
        while let Some(Queued { answer, _long }) = queued.recv().await {
            // Held until the end of the turn, as is the room of consumers.
            let mut _room = None;
            let mut frame = match answer {
                Answer::Nothing => continue,
                Answer::Frame(frame) => frame,
                Answer::Held(frame, room) => {
                    _room = Some(room);
                    frame
                }
                Answer::Later(later) => later.await?,
            };
            let written = timeout(self.limits.stalled, to.write_all_buf(&mut frame)).await;
            written.map_err(|_| io::Error::other("an answer took too long to go"))??;
            connection.touch();
            under_way.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
