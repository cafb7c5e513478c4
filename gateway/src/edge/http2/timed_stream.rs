//! A connection below HTTP/2 that fails when a frame or a header block has begun and does not get
//! whole in time. The `h2` crate waits for the rest without a limit, and tells nobody.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::frames::{FrameProgress, UnfinishedFrame};

/// How long what has begun may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameTimeouts {
    pub(super) head: Duration,
    /// Longer than a request's body may take, so that its own limit is what ends it.
    pub(super) data: Duration,
}

/// A stream of bytes with a time limit for each frame that it brings.
#[derive(Debug)]
pub(super) struct TimedStream {
    stream: Stream,
    progress: FrameProgress,
    timeouts: FrameTimeouts,
    /// Of what the timer has run since nothing more of it had arrived. A frame whose head has come
    /// meanwhile is another one: what follows has another limit.
    waits_for: Option<(u64, UnfinishedFrame)>,
    timer: Option<Pin<Box<Sleep>>>,
    /// A frame came too late.
    late: Arc<AtomicBool>,
}

impl TimedStream {
    /// `late` becomes true when a frame did not come in time.
    pub(super) fn new(stream: Stream, timeouts: FrameTimeouts, late: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            progress: FrameProgress::new(),
            timeouts,
            waits_for: None,
            timer: None,
            late,
        }
    }

    /// Resolves when the frame that has begun is late. Called when no bytes are there: no timer is
    /// touched as long as they are.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let unfinished = self.progress.unfinished();
        let Some((_, kind)) = unfinished else {
            self.waits_for = None;
            return Poll::Pending;
        };
        if self.waits_for != unfinished {
            self.waits_for = unfinished;
            let end = Instant::now()
                + match kind {
                    UnfinishedFrame::Head => self.timeouts.head,
                    UnfinishedFrame::Data => self.timeouts.data,
                };
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(end),
                none => *none = Some(Box::pin(sleep_until(end))),
            }
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            ready!(self.poll_late(context));
            self.late.store(true, Ordering::Release);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        self.progress.read(fresh);
        read
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for TimedStream {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for TimedStream {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl GetTimingDigest for TimedStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for TimedStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for TimedStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

impl Ssl for TimedStream {}
impl Peek for TimedStream {}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{advance, timeout};

    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const DATA: Duration = Duration::from_mins(1);

    /// A client that has sent these bytes, and what the gateway reads of it.
    async fn after(sent: &[u8]) -> (DuplexStream, TimedStream, Arc<AtomicBool>) {
        let (mut client, server) = duplex(1024);
        let late = Arc::<AtomicBool>::default();
        let timeouts = FrameTimeouts {
            head: HEAD,
            data: DATA,
        };
        let mut timed = TimedStream::new(Box::new(server), timeouts, Arc::clone(&late));
        let bytes = [&[b'P'; 24], sent].concat();
        client.write_all(&bytes).await.unwrap();
        timed.read_exact(&mut vec![0; bytes.len()]).await.unwrap();
        (client, timed, late)
    }

    /// How long it takes until reading fails; `None` if it does not.
    async fn fails_after(timed: &mut TimedStream) -> Option<Duration> {
        let start = Instant::now();
        let read = timeout(Duration::from_hours(1), timed.read(&mut [0; 64])).await;
        match read {
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Some(start.elapsed()),
            Ok(other) => panic!("{other:?}"),
            Err(_elapsed) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn between_frames_nothing_is_late() {
        let (_client, mut timed, late) = after(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
        assert_eq!(fails_after(&mut timed).await, None);
        assert!(!late.load(Ordering::Acquire));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_has_its_time_however_its_bytes_trickle() {
        let headers_without_end = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
        for (sent, limit) in [
            (&[0][..], HEAD),
            (&[0, 0, 8, 6, 0, 0, 0, 0, 0], HEAD),
            (&headers_without_end, HEAD),
            (&[0, 0, 8, 0, 0, 0, 0, 0, 1, b'{'], DATA),
        ] {
            let (_client, mut timed, late) = after(sent).await;
            let failed = fails_after(&mut timed).await;
            assert_eq!(failed.map(|after| after.as_secs()), Some(limit.as_secs()));
            assert!(late.load(Ordering::Acquire));
        }
        let (mut client, mut timed, _) = after(&headers_without_end).await;
        let begun = Instant::now();
        // Frames that go on with it do not begin the time again.
        for _ in 0..9 {
            let continued = timeout(Duration::from_secs(1), timed.read(&mut [0; 64])).await;
            assert!(continued.is_err());
            client
                .write_all(&[0, 0, 0, 9, 0, 0, 0, 0, 1])
                .await
                .unwrap();
            timed.read_exact(&mut [0; 9]).await.unwrap();
        }
        assert!(fails_after(&mut timed).await.is_some());
        assert_eq!(begun.elapsed().as_secs(), HEAD.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn each_frame_has_a_time_of_its_own() {
        let (mut client, mut timed, _) = after(&[0, 0, 1, 4, 0]).await;
        for _ in 0..5 {
            let waits = timeout(HEAD / 2, timed.read(&mut [0; 64])).await;
            assert!(waits.is_err());
            // The rest of one, and the beginning of another.
            let bytes = [0, 0, 0, 0, 7, 0, 0, 1, 4, 0];
            client.write_all(&bytes).await.unwrap();
            timed.read_exact(&mut [0; 10]).await.unwrap();
            advance(HEAD / 4).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_payload_of_a_frame_has_its_own_time_however_its_head_arrived() {
        let (mut client, mut timed, _) = after(&[0, 0, 8, 0]).await;
        assert!(timeout(HEAD / 2, timed.read(&mut [0; 64])).await.is_err());
        client.write_all(&[0, 0, 0, 0, 1]).await.unwrap();
        timed.read_exact(&mut [0; 5]).await.unwrap();
        let failed = fails_after(&mut timed).await;
        assert_eq!(failed.map(|after| after.as_secs()), Some(DATA.as_secs()));
    }
}
