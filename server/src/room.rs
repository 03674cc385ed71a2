//! Room for bytes that connections hold: so many for all of them together.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Up to this length nothing is counted: there are only so many connections.
pub(crate) const FREE_BYTES: usize = 16 << 10;

/// Room that connections share.
pub(crate) struct Room {
    free: Arc<Semaphore>,
    size: usize,
    /// The place of a request that is read to its end although there is no room: without it,
    /// requests of which some bytes are there could all wait for each other.
    last: Arc<Semaphore>,
}

/// What was taken of a room. It is given back when this is dropped.
#[derive(Default)]
pub(crate) struct Held {
    permits: Vec<OwnedSemaphorePermit>,
    has_last: bool,
}

impl Room {
    /// Room for so many bytes, and for a last request.
    pub(crate) fn new(size: usize) -> Room {
        let size = size.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Room {
            free: Arc::new(Semaphore::new(size)),
            size,
            last: Arc::new(Semaphore::new(1)),
        }
    }

    /// Reads a request of which the length is known. As its bytes come it takes room for as many
    /// more: whoever names a length and sends nothing holds nothing.
    pub(crate) async fn read(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        len: usize,
    ) -> io::Result<(Bytes, Held)> {
        let mut held = Held::default();
        let mut body = Vec::new();
        let mut more = len.min(FREE_BYTES);
        loop {
            let start = body.len();
            body.reserve_exact(more);
            body.resize(start + more, 0);
            from.read_exact(body.get_mut(start..).unwrap_or_default())
                .await?;
            if body.len() == len {
                return Ok((Bytes::from(body), held));
            }
            more = body.len().min(len - body.len());
            self.hold_more(&mut held, more).await?;
        }
    }

    async fn hold_more(&self, held: &mut Held, len: usize) -> io::Result<()> {
        if held.has_last {
            return Ok(());
        }
        let permit = tokio::select! {
            biased;
            permit = Arc::clone(&self.free).acquire_many_owned(self.permits(len)) => permit,
            permit = Arc::clone(&self.last).acquire_owned() => {
                held.has_last = true;
                permit
            }
        };
        held.permits.push(permit.map_err(io::Error::other)?);
        Ok(())
    }

    fn permits(&self, len: usize) -> u32 {
        u32::try_from(len.min(self.size)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use tokio::task::JoinHandle;

    use super::*;

    const LEN: usize = 100_000;

    /// Reads a request in a task, of which the first bytes are there.
    async fn begun(
        room: &Arc<Room>,
        bytes: usize,
    ) -> (DuplexStream, JoinHandle<io::Result<Bytes>>) {
        let (mut to, mut from) = tokio::io::duplex(2 * LEN);
        to.write_all(&vec![7; bytes]).await.expect("it is read");
        let room = Arc::clone(room);
        let reading = tokio::spawn(async move {
            // What is held is given back at once: whoever reads has done with the request.
            let (body, _held) = room.read(&mut from, LEN).await?;
            Ok(body)
        });
        // It gets as far as it can: there is one thread.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        (to, reading)
    }

    #[tokio::test]
    async fn room_is_taken_by_what_came() {
        let room = Arc::new(Room::new(LEN));
        let (_silent, reading) = begun(&room, 0).await;
        assert_eq!(room.free.available_permits(), LEN);
        let (_slow, _) = begun(&room, FREE_BYTES).await;
        assert_eq!(room.free.available_permits(), LEN - FREE_BYTES);
        assert!(!reading.is_finished());
        let (_whole, reading) = begun(&room, LEN).await;
        let body = reading.await.expect("no panic").expect("all bytes");
        assert_eq!((body.len(), body[LEN - 1]), (LEN, 7));
        assert_eq!(room.free.available_permits(), LEN - FREE_BYTES);
    }

    #[tokio::test]
    async fn requests_that_wait_for_each_other_come_to_an_end() {
        let room = Arc::new(Room::new(LEN));
        let mut begun_ones = Vec::new();
        for _ in 0..5 {
            begun_ones.push(begun(&room, 2 * FREE_BYTES).await);
        }
        assert!(room.free.available_permits() < 2 * FREE_BYTES);
        for (to, _) in &mut begun_ones {
            let rest = vec![7; LEN - 2 * FREE_BYTES];
            to.write_all(&rest).await.expect("it is read");
        }
        for (_, reading) in begun_ones {
            let body = reading.await.expect("no panic").expect("all bytes");
            assert_eq!(body.len(), LEN);
        }
        assert_eq!(room.free.available_permits(), LEN);
        assert_eq!(room.last.available_permits(), 1);
    }
}
