//! The bytes of a connection over HTTP/1: what was read of it and not yet taken, the head of its next
//! request, and how it ends after a refusal.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::request::HeadEndSeeker;
use crate::config::Limits;
use crate::edge::connections::TrackedConnection;
use crate::edge::request_end::ConnectionCut;
use crate::error::Rejection;

/// Bytes read at once.
const ROOM: usize = 8 * 1024;

/// How long, and for how many bytes, a client is read from (a lingering close) that was refused before
/// it had sent its whole request. If the connection were closed at once it would be reset, and the answer lost.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// A connection between two requests.
pub(in crate::edge) struct Http1Connection {
    pub(in crate::edge) stream: Stream,
    /// The beginning of the next request, and of those after it.
    pub(in crate::edge) unread: BytesMut,
    /// For heads and small answers; its space is reused.
    pub(in crate::edge) buffer: Vec<u8>,
    /// An empty line before the next request was skipped.
    skipped: bool,
}

impl Http1Connection {
    pub(in crate::edge) fn new(stream: Stream) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
            buffer: Vec::new(),
            skipped: false,
        }
    }

    /// Reads what has arrived, or waits for it; returns whether there was anything.
    pub(in crate::edge) async fn read(&mut self) -> bool {
        self.unread.reserve(ROOM);
        matches!(self.stream.read_buf(&mut self.unread).await, Ok(1..))
    }

    /// Takes the first bytes of what was read: the head of a request.
    pub(in crate::edge) fn take_head(&mut self, length: usize) -> Bytes {
        self.skipped = false;
        self.unread.split_to(length).freeze()
    }

    /// Skips one empty line before the next request: old clients end a body with it (RFC 9112
    /// §2.2).
    pub(in crate::edge) fn skip_line(&mut self) -> bool {
        let skips = !self.skipped && self.unread.starts_with(b"\r\n");
        if skips {
            self.unread.advance(2);
            self.skipped = true;
        }
        skips
    }

    /// The next complete head, within the limits.
    pub(in crate::edge) async fn head(
        &mut self,
        tracked: &Arc<TrackedConnection>,
        limits: &Limits,
    ) -> Result<Result<Bytes, Rejection>, ConnectionCut> {
        let end = Instant::now() + limits.head_timeout;
        let mut seeker = HeadEndSeeker::default();
        let mut unfinished = tracked.unfinished_body(limits.unfinished_bodies);
        let mut counted = 0;
        loop {
            if self.skip_line() {
                seeker = HeadEndSeeker::default();
            }
            match seeker.seek(&self.unread) {
                Ok(Some(length)) => return Ok(Ok(self.take_head(length))),
                Ok(None) => {}
                Err(rejection) => return Ok(Err(rejection)),
            }
            let more = self.unread.len().saturating_sub(counted);
            counted += more;
            if !unfinished.add(more) {
                return Ok(Err(Rejection::TooManyBodies));
            }
            match timeout_at(end, self.read()).await {
                Ok(true) => {}
                Ok(false) => return Err(ConnectionCut),
                Err(_elapsed) => return Ok(Err(Rejection::HeadTimeout)),
            }
        }
    }

    /// Resolves when the client has closed its connection. What it sends meanwhile is kept.
    pub(in crate::edge) async fn gone(&mut self) {
        if matches!(self.stream.read_buf(&mut self.unread).await, Ok(1..)) {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the connection, but reads until the client has received its answer and closed.
    pub(in crate::edge) async fn linger(&mut self) {
        let leave = async {
            self.stream.shutdown().await.ok()?;
            let mut heard = self.unread.len();
            while heard < LINGER_BYTES {
                self.unread.clear();
                if !self.read().await {
                    break;
                }
                heard += self.unread.len();
            }
            Some(())
        };
        drop(timeout(LINGER, leave).await);
    }
}
