//! The task that drives one connection, and its keep-alive.
//!
//! A connection carries many calls; if it silently died all of them would be lost. If nothing at all
//! arrives after a call was sent, a PING is sent and, before its answer is due, the connection gets no
//! new calls. Without an answer it is closed, and its calls continue on another upstream. A busy or an
//! unused connection costs no PING.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use pingora::protocols::Stream;
use tokio::time::{MissedTickBehavior, interval};

use super::silence::{SilenceSign, SilenceTimer};
use super::vitals::Vitals;
use super::watched::CountedSocket;

/// How often the keep-alive checks a connection.
const BEAT: Duration = Duration::from_secs(1);

/// Drives a connection until its end.
pub(super) struct ConnectionDriver {
    pub(super) connection: Connection<CountedSocket<Stream>, Bytes>,
    pub(super) heard: Arc<AtomicU64>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) known: bool,
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
