//! One HTTP/2 connection: the task that drives it, its keep-alive, and the count of its streams.
//!
//! **Keep-alive.** A connection carries many calls; one that has silently gone would take all of
//! them with it. If nothing at all arrives after a call was sent it is asked for a sign of life
//! (PING) and, before that is due, no longer given new calls. Without one it is closed, and its
//! calls go on elsewhere. A busy or an unused connection costs no PING.
//!
//! **Memory.** The upstream may send so much ahead on each stream, and on all of them together; more
//! only when the consumer has taken what came.

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
use crate::upstream::resolve::ResolvedAddresses;

/// What an upstream may send ahead on one stream: 5 MB/s at 100 ms.
const STREAM_WINDOW: u32 = 512 * 1024;
/// What it may send ahead on all streams of a connection, so that answers whose consumers are slow
/// do not hold up the others.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// Largest head of a response, as over HTTP/1.1.
const MOST_HEAD: u32 = 32 * 1024;
/// Until the upstream has said how many streams it takes, this many are opened.
const FIRST_STREAMS: usize = 10;

/// How often the keep-alive looks at a connection.
const BEAT: Duration = Duration::from_secs(1);
/// Beats of silence, with something asked, after which a PING is sent.
const ASK_AFTER: u32 = 2;
/// Beats of silence after which the connection gets no new calls.
const DOUBT_AFTER: u32 = 3;
/// Beats of silence after which it is closed.
const DEAD_AFTER: u32 = 5;

/// What the task of a connection and those who use it know of it.
#[derive(Debug)]
pub(super) struct Vitals {
    /// Streams in use.
    streams: AtomicUsize,
    /// Streams opened so far.
    asked: AtomicU64,
    /// Streams it may have at most, as refused ones showed; each answer allows one more.
    most: AtomicUsize,
    /// The upstream has said how many streams it takes.
    known: AtomicBool,
    /// It has ended, or takes no more streams.
    closed: AtomicBool,
    /// It is silent although calls wait.
    doubted: AtomicBool,
    /// Some answer has come over it.
    answered: AtomicBool,
    /// When its last stream ended, in milliseconds since `start`.
    idle_since: AtomicU64,
    start: Instant,
}

/// One connection, as those see it who open streams on it. When the last of them lets go it is
/// closed.
#[derive(Debug)]
pub(super) struct Http2Connection {
    requests: SendRequest<Bytes>,
    vitals: Arc<Vitals>,
    address: SocketAddr,
    /// The state of the addresses when this one was last known to be among them.
    changes: AtomicU64,
}

/// What drives a connection until its end.
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

    /// None after GOAWAY, and when its stream numbers are used up.
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

    /// How many streams the upstream said that it takes on this connection.
    pub(super) fn announced(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    /// How many of these it may have, after what was refused.
    pub(super) fn capacity(&self) -> usize {
        let most = self.vitals.most.load(Ordering::Relaxed);
        self.announced().min(most)
    }

    /// Whether only what was refused keeps a further stream from being opened. The upstream has too
    /// much to do; another connection would not help it.
    pub(super) fn is_held_back(&self) -> bool {
        let streams = self.streams();
        streams >= self.capacity() && streams < self.announced()
    }

    /// Whether that is not only a guess.
    pub(super) fn is_known(&self) -> bool {
        self.vitals.known.load(Ordering::Acquire)
    }

    /// Counts one more stream, to be given back with [`Http2Connection::end_stream`].
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

    /// How long no stream has been open; None while one is.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        let since = Duration::from_millis(self.vitals.idle_since.load(Ordering::Relaxed));
        (self.streams() == 0).then(|| now.saturating_duration_since(self.vitals.start + since))
    }

    /// Whether an answer has come over it before.
    pub(super) fn has_answered(&self) -> bool {
        self.vitals.answered.load(Ordering::Relaxed)
    }

    pub(super) fn note_answer(&self) {
        self.vitals.answered.store(true, Ordering::Relaxed);
        // Exact only where nobody refuses or answers at the same moment, which is good enough.
        if self.vitals.most.load(Ordering::Relaxed) < self.announced() {
            self.vitals.most.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The upstream refused a stream: what is open is what it takes for now.
    pub(super) fn note_refused(&self) {
        let open = self.streams().saturating_sub(1).max(1);
        self.vitals.most.fetch_min(open, Ordering::Relaxed);
    }

    /// No new streams are opened on it; it is closed when the open ones have ended.
    pub(super) fn retire(&self) {
        self.vitals.closed.store(true, Ordering::Release);
    }

    /// Sends a whole request. None if nothing was sent, because the connection takes no more; it
    /// will not be given any.
    pub(super) fn send(&self, head: http::Request<()>, body: Bytes) -> Option<ResponseFuture> {
        let sent = self
            .sender()
            .and_then(|mut requests| requests.send_request(head, false).ok());
        let Some((response, mut stream)) = sent else {
            self.retire();
            return None;
        };
        // The body is in memory already; the library sends it as the upstream gives room. If the
        // connection is lost meanwhile the response tells.
        drop(stream.send_data(body, true));
        Some(response)
    }
}

impl ConnectionDriver {
    /// Runs the connection to its end. `known` is called when the upstream has said how many
    /// streams it takes.
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
        // The first that a server sends are its settings.
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

/// Takes an answer to a PING; the count of what was heard has noticed it already.
async fn pong(pings: &mut Option<PingPong>) {
    match pings {
        Some(pings) => drop(poll_fn(|context| pings.poll_pong(context)).await),
        None => std::future::pending().await,
    }
}

/// What silence means so far.
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
    /// Something was asked and nothing heard since, even if the caller has given up.
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
        // Each call is given up before the next look.
        let course: Vec<_> = (2..7).map(|asked| silence.beat(1, asked, false)).collect();
        assert_eq!(course, COURSE);
    }
}
