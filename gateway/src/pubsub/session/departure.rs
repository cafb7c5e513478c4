//! When a socket is closed because the gateway stops.

use std::time::Duration;

use tokio::time::Instant;

/// The times at which a socket may be closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Departure {
    /// How long sockets may be closed for.
    over: Duration,
    /// Chosen by chance, so that not all clients connect again at once.
    at: Instant,
    last: Instant,
}

impl Departure {
    /// Within this time from now on; within twice this time for a client that waits for something.
    pub(super) fn within(over: Duration) -> Self {
        let now = Instant::now();
        Self {
            over,
            at: now + over.mul_f64(fastrand::f64()),
            last: now + over * 2,
        }
    }

    /// The client waits for a transaction to be confirmed: most programs take the end of their
    /// socket for a failure. Once it has been told, it has something else to do at first.
    pub(super) fn waits(&mut self) {
        let at = Instant::now() + self.over.mul_f64(fastrand::f64());
        self.at = at.min(self.last);
    }

    /// When it is closed.
    pub(super) fn at(&self, waits: bool) -> Instant {
        if waits { self.last } else { self.at }
    }
}
