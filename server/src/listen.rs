//! Connections of clients and of other nodes: a task for each.
//!
//! Requests of a connection are taken one after the other, and answered in their order. One whose
//! answer has to wait for a commit does not keep the next from being taken: its answer waits in a
//! queue, and so do those of later requests behind it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::clients::{Answer, Caller, Clients};
use crate::connection::{READ_AHEAD, read_body, read_len};

/// What connections may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request: `socket.request.max.bytes`.
    pub max_frame_len: usize,
    /// The most connections at a time: `max.connections`.
    pub max_connections: usize,
    /// How long a connection on which nothing happens stays open: `connections.max.idle.ms`.
    pub idle: Duration,
    /// How long a request that has begun, or an answer, may take to go over the network.
    pub stalled: Duration,
    /// The most bytes of requests and answers that are held for all connections together:
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
/// A request or answer up to this length does not count: there are only so many of them.
const FREE_BYTES: usize = 16 << 10;

/// Answers requests on a listener until its task is dropped.
pub struct Server {
    clients: Arc<Clients>,
    limits: Limits,
    connections: AtomicUsize,
    held: Arc<Semaphore>,
}

/// An answer on its way out, and what it holds.
struct Queued {
    answer: Answer,
    permit: Option<OwnedSemaphorePermit>,
}

/// Counts a connection as long as it lives.
struct Counted(Arc<Server>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    /// A server of a node's clients.
    #[must_use]
    pub fn new(clients: Clients, limits: Limits) -> Server {
        // A request that may be sent has to have room.
        let held = limits.held_bytes.max(limits.max_frame_len);
        let held = held.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Server {
            clients: Arc::new(clients),
            limits,
            connections: AtomicUsize::new(0),
            held: Arc::new(Semaphore::new(held)),
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
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(self);
        if before >= counted.0.limits.max_connections {
            warn!(%from, "refused: {before} connections are as many as there may be");
            return;
        }
        tokio::spawn(async move {
            if let Err(error) = counted.0.serve(stream, from).await {
                debug!(%from, "connection closed: {error}");
            }
        });
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let (from, to) = stream.into_split();
        let from = BufReader::with_capacity(READ_AHEAD, from);
        let (queue, queued) = mpsc::channel(MAX_IN_FLIGHT);
        // Both halves are of one task, and need no locks; it may move from thread to thread.
        let under_way = AtomicUsize::new(0);
        let reading = self.take_requests(Caller { peer, local }, from, queue, &under_way);
        let writing = self.write_answers(queued, to, &under_way);
        // The first error ends both; the end of requests lets the answers out.
        tokio::try_join!(reading, writing).map(|_| ())
    }

    async fn take_requests(
        &self,
        caller: Caller,
        mut from: impl AsyncRead + Unpin,
        queue: Sender<Queued>,
        under_way: &AtomicUsize,
    ) -> io::Result<()> {
        while let Some((request, permit)) = self.read_request(&mut from, under_way).await? {
            let answer = self.clients.answer(caller, &request).await?;
            drop((request, permit));
            let (answer, permit) = match answer {
                Answer::Nothing => continue,
                Answer::Held(frame, permit) => (Answer::Frame(frame), Some(permit)),
                Answer::Frame(frame) => {
                    let permit = self.hold(frame.len()).await?;
                    (Answer::Frame(frame), permit)
                }
                Answer::Later(later) => (Answer::Later(later), None),
            };
            under_way.fetch_add(1, Ordering::Relaxed);
            let sent = queue.send(Queued { answer, permit }).await;
            // The other half knows why it has ended.
            if sent.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn read_request(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        under_way: &AtomicUsize,
    ) -> io::Result<Option<(Bytes, Option<OwnedSemaphorePermit>)>> {
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
        let stalled = |_| io::Error::other("a request took too long to come");
        let len = timeout(
            limits.stalled,
            read_len(from, prefix[0], limits.max_frame_len),
        );
        let len = len.await.map_err(stalled)??;
        let permit = self.hold(len).await?;
        let body = timeout(limits.stalled, read_body(from, len));
        let body = body.await.map_err(stalled)??;
        Ok(Some((body, permit)))
    }

    /// Waits until there is room for so many bytes.
    async fn hold(&self, len: usize) -> io::Result<Option<OwnedSemaphorePermit>> {
        if len <= FREE_BYTES {
            return Ok(None);
        }
        // An answer may be longer than any request; with all of the room it has to do.
        let all = self.limits.held_bytes.max(self.limits.max_frame_len);
        let len = u32::try_from(len.min(all)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.held).acquire_many_owned(len).await;
        permit.map(Some).map_err(io::Error::other)
    }

    async fn write_answers(
        &self,
        mut queued: Receiver<Queued>,
        mut to: impl AsyncWrite + Unpin,
        under_way: &AtomicUsize,
    ) -> io::Result<()> {
        while let Some(Queued { answer, permit }) = queued.recv().await {
            let frame = match answer {
                Answer::Nothing => continue,
                Answer::Frame(frame) | Answer::Held(frame, _) => frame,
                Answer::Later(later) => later.await?,
            };
            let written = timeout(self.limits.stalled, to.write_all(&frame)).await;
            written.map_err(|_| io::Error::other("an answer took too long to go"))??;
            drop(permit);
            under_way.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
