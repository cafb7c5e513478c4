//! One HTTP/2 connection as seen by those that open streams on it, and the count of its streams.
//! Its task is in [`super::driver`].
//!
//! The upstream may send a window ahead on each stream, and on all of them together;
//! more only when the consumer has read what arrived.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use pingora::protocols::Stream;
use tokio::time::Instant;

use super::driver::ConnectionDriver;
use super::vitals::Vitals;
use super::watched::CountedSocket;
use crate::upstream::transport::resolve::ResolvedAddresses;

/// What an upstream may send ahead on one stream: 5 MB/s at 100 ms.
const STREAM_WINDOW: u32 = 512 * 1024;
/// What it may send ahead on all streams of a connection, so that answers whose consumers are slow
/// do not hold up the others.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// Largest head of a response, as over HTTP/1.1.
const MOST_HEAD: u32 = 32 * 1024;
/// Streams opened until the upstream has announced its limit.
const FIRST_STREAMS: usize = 10;

/// A connection, as seen by those that open streams on it. It is closed when the last of them is
/// dropped.
#[derive(Debug)]
pub(super) struct Http2Connection {
    requests: SendRequest<Bytes>,
    vitals: Arc<Vitals>,
    address: SocketAddr,
    /// The version of the address list when its address was last known to be in it.
    changes: AtomicU64,
}

impl Http2Connection {
    /// Begins HTTP/2 on a new connection. It does nothing until its driver runs.
    pub(super) async fn begin(
        stream: Stream,
        address: SocketAddr,
        addresses: &ResolvedAddresses,
    ) -> Result<(Arc<Self>, ConnectionDriver), h2::Error> {
        let (stream, heard) = CountedSocket::new(stream);
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MOST_HEAD)
            .initial_max_send_streams(FIRST_STREAMS)
            .enable_push(false)
            .handshake(stream)
            .await?;
        let vitals = Arc::new(Vitals {
            streams: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            most: AtomicUsize::new(usize::MAX),
            known: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            start: Instant::now(),
        });
        let driver = ConnectionDriver {
            connection,
            heard,
            vitals: Arc::clone(&vitals),
            known: false,
        };
        let session = Arc::new(Self {
            requests,
            vitals,
            address,
            changes: AtomicU64::new(addresses.changes()),
        });
        Ok((session, driver))
    }

    /// Whether it is open and its address still belongs to the upstream.
    pub(super) fn is_usable(&self, addresses: &ResolvedAddresses) -> bool {
        !self.vitals.closed.load(Ordering::Acquire) && self.is_current(addresses)
    }

    /// Whether the upstream has not said that it will close it.
    pub(super) fn is_open(&self) -> bool {
        self.sender().is_some()
    }

    fn is_current(&self, addresses: &ResolvedAddresses) -> bool {
        let changes = addresses.changes();
        if self.changes.load(Ordering::Relaxed) != changes {
            if !addresses.contains(self.address) {
                return false;
            }
            self.changes.store(changes, Ordering::Relaxed);
        }
        true
    }

    /// `None` after GOAWAY, and when its stream numbers are used up.
    fn sender(&self) -> Option<SendRequest<Bytes>> {
        let mut requests = self.requests.clone();
        let mut context = Context::from_waker(Waker::noop());
        match requests.poll_ready(&mut context) {
            Poll::Ready(Ok(())) => Some(requests),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.vitals.doubted.load(Ordering::Relaxed)
    }

    pub(super) fn streams(&self) -> usize {
        self.vitals.streams.load(Ordering::Relaxed)
    }

    /// The limit of streams that the upstream announced for this connection.
    pub(super) fn announced(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    /// How many of these it may have, after some were refused.
    pub(super) fn capacity(&self) -> usize {
        let most = self.vitals.most.load(Ordering::Relaxed);
        self.announced().min(most)
    }

    /// Whether only refused streams keep another from being opened. The upstream is overloaded;
    /// another connection would not help.
    pub(super) fn is_held_back(&self) -> bool {
        let streams = self.streams();
        streams >= self.capacity() && streams < self.announced()
    }

    /// Whether that is more than a guess.
    pub(super) fn is_known(&self) -> bool {
        self.vitals.known.load(Ordering::Acquire)
    }

    /// Counts another stream, to be released with [`Http2Connection::end_stream`].
    pub(super) fn begin_stream(&self) {
        self.vitals.streams.fetch_add(1, Ordering::Relaxed);
        self.vitals.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_stream(&self) {
        let since = self.vitals.start.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.vitals.idle_since.store(since, Ordering::Relaxed);
        self.vitals.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long no stream has been open; `None` while one is.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        let since = Duration::from_millis(self.vitals.idle_since.load(Ordering::Relaxed));
        (self.streams() == 0).then(|| now.saturating_duration_since(self.vitals.start + since))
    }

    /// Whether an answer has arrived over it before.
    pub(super) fn has_answered(&self) -> bool {
        self.vitals.answered.load(Ordering::Relaxed)
    }

    pub(super) fn note_answer(&self) {
        self.vitals.answered.store(true, Ordering::Relaxed);
        // Exact only if no other stream is refused or answered at the same moment, which is good
        // enough.
        if self.vitals.most.load(Ordering::Relaxed) < self.announced() {
            self.vitals.most.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The upstream refused a stream: the open ones are what it accepts for now.
    pub(super) fn note_refused(&self) {
        let open = self.streams().saturating_sub(1).max(1);
        self.vitals.most.fetch_min(open, Ordering::Relaxed);
    }

    /// No new streams are opened on it; it is closed when the open ones have ended.
    pub(super) fn retire(&self) {
        self.vitals.closed.store(true, Ordering::Release);
    }

    /// Sends a whole request. `None` if nothing was sent, because the connection accepts no more;
    /// it will not get any.
    pub(super) fn send(&self, head: http::Request<()>, body: Bytes) -> Option<ResponseFuture> {
        let sent = self
            .sender()
            .and_then(|mut requests| requests.send_request(head, body.is_empty()).ok());
        let Some((response, mut stream)) = sent else {
            self.retire();
            return None;
        };
        // The body is in memory already; the library sends it as the window allows. If the
        // connection is lost meanwhile, the response fails.
        if !body.is_empty() {
            drop(stream.send_data(body, true));
        }
        Some(response)
    }
}
