//! One HTTP/2 connection: the task that drives it, its keep-alive, and the count of its streams.
//!
//! **Keep-alive.** A connection carries many calls; if it silently died all of them would be lost.
//! If nothing at all arrives after a call was sent, a PING is sent and, before its answer is due,
//! the connection gets no new calls. Without an answer it is closed, and its calls continue on
//! another upstream. A busy or an unused connection costs no PING.
//!
//! **Memory.** The upstream may send a window ahead on each stream, and on all of them together;
//! more only when the consumer has read what arrived.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong};
use pingora::protocols::Stream;
use tokio::time::{Instant, MissedTickBehavior, interval};

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

/// How often the keep-alive checks a connection.
const BEAT: Duration = Duration::from_secs(1);
/// Checks without an arrival, with a call in progress, after which a PING is sent.
const ASK_AFTER: u32 = 2;
/// Checks without an arrival after which the connection gets no new calls.
const DOUBT_AFTER: u32 = 3;
/// Checks without an arrival after which it is closed.
const DEAD_AFTER: u32 = 5;

/// State shared by the task of a connection and its users.
#[derive(Debug)]
pub(super) struct Vitals {
    /// Streams in use.
    streams: AtomicUsize,
    /// Streams opened so far.
    asked: AtomicU64,
    /// Maximum number of streams, as refused ones showed; each answer allows one more.
    most: AtomicUsize,
    /// The upstream has announced its limit of streams.
    known: AtomicBool,
    /// It has ended, or accepts no more streams.
    closed: AtomicBool,
    /// It is silent although calls wait.
    doubted: AtomicBool,
    /// Some answer has come over it.
    answered: AtomicBool,
    /// When its last stream ended, in milliseconds since `start`.
    idle_since: AtomicU64,
    start: Instant,
}

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

/// Drives a connection until its end.
pub(super) struct ConnectionDriver {
    connection: Connection<CountedSocket<Stream>, Bytes>,
    heard: Arc<AtomicU64>,
    vitals: Arc<Vitals>,
    known: bool,
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

impl ConnectionDriver {
    /// Runs the connection to its end. `known` is called when the upstream has announced its limit
    /// of streams.
    pub(super) async fn run(mut self, known: impl Fn()) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silence = SilenceTimer::default();
        let mut pings = self.connection.ping_pong();
        loop {
            tokio::select! {
                biased;
                _end = poll_fn(|context| self.advance(context, &known)) => break,
                () = pong(&mut pings) => {}
                _ = beat.tick() => {
                    let heard = self.heard.load(Ordering::Relaxed);
                    let asked = self.vitals.asked.load(Ordering::Relaxed);
                    let waiting = self.vitals.streams.load(Ordering::Relaxed) > 0;
                    let sign = silence.beat(heard, asked, waiting);
                    self.vitals.doubted.store(sign >= SilenceSign::Doubted, Ordering::Relaxed);
                    match sign {
                        SilenceSign::Ask => ask(&mut pings),
                        SilenceSign::Dead => break,
                        SilenceSign::Fine | SilenceSign::Doubted => {}
                    }
                }
            }
        }
        self.vitals.closed.store(true, Ordering::Release);
        // Dropping the connection ends the streams that are left.
    }

    fn advance(
        &mut self,
        context: &mut Context<'_>,
        known: impl Fn(),
    ) -> Poll<Result<(), h2::Error>> {
        let polled = Pin::new(&mut self.connection).poll(context);
        // A server sends its settings first.
        if !self.known && self.heard.load(Ordering::Relaxed) > 0 {
            self.known = true;
            self.vitals.known.store(true, Ordering::Release);
            known();
        }
        polled
    }
}

fn ask(pings: &mut Option<PingPong>) {
    if let Some(pings) = pings {
        // Fails while one is under way, which is as good.
        drop(pings.send_ping(Ping::opaque()));
    }
}

/// Receives the answer to a PING; it was counted as an arrival already.
async fn pong(pings: &mut Option<PingPong>) {
    match pings {
        Some(pings) => drop(poll_fn(|context| pings.poll_pong(context)).await),
        None => std::future::pending().await,
    }
}

/// What the silence so far implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SilenceSign {
    Fine,
    Ask,
    Doubted,
    Dead,
}

#[derive(Debug, Default)]
struct SilenceTimer {
    heard: u64,
    asked: u64,
    /// A call was sent and nothing arrived since, even if its caller has given up.
    expecting: bool,
    beats: u32,
}

impl SilenceTimer {
    fn beat(&mut self, heard: u64, asked: u64, waiting: bool) -> SilenceSign {
        if heard != self.heard {
            self.expecting = false;
            self.beats = 0;
        }
        self.expecting |= waiting || asked != self.asked;
        self.beats += u32::from(self.expecting && heard == self.heard);
        (self.heard, self.asked) = (heard, asked);
        match self.beats {
            DEAD_AFTER.. => SilenceSign::Dead,
            DOUBT_AFTER.. => SilenceSign::Doubted,
            ASK_AFTER.. => SilenceSign::Ask,
            _ => SilenceSign::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COURSE: [SilenceSign; 5] = [
        SilenceSign::Fine,
        SilenceSign::Ask,
        SilenceSign::Doubted,
        SilenceSign::Doubted,
        SilenceSign::Dead,
    ];

    #[test]
    fn only_silence_after_a_call_counts_and_any_byte_ends_it() {
        let mut silence = SilenceTimer::default();
        assert!((0..20).all(|_| silence.beat(0, 0, false) == SilenceSign::Fine));
        assert!((1..20).all(|heard| silence.beat(heard, heard, true) == SilenceSign::Fine));
        let course: Vec<_> = (0..5).map(|_| silence.beat(19, 19, true)).collect();
        assert_eq!(course, COURSE);
        assert_eq!(
            silence.beat(20, 19, true),
            SilenceSign::Fine,
            "it answered the PING"
        );
    }

    #[test]
    fn callers_that_gave_up_do_not_make_a_dead_connection_good() {
        let mut silence = SilenceTimer::default();
        silence.beat(1, 1, false);
        // Each call is cancelled before the next check.
        let course: Vec<_> = (2..7).map(|asked| silence.beat(1, asked, false)).collect();
        assert_eq!(course, COURSE);
    }
}
