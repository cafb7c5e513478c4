//! How fast a client has to accept its answer: each 64 KiB within the configured time. Nothing is
//! counted and no clock is read while its connection accepts what is written.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep};

use super::connections::{NoRoom, PATIENCE_WHEN_STOPPING, TrackedConnection, UnsentBytes};
use crate::config::Limits;

/// Why an answer did not reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteFault {
    /// The client disconnected.
    Gone,
    /// The upstream's answer broke off; the connection has to be closed so that the client notices.
    Broken,
    /// The client did not accept its answer in time.
    Stalled,
    /// Too many bytes wait for clients already. Nothing has been written.
    NoRoom,
}

/// Sessions fail because their peer went away; a header that cannot be written ends the same way.
impl From<Box<pingora::Error>> for WriteFault {
    fn from(_client_gone: Box<pingora::Error>) -> Self {
        Self::Gone
    }
}

/// Bytes a client has to accept within the time.
pub(super) const PIECE: usize = 64 * 1024;

/// The pace of one answer.
pub(super) struct WritePace<'a> {
    tracked: &'a Arc<TrackedConnection>,
    limits: &'a Limits,
    /// Since the first write that the client did not accept at once.
    blocked: Option<BlockedWrite>,
}

/// A write waits for its client.
struct BlockedWrite {
    charge: UnsentBytes,
    /// Bytes accepted since the deadline was set.
    taken: usize,
    deadline: Pin<Box<Sleep>>,
    /// `None` once stopping has begun: the time is then shorter.
    stopping: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl BlockedWrite {
    fn new(tracked: &TrackedConnection, charge: UnsentBytes, limits: &Limits) -> Self {
        Self {
            charge,
            taken: 0,
            deadline: Box::pin(sleep(limits.write_timeout)),
            stopping: Some(Box::pin(tracked.connections.stopping().begins())),
        }
    }

    /// Sets the deadline of the next piece.
    fn begin_piece(&mut self, limits: &Limits) {
        self.taken = 0;
        let patience = match self.stopping {
            Some(_) => limits.write_timeout,
            None => limits.write_timeout.min(PATIENCE_WHEN_STOPPING),
        };
        self.deadline.as_mut().reset(Instant::now() + patience);
    }

    fn poll_over(&mut self, limits: &Limits, context: &mut Context<'_>) -> Poll<()> {
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(context).is_ready()
        {
            self.stopping = None;
            self.begin_piece(limits);
        }
        self.deadline.as_mut().poll(context)
    }
}

impl<'a> WritePace<'a> {
    pub(super) fn new(tracked: &'a Arc<TrackedConnection>, limits: &'a Limits) -> Self {
        Self {
            tracked,
            limits,
            blocked: None,
        }
    }

    /// Waits for a write within the time limit. `bytes` wait with it.
    pub(super) async fn hold<T>(
        &mut self,
        bytes: usize,
        write: impl Future<Output = T>,
    ) -> Result<T, WriteFault> {
        let mut write = pin!(write);
        std::future::poll_fn(|context| match write.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_over(bytes, context).map(Err),
        })
        .await
    }

    /// The client has accepted this many bytes.
    pub(super) fn taken(&mut self, bytes: usize) {
        let Some(blocked) = &mut self.blocked else {
            return;
        };
        blocked.taken += bytes;
        if blocked.taken >= PIECE {
            blocked.begin_piece(self.limits);
            blocked.charge.taken();
        }
    }

    /// Nothing is waiting any more.
    pub(super) fn done(&mut self) {
        self.blocked = None;
    }

    fn poll_over(&mut self, bytes: usize, context: &mut Context<'_>) -> Poll<WriteFault> {
        if self.tracked.is_cut() {
            return Poll::Ready(WriteFault::Stalled);
        }
        let blocked = match &mut self.blocked {
            Some(blocked) => blocked,
            // A wait without bytes of its own, such as flushing a buffer, has to be visible too.
            none => match self.tracked.charge(bytes.max(1), self.limits) {
                Err(NoRoom) => return Poll::Ready(WriteFault::Stalled),
                Ok(charge) => none.insert(BlockedWrite::new(self.tracked, charge, self.limits)),
            },
        };
        let over = blocked.poll_over(self.limits, context);
        over.map(|()| WriteFault::Stalled)
    }
}
