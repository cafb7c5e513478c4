//! Counts what is being served, so that a stopping gateway exits when the last request has ended
//! and not a grace period later.
//!
//! Pingora closes the listeners and then sleeps its whole grace period. [`Drain`] watches beside it
//! and reports when nothing is left to wait for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often an almost drained gateway checks again.
const TICK: Duration = Duration::from_millis(20);
/// A connection accepted this recently may still be in its TLS handshake, or its first request in
/// transit: it is not counted yet.
const HANDSHAKE: Duration = Duration::from_millis(500);

/// A dismissed connection ends at once, unless its runtime is stuck.
const DISMISSAL: Duration = Duration::from_secs(1);

/// Requests in progress and connections waiting for their next request.
#[derive(Debug, Default)]
pub struct Drain {
    leaving: AtomicBool,
    serving: AtomicUsize,
    waiting: AtomicUsize,
    sockets: AtomicUsize,
}

/// One request (or one wait for a request) that [`Drain`] counts while this is alive.
#[derive(Debug)]
#[must_use = "the count ends when this is dropped"]
pub struct DrainGuard<'a>(&'a AtomicUsize);

impl Drop for DrainGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Drain {
    /// Counts a request from its head until its answer is written.
    pub fn serving(&self) -> DrainGuard<'_> {
        self.serving.fetch_add(1, Ordering::Acquire);
        DrainGuard(&self.serving)
    }

    /// Counts a connection on which the next request may arrive.
    pub fn waiting(&self) -> DrainGuard<'_> {
        self.waiting.fetch_add(1, Ordering::Acquire);
        DrainGuard(&self.waiting)
    }

    /// Counts a WebSocket. WebSockets are told to close, and waited for.
    pub fn socket(&self) -> DrainGuard<'_> {
        self.sockets.fetch_add(1, Ordering::Acquire);
        DrainGuard(&self.sockets)
    }

    /// From here on answers ask their client to close the connection, and `/ready` fails.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Requests in progress.
    pub fn in_flight(&self) -> usize {
        self.serving.load(Ordering::Acquire)
    }

    /// Resolves when the gateway may exit: no request in progress, and either no connection left or
    /// `linger` passed without any request, so that an idle client's last request is not cut off.
    /// At the latest after `grace`. Returns the requests still in progress then.
    pub async fn drained(&self, linger: Duration, grace: Duration) -> usize {
        let start = Instant::now();
        let (end, settled) = (start + grace, start + HANDSHAKE.min(linger));
        let mut quiet_since = start;
        loop {
            let now = Instant::now();
            if self.in_flight() > 0 || self.sockets.load(Ordering::Acquire) > 0 {
                quiet_since = now;
            }
            let nobody_left = self.in_flight() == 0 && self.waiting.load(Ordering::Acquire) == 0;
            if now.saturating_duration_since(quiet_since) >= linger
                || (nobody_left
                    && now >= settled
                    && now.saturating_duration_since(quiet_since) >= TICK)
                || now >= end
            {
                return self.in_flight();
            }
            sleep(TICK).await;
        }
    }

    /// Resolves when the last connection has ended, for a gateway that has dismissed the idle ones:
    /// what had arrived on them is answered before. At the latest after `grace`. Returns the
    /// requests still in progress then.
    pub async fn emptied(&self, grace: Duration) -> usize {
        let (start, mut idle_since) = (Instant::now(), Instant::now());
        loop {
            let (now, serving) = (Instant::now(), self.in_flight());
            if serving > 0 {
                idle_since = now;
            }
            let empty = serving == 0 && self.waiting.load(Ordering::Acquire) == 0;
            let late = now.saturating_duration_since(idle_since) >= DISMISSAL;
            if empty || late || now.saturating_duration_since(start) >= grace {
                return serving;
            }
            sleep(TICK / 10).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(2);
    const GRACE: Duration = Duration::from_secs(25);

    async fn seconds_to_drain(drain: &Drain) -> f64 {
        let start = Instant::now();
        drain.drained(LINGER, GRACE).await;
        start.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn without_connections_it_leaves_after_a_moment_for_those_just_accepted() {
        let seconds = seconds_to_drain(&Drain::default()).await;
        assert!((0.5..0.6).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_its_handshake_gets_its_request_answered() {
        let drain = Drain::default();
        let arrives = async {
            sleep(Duration::from_millis(300)).await;
            let request = drain.serving();
            sleep(Duration::from_secs(3)).await;
            drop(request);
        };
        let (seconds, ()) = tokio::join!(seconds_to_drain(&drain), arrives);
        assert!((3.3..3.4).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_may_speak_for_as_long_as_the_linger() {
        let drain = Drain::default();
        let _idle = drain.waiting();
        let seconds = seconds_to_drain(&drain).await;
        assert!((2.0..2.1).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_waited_for_until_it_ends() {
        let drain = Drain::default();
        let request = drain.serving();
        let ends = async {
            sleep(Duration::from_secs(7)).await;
            drop(request);
        };
        let (seconds, ()) = tokio::join!(seconds_to_drain(&drain), ends);
        assert!((7.0..7.1).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrived_before_the_dismissal_is_answered() {
        let drain = Drain::default();
        let idle = drain.waiting();
        let ends = async {
            sleep(Duration::from_millis(5)).await;
            let request = drain.serving();
            drop(idle);
            sleep(Duration::from_secs(3)).await;
            drop(request);
        };
        let start = Instant::now();
        let (left, ()) = tokio::join!(drain.emptied(GRACE), ends);
        assert_eq!(left, 0);
        assert!(start.elapsed() >= Duration::from_secs(3));
        // One that does not end is not waited for.
        let _idle = drain.waiting();
        assert_eq!(drain.emptied(GRACE).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_is_left_behind_after_the_grace() {
        let drain = Drain::default();
        let _stuck = drain.serving();
        let start = Instant::now();
        assert_eq!(drain.drained(LINGER, GRACE).await, 1);
        assert!(start.elapsed() < GRACE + Duration::from_secs(1));
    }
}
